package sqlstore_test

import (
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store/storetest"
)

func TestConformanceOfTuboids(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunTuboids(t, func(t *testing.T) store.Tuboids { return open(t) })
		})
	}
}

func TestConformanceOfProjects(t *testing.T) {
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunProjects(t, func(t *testing.T) storetest.ProjectStore { return open(t) })
		})
	}
}
