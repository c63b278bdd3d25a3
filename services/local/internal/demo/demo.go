// Package demo fills a local server with what three devices would have sent in the last days, so that every page has
// something to show: cards that insects and debris stick to, more from day to day. It may import services/spi, and spitest for
// the photographs' metadata.
package demo

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
)

const (
	days     = 3
	interval = 20 * time.Minute
	width    = 1296 // half of a device's picture: quick to make
	height   = 972
)

var devices = []string{"de300001", "de300002", "de300003"}

// Fill uploads the images through the API, as a device's owner would. An interrupted run, or a later one, sends only what
// is missing.
func Fill(ctx context.Context, log *slog.Logger, apiURL, user, password string, now time.Time) error {
	client, err := spi.New(apiURL, spi.WithPassword(user, password))
	if err != nil {
		return err
	}
	end := now.UTC().Truncate(interval)
	start := end.Add(-days * 24 * time.Hour)
	there := map[string]bool{}
	for image, err := range client.GetImageSeries(ctx, spi.Metadata, spi.Series{
		Device: "de3%", Start: spi.Datetime{Time: start}, End: spi.Datetime{Time: end.Add(time.Second)},
	}) {
		if err != nil {
			return fmt.Errorf("demo: asking what is there: %w", err)
		}
		there[spitest.Name(image.Device, image.Datetime.Time)] = true
	}
	type photo struct {
		device int
		at     time.Time
	}
	var missing []photo
	for at := start; !at.After(end); at = at.Add(interval) {
		for i, device := range devices {
			if !there[spitest.Name(device, at)] {
				missing = append(missing, photo{i, at})
			}
		}
	}
	for i, p := range missing {
		name := spitest.Name(devices[p.device], p.at)
		if _, err := client.PutImage(ctx, spi.FileOf(name, photograph(p.device, name, p.at))); err != nil {
			return fmt.Errorf("demo: uploading %s: %w", name, err)
		}
		if done := i + 1; done%100 == 0 || done == len(missing) {
			log.InfoContext(ctx, "demo", "images", done, "of", len(missing))
		}
	}
	return nil
}

// photograph is a device's picture of that time: warm and dry in the afternoon, cold and damp at night.
func photograph(device int, name string, at time.Time) []byte {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	m := spitest.Metadata(spitest.Second, h.Sum64())
	daylight := math.Max(0, math.Sin((float64(at.Hour()*60+at.Minute())/1440-0.25)*2*math.Pi))
	set := func(to **float64, v float64, digits float64) {
		v = math.Round(v*digits) / digits
		*to = &v
	}
	set(&m.Temp, 11+float64(device)+12*daylight, 10)
	set(&m.Hum, 92-40*daylight, 10)
	set(&m.Lum, 100*daylight, 100)
	set(&m.Bat, 100-float64(device)*7-float64(at.Hour())/2, 1)
	// near the meridian of Greenwich, where the sun goes by UTC, as daylight does here
	set(&m.Lat, 52.2053+0.01*float64(device), 1e5)
	set(&m.Lng, 0.1218+0.01*float64(device), 1e5)
	set(&m.Alt, 12, 10)
	return spitest.WithEXIF(picture(device, at), spitest.EXIF("RaspberryPi", spitest.UserComment(m)))
}
