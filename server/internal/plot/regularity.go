package plot

import (
	"cmp"
	"slices"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

// Regularity says how regularly a device took images on the days of a range.
type Regularity struct {
	Images   int
	PerDay   []int // one for each day
	Interval int   // the median time from image to image, seconds; 0 where there are less than two images
	Gaps     int   // times of more than [store.MissedSteps] times the usual one
	Longest  int64 // the longest time between two images, seconds
}

// RegularityOf looks at the days from first to before end, of which days holds those with images, in order.
func RegularityOf(days []store.DaySummary, first, end int) Regularity {
	r := Regularity{PerDay: make([]int, end-first)}
	type step struct{ seconds, times int }
	var steps []step // within the days
	var nights []int // from the last image of a day to the first of the next one that has any
	for i, d := range days {
		r.Images += d.Images
		r.PerDay[d.Day-first] = d.Images
		r.Gaps += d.Gaps
		r.Longest = max(r.Longest, int64(d.Longest))
		if d.Images > 1 {
			steps = append(steps, step{d.Step, d.Images - 1})
		}
		if i > 0 {
			nights = append(nights, int(d.FirstAt-days[i-1].LastAt))
		}
	}
	if len(steps) == 0 { // a device that takes one image a day at most
		for _, n := range nights {
			steps = append(steps, step{n, 1})
		}
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.seconds, b.seconds) })
	all := 0
	for _, s := range steps {
		all += s.times
	}
	for before, i := 0, 0; i < len(steps); i++ {
		if before += steps[i].times; before > all/2 {
			r.Interval = steps[i].seconds
			break
		}
	}
	for i, n := range nights {
		r.Longest = max(r.Longest, int64(n))
		if usual := cmp.Or(days[i+1].Step, days[i].Step, r.Interval); float64(n) > store.MissedSteps*float64(usual) {
			r.Gaps++
		}
	}
	return r
}
