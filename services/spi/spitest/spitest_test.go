package spitest_test

import (
	"bytes"
	"image/jpeg"
	"testing"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

func TestPhotographsAreJPEGsAndDependOnTheirSeedAlone(t *testing.T) {
	for _, g := range []spitest.Generation{0, spitest.First, spitest.Second} {
		one := spitest.JPEG(spitest.Photo{Generation: g, Seed: 1})
		if !bytes.Equal(one, spitest.JPEG(spitest.Photo{Generation: g, Seed: 1})) {
			t.Errorf("generation %d: the same photo twice gives other bytes", g)
		}
		if bytes.Equal(one, spitest.JPEG(spitest.Photo{Generation: g, Seed: 2})) {
			t.Errorf("generation %d: another seed gives the same bytes", g)
		}
		m, err := jpeg.Decode(bytes.NewReader(one))
		if err != nil {
			t.Fatalf("generation %d: %v", g, err)
		}
		if b := m.Bounds(); b.Dx() != 648 || b.Dy() != 486 {
			t.Errorf("generation %d: %v", g, b)
		}
	}
}

func TestAPhotographOfTheDevicesSizeIsAsLargeAsTheirs(t *testing.T) {
	n := len(spitest.JPEG(spitest.Photo{Width: 2592, Height: 1944}))
	if n < 1_800_000 || n > 2_500_000 {
		t.Errorf("%d bytes, not about 2 MB", n)
	}
}

func TestName(t *testing.T) {
	if got := spitest.Name("5c173ff2", time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)); got != "5c173ff2.2020-06-20_21-33-24.jpg" {
		t.Error(got)
	}
}
