package plot_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sticky-pi/sticky-pi-server/server/internal/plot"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
)

// dayWith gives the summary of a day with images at those hours.
func dayWith(day int, hours ...int) store.DaySummary {
	var points []store.Point
	for _, h := range hours {
		points = append(points, store.Point{At: int64(day)*store.DaySeconds + int64(h)*3600})
	}
	return store.SummaryOf(day, points)
}

func TestRegularity(t *testing.T) {
	const hour = 3600
	for _, test := range []struct {
		name string
		days []store.DaySummary
		want plot.Regularity
	}{
		{"no image", nil, plot.Regularity{PerDay: []int{0, 0, 0}}},
		{"one image", []store.DaySummary{dayWith(11, 5)}, plot.Regularity{Images: 1, PerDay: []int{0, 1, 0}}},
		{"one image a day", []store.DaySummary{dayWith(10, 5), dayWith(11, 5), dayWith(12, 6)},
			plot.Regularity{Images: 3, PerDay: []int{1, 1, 1}, Interval: 25 * hour, Longest: 25 * hour}},
		{"regular over midnight", []store.DaySummary{dayWith(10, 18, 20, 22), dayWith(11, 0, 2, 4)},
			plot.Regularity{Images: 6, PerDay: []int{3, 3, 0}, Interval: 2 * hour, Longest: 2 * hour}},
		{"one late image is no gap", []store.DaySummary{dayWith(10, 1, 2, 3, 5, 6)},
			plot.Regularity{Images: 5, PerDay: []int{5, 0, 0}, Interval: hour, Longest: 2 * hour}},
		{"a gap within a day", []store.DaySummary{dayWith(10, 1, 2, 3, 6, 7)},
			plot.Regularity{Images: 5, PerDay: []int{5, 0, 0}, Interval: hour, Gaps: 1, Longest: 3 * hour}},
		{"a gap over midnight, and a whole day", []store.DaySummary{dayWith(10, 20, 21), dayWith(12, 0, 1)},
			plot.Regularity{Images: 4, PerDay: []int{2, 0, 2}, Interval: hour, Gaps: 1, Longest: 27 * hour}},
		{"a single image takes the other day's interval", []store.DaySummary{dayWith(10, 19, 20, 21), dayWith(11, 1)},
			plot.Regularity{Images: 4, PerDay: []int{3, 1, 0}, Interval: hour, Gaps: 1, Longest: 4 * hour}},
		{"a day's own interval counts", []store.DaySummary{dayWith(10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 20, 21, 22, 23), dayWith(11, 4, 10, 16, 22)},
			plot.Regularity{Images: 17, PerDay: []int{13, 4, 0}, Interval: hour, Gaps: 1, Longest: 12 * hour}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, plot.RegularityOf(test.days, 10, 13)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
