package main

import (
	"testing"

	"github.com/sticky-pi/sticky-pi-server/server"
)

func TestACopysSummaryCountsInSingularAndPlural(t *testing.T) {
	for want, counts := range map[string][3]int64{
		"0 objects, 0.0 kB: 0 copied (0.0 kB), 0 were there already, 0 faults": {},
		"1 object, 0.0 kB: 0 copied (0.0 kB), 1 was there already, 0 faults":   {1, 0, 0},
		"6 objects, 0.0 kB: 3 copied (0.0 kB), 2 were there already, 1 fault":  {6, 3, 1},
	} {
		var p server.CopyProgress
		p.Seen.Store(counts[0])
		p.Copied.Store(counts[1])
		p.Faults.Store(counts[2])
		if got := summary(&p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
