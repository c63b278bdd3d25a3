package demo

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"testing"
	"time"
)

var evening = time.Date(2026, 7, 10, 20, 0, 0, 0, time.UTC)

func TestWhatSticksToACardStays(t *testing.T) {
	for device := range devices {
		before := onCard(device, evening.Add(-interval))
		for at := evening; at.Before(evening.Add(2 * cardLife)); at = at.Add(interval) {
			now := onCard(device, at)
			if len(now) > maxOnCard+1 {
				t.Fatalf("%d things on a card", len(now))
			}
			if len(now) < len(before) { // a new card
				if len(now) > 3 {
					t.Errorf("a new card with %d things", len(now))
				}
			} else if !slices.Equal(now[:len(before)], before) {
				t.Errorf("device %d, %v: something went away", device, at)
			}
			before = now
		}
	}
}

func TestACardFillsWithInsects(t *testing.T) {
	for device := range devices {
		insects := 0
		for day := range 7 {
			n := 0
			for _, thing := range onCard(device, evening.Add(time.Duration(day)*24*time.Hour)) {
				if thing.insect {
					n++
				}
			}
			insects = max(insects, n)
		}
		if insects < 15 {
			t.Errorf("device %d has %d insects in its best time", device, insects)
		}
	}
}

func TestPicturesAreTheSameWheneverTheyAreMade(t *testing.T) {
	first, again := picture(1, evening), picture(1, evening)
	if !bytes.Equal(first, again) {
		t.Error("two pictures of one moment differ")
	}
	if other := picture(2, evening); bytes.Equal(first, other) {
		t.Error("two devices have the same picture")
	}
	if len(first) > 600_000 {
		t.Errorf("%d bytes", len(first))
	}
	p, err := jpeg.Decode(bytes.NewReader(first))
	if err != nil || p.Bounds().Size() != (image.Point{X: width, Y: height}) {
		t.Errorf("%v, %v", p, err)
	}
}

func BenchmarkPicture(b *testing.B) {
	for b.Loop() {
		picture(1, evening)
	}
}
