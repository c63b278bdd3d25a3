//go:build !race

package s3blob

import (
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob/blobtest"
)

// Not under the race detector, where a sync.Pool drops some of what it is given, on purpose.
func TestAppendURLAllocatesNothing(t *testing.T) {
	s := mustNew(t, presignConfig(time.Now))
	buf := make([]byte, 0, 1024)
	key := blobtest.Keys[1]
	s.AppendURL(buf, key)
	if n := testing.AllocsPerRun(1000, func() { s.AppendURL(buf, key) }); n >= 1 {
		t.Errorf("%v allocations a URL", n)
	}
}
