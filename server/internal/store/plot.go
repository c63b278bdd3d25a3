package store

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Measure is one of the values that a [Point] has.
type Measure int

// The measures, with the units of each.
const (
	Temperature Measure = iota // degrees Celsius
	Humidity                   // %
	Light                      // see [LightOf]
	Battery                    // %
	Latitude                   // degrees
	Longitude                  // degrees
	Insects                    // objects of an algorithm's newest annotation
	Measures    int     = iota // how many there are
)

// decimals are the places behind the decimal point that a measure is kept with.
var decimals = [Measures]int{Temperature: 2, Humidity: 2, Light: 3, Battery: 1, Latitude: 6, Longitude: 6}

// Decimals is how many places behind the decimal point a measure's values have.
func (m Measure) Decimals() int { return decimals[m] }

// Missing is the value of what an image does not have.
const Missing int32 = math.MinInt32

// Point is an image to draw: its values times ten to the power of their decimals, or [Missing].
type Point struct {
	At     int64 // when it was taken, seconds since the epoch
	ID     int64
	Values [Measures]int32
}

// Set sets a measure from the number in the row; one that is none, or too large to be one, is missing.
func (p *Point) Set(m Measure, v sql.Null[float64]) {
	p.Values[m] = Missing
	if scaled := math.Round(v.V * math.Pow10(m.Decimals())); v.Valid && math.Abs(scaled) <= math.MaxInt32 {
		p.Values[m] = int32(scaled)
	}
}

// PointOf gives the point of an image, without insects. Sensors that failed say -300 degrees or less, or a negative humidity.
func PointOf(i *Image) Point {
	p := Point{At: i.Datetime.Unix(), ID: i.ID}
	temperature, humidity := i.Temp, i.Hum
	temperature.Valid = temperature.Valid && temperature.V >= -300
	humidity.Valid = humidity.Valid && humidity.V >= 0
	p.Set(Temperature, temperature)
	p.Set(Humidity, humidity)
	p.Set(Light, LightOf(i))
	p.Set(Battery, i.Bat)
	p.Set(Latitude, i.Lat)
	p.Set(Longitude, i.Lng)
	p.Values[Insects] = Missing
	return p
}

// LightOf is the light intensity at an image: what the second generation of devices says it is, and what the old viewer made
// of the exposure without flash for the first.
func LightOf(i *Image) sql.Null[float64] {
	if i.Lum.Valid {
		return i.Lum
	}
	v, ok := spi.LightOf(i.NoFlashBV.V, i.NoFlashExposureTime.V)
	return sql.Null[float64]{V: v, Valid: ok && i.NoFlashBV.Valid && i.NoFlashExposureTime.Valid}
}

// DaySummary is what is known of a device's images of one UTC day.
type DaySummary struct {
	Day             int // since 1970-01-01
	Images          int
	FirstAt, LastAt int64 // seconds since the epoch; 0 where there are no images
	Step            int   // the median time from image to image, seconds; 0 where there are less than two
	Gaps            int   // times of more than MissedSteps times Step
	Longest         int   // the longest time between two images, seconds
}

// MissedSteps is how many times the usual interval must pass between two images to count as a gap: two are missing then for
// certain, while one that is late does not count.
const MissedSteps = 2.5

// SummaryOf looks at the times of a day's images, in order. It changes nothing.
func SummaryOf(day int, points []Point) DaySummary {
	s := DaySummary{Day: day, Images: len(points)}
	if len(points) == 0 {
		return s
	}
	s.FirstAt, s.LastAt = points[0].At, points[len(points)-1].At
	steps := make([]int, 0, len(points))
	for i := 1; i < len(points); i++ {
		steps = append(steps, int(points[i].At-points[i-1].At))
	}
	if len(steps) == 0 {
		return s
	}
	slices.Sort(steps)
	s.Step, s.Longest = steps[len(steps)/2], steps[len(steps)-1]
	for _, step := range steps {
		if float64(step) > MissedSteps*float64(s.Step) {
			s.Gaps++
		}
	}
	return s
}

// DaySeconds is the length of a UTC day.
const DaySeconds = 24 * 60 * 60

// MaxKeptImages is up to how many images a device's day is kept for those who draw it; those of larger days are read one by
// one each time.
const MaxKeptImages = 2048

// askAgainAfter is when to ask again for days that are being worked out.
const askAgainAfter = 5 * time.Second

// Effort bounds how many images a request has read one by one, because their days are not worked out or too large to be
// kept. A nil Effort bounds nothing. It is safe for concurrent use.
type Effort struct {
	changed, large         atomic.Int64
	mostChanged, mostLarge int64
	isOver                 func() bool // the time; nil: never
}

// NewEffort gives the effort of a request that reads so many images of days that changed or were never worked out, and so
// many of days with more than [MaxKeptImages].
func NewEffort(changed, large int64) *Effort { return &Effort{mostChanged: changed, mostLarge: large} }

// Within bounds the time too, for a database that reads slowly, and gives e: what has been read until then was the last.
func (e *Effort) Within(d time.Duration, now func() time.Time) *Effort {
	end := now().Add(d)
	e.isOver = func() bool { return !now().Before(end) }
	return e
}

// Changed notes images that were read of days that were not worked out. CodeUnavailable once they are too many, or took too
// long: days are kept as they are worked out, so whoever asks again gets further. The first that are read are never too late.
func (e *Effort) Changed(images int) error {
	if e == nil || images == 0 {
		return nil
	}
	all := e.changed.Add(int64(images))
	if late := all > int64(images) && e.isOver != nil && e.isOver(); all <= e.mostChanged && !late {
		return nil
	}
	return &spi.Error{
		Code: spi.CodeUnavailable, RetryAfter: askAgainAfter,
		Message: "the server has not yet worked out all of these days, as after an upgrade; it begins with the newest: try again, or ask for a shorter range",
	}
}

// Large notes images that will be read of days that are too large to be kept. CodeInvalid once they are too many.
func (e *Effort) Large(images int) error {
	if e == nil || e.large.Add(int64(images)) <= e.mostLarge {
		return nil
	}
	return spi.Errorf(spi.CodeInvalid, "days of a device with more than %d images are drawn up to %d images in all: ask for a shorter range, or fewer devices",
		MaxKeptImages, e.mostLarge)
}

// Stored is an image or, where AlgoName is not empty, an annotation, as those are told of it who wait for news.
type Stored struct {
	ID       int64 // of the image, or of the annotation
	Device   string
	Datetime time.Time // of the image
	ImageID  int64     // of an annotation's image
	AlgoName string
	NObjects int
}

// StoredRange names rows by their ids: After < id <= UpTo, at most Limit of them, and those of IDs.
type StoredRange struct {
	After, UpTo int64
	Limit       int
	IDs         []int64
}

// Views gives what viewers draw: values of many images in little time. Errors are as those of [Store], and so are callbacks.
// Devices are given in small letters; where one is asked for, it is exact, in small letters.
type Views interface {
	// DevicesLike gives the devices that have images and match one of the LIKE patterns, sorted.
	DevicesLike(ctx context.Context, patterns []string) ([]string, error)
	// Points calls fn with a point for each image of the device with start <= datetime < end, in order of time. Insects are
	// those of the newest annotation: of the algorithm, compared without case, or of any where algoName is empty. fn may not keep
	// the point.
	Points(ctx context.Context, device string, start, end time.Time, algoName string, fn func(*Point)) error
	// WorkOut works out the days of that range that changed, so that Points need not; with the effort's errors.
	WorkOut(ctx context.Context, device string, start, end time.Time, effort *Effort) error
	// DaySummaries calls fn with the days from first to before end (since 1970-01-01) that have images, in order; with the
	// effort's errors. It takes a tenth of the time of WorkOut, and keeps nothing.
	DaySummaries(ctx context.Context, device string, first, end int, effort *Effort, fn func(DaySummary)) error
	// KeepDays works out the days from first to before end that changed, of all devices, so that those who ask for them do
	// not wait for it, the newest first, and forgets days without images. between is called after each month of a device; its error
	// ends it.
	KeepDays(ctx context.Context, first, end int, between func() error) error
	// NewestImages gives the device's newest images, at most n, the newest first.
	NewestImages(ctx context.Context, device string, n int) ([]Image, error)
	// NewestIDs gives the greatest ids of images and of annotations, 0 where there are none.
	NewestIDs(ctx context.Context) (image, annotation int64, err error)
	// StoredImages gives the images in the range, ordered by id. Ids rise in the order in which images begin to be stored,
	// not in that in which they are there.
	StoredImages(ctx context.Context, r StoredRange) ([]Stored, error)
	// StoredAnnotations gives the annotations in the range, likewise.
	StoredAnnotations(ctx context.Context, r StoredRange) ([]Stored, error)
}
