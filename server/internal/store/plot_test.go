package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func TestAnEffortEndsWithItsTime(t *testing.T) {
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	type read struct {
		after  time.Duration // since the start
		images int
		ok     bool
	}
	for name, reads := range map[string][]read{
		"in time":                          {{0, 10, true}, {4 * time.Second, 10, true}},
		"late":                             {{time.Second, 10, true}, {5 * time.Second, 10, false}, {5 * time.Second, 10, false}},
		"the first are never too late":     {{time.Minute, 10, true}, {time.Minute, 1, false}},
		"nothing read is never too late":   {{0, 10, true}, {time.Minute, 0, true}},
		"too many, in time":                {{0, 100, true}, {0, 1, false}},
		"the first may be too many though": {{0, 101, false}},
	} {
		t.Run(name, func(t *testing.T) {
			now := start
			e := store.NewEffort(100, 0).Within(5*time.Second, func() time.Time { return now })
			for i, r := range reads {
				now = start.Add(r.after)
				err := e.Changed(r.images)
				var refused *spi.Error
				if (err == nil) != r.ok || err != nil && (!errors.As(err, &refused) || refused.Code != spi.CodeUnavailable || refused.RetryAfter == 0) {
					t.Errorf("read %d: %v", i, err)
				}
			}
		})
	}
}
