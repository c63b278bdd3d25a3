package sqlstore_test

import (
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
)

func TestConformanceOfWork(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunWork(t, func(t *testing.T) storetest.WorkStore { return open(t) })
		})
	}
}
