package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type listCmd struct {
	rangeFlags
	outputFlags
	What string `enum:"metadata,image,thumbnail,thumbnail-mini" default:"metadata" help:"Add the URL of that picture to --json and --csv; it works for 7 days."`
}

func (listCmd) Help() string {
	return `Lists images, ordered by device, then time. For example: the temperatures of two devices in June, for a spreadsheet:

  spi list --since 2026-06 --until 2026-06 -d 5c173ff2 -d 08038ade --csv > june.csv`
}

func (c listCmd) Run(ctx context.Context, a *app) error {
	client, series, zone, err := c.open(a)
	if err != nil {
		return err
	}
	return showFound(a, c.outputFlags, "images", series, client.GetImageSeries(ctx, spi.What(c.What), series...),
		column[spi.Image]{"DEVICE", func(i spi.Image) string { return i.Device }},
		column[spi.Image]{"TAKEN (" + zone.String() + ")", func(i spi.Image) string { return shown(i.Datetime, zone) }},
		column[spi.Image]{"°C", func(i spi.Image) string { return orDash(above(i.Temp, -300), number(1)) }},
		column[spi.Image]{"HUM %", func(i spi.Image) string { return orDash(above(i.Hum, 0), number(0)) }},
		column[spi.Image]{"BAT %", func(i spi.Image) string { return orDash(i.Bat, number(0)) }},
		column[spi.Image]{"LAT", func(i spi.Image) string { return orDash(i.Lat, number(5)) }},
		column[spi.Image]{"LNG", func(i spi.Image) string { return orDash(i.Lng, number(5)) }},
		column[spi.Image]{"PIXELS", func(i spi.Image) string { return fmt.Sprintf("%dx%d", i.Width, i.Height) }},
	)
}

// above leaves out what a failed sensor gave.
func above(v *float64, least float64) *float64 {
	if v != nil && *v < least {
		return nil
	}
	return v
}

type devicesCmd struct {
	outputFlags
	zoneFlag
	Device []string `short:"d" placeholder:"PATTERN" help:"Which devices; * stands for any characters, ? for one."`
}

func (devicesCmd) Help() string {
	return `One line for each device that ever sent an image. The last image, the silence since then and the battery are of now;
images and gaps (two images in a row or more are missing) are of the last 28 days.`
}

func (c devicesCmd) Run(ctx context.Context, a *app) error {
	client, zone, err := c.open(a)
	if err != nil {
		return err
	}
	patterns := make([]string, len(c.Device))
	for i, p := range c.Device {
		patterns[i] = like(p)
	}
	all, err := client.GetDevices(ctx, time.Time{}, time.Time{}, patterns...)
	if err != nil {
		return err
	}
	return show(a, c.outputFlags, each(all),
		column[spi.DeviceState]{"DEVICE", func(d spi.DeviceState) string { return d.Device }},
		column[spi.DeviceState]{"LAST IMAGE (" + zone.String() + ")", func(d spi.DeviceState) string { return shown(d.LastDatetime, zone) }},
		column[spi.DeviceState]{"SILENT FOR", func(d spi.DeviceState) string { return days(d.Silence) }},
		column[spi.DeviceState]{"IMAGES (28 DAYS)", func(d spi.DeviceState) string { return strconv.Itoa(d.Images) }},
		column[spi.DeviceState]{"GAPS (28 DAYS)", gaps},
		column[spi.DeviceState]{"BAT %", func(d spi.DeviceState) string { return orDash(d.Battery, number(0)) }},
		column[spi.DeviceState]{"VERSION", func(d spi.DeviceState) string { return orDash(d.DeviceVersion, plain) }},
	)
}

// fewImages do not tell how often a device takes one, nor how many are missing.
const fewImages = 10

func gaps(d spi.DeviceState) string {
	if d.Images < fewImages {
		return "-"
	}
	return strconv.Itoa(d.Gaps)
}

// days writes seconds for people.
func days(seconds int64) string {
	switch {
	case seconds >= 2*86400:
		return fmt.Sprintf("%d days", seconds/86400)
	case seconds >= 2*3600:
		return fmt.Sprintf("%d hours", seconds/3600)
	case seconds < 0:
		return "-"
	}
	return kitprogress.Count(seconds/60, "minute", "minutes")
}

func plain(s string) string { return s }

type deleteCmd struct {
	Images []string `arg:"" name:"image" help:"Images as DEVICE.YYYY-MM-DD_HH-MM-SS, with .jpg or without."`
	Yes    bool     `help:"Do not ask."`
	outputFlags
}

func (deleteCmd) Help() string {
	return `Deletes images with their annotations and files, for good. For admins. It names each image, rather than a range, so that
nothing goes that was not looked at: 'spi list' tells which there are.`
}

func (c deleteCmd) Run(ctx context.Context, a *app) error {
	keys := make([]spi.ImageKey, len(c.Images))
	for i, name := range c.Images {
		var err error
		if keys[i], err = keyOf(name); err != nil {
			return err
		}
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := a.confirm(ctx, kitprogress.Count(int64(len(keys)), "image and what hangs on it", "images and what hangs on them")+" will be deleted for good", "delete"); err != nil {
			return err
		}
	}
	gone, err := client.DeleteImages(ctx, keys...)
	if err != nil {
		return err
	}
	err = show(a, c.outputFlags, each(gone),
		column[spi.Image]{"DELETED", func(i spi.Image) string { return i.Device + "." + spi.FormatDatetime(i.Datetime.Time, spi.DateV1) }})
	if err == nil && len(gone) < len(keys) {
		err = someFailedf(int64(len(gone)), "%d of %s not there", len(keys)-len(gone), kitprogress.Count(int64(len(keys)), "image was", "images were"))
	}
	return err
}
