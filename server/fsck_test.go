package server

import (
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server/internal/fsck"
)

func TestFscksSummaryCountsInSingularAndPlural(t *testing.T) {
	for want, p := range map[string]fsck.Progress{
		"0 images, 0 tuboids and 0 objects: 0 faults, 0 mended": {},
		"1 image, 1 tuboid and 1 object: 1 fault, 1 mended; 1 object without a row is younger than an hour and may be an upload under way": {
			Images: 1, Tuboids: 1, Objects: 1, Faults: 1, Mended: 1, TooYoungToSay: 1,
		},
		"2 images, 2 tuboids and 6 objects: 2 faults, 0 mended; 2 objects without a row are younger than an hour and may be uploads under way": {
			Images: 2, Tuboids: 2, Objects: 6, Faults: 2, TooYoungToSay: 2,
		},
	} {
		if got := summary(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
