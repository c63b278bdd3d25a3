package progress_test

import (
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/kit/progress"
)

func TestSizesAreWrittenInUnitsOf1024(t *testing.T) {
	for n, want := range map[int64]string{0: "0.0 kB", 1536: "1.5 kB", 1<<20 - 1: "1024.0 kB", 1 << 20: "1.0 MB", 5 << 29: "2.5 GB"} {
		if got := progress.Size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestCountsOfOneAreSingular(t *testing.T) {
	for n, want := range map[int64]string{0: "0 images", 1: "1 image", 2: "2 images", 21: "21 images"} {
		if got := progress.Count(n, "image", "images"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestNothingIsCalledOnceItIsStopped(t *testing.T) {
	called := make(chan struct{}, 1)
	n := 0 // no lock: stop waits, which the race detector proves
	stop := progress.Every(time.Millisecond, func() {
		n++
		select {
		case called <- struct{}{}:
		default:
		}
	})
	<-called
	stop()
	if n == 0 {
		t.Error("it was not called")
	}
}
