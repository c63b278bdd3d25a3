package spi

// Variable is one of the values that [Client.GetPlot] gives of each image.
type Variable string

// The variables.
const (
	Temperature Variable = "temperature" // degrees Celsius
	Humidity    Variable = "humidity"    // relative humidity, %
	Light       Variable = "light"       // log10(1 + no_flash_bv) / no_flash_exposure_time, or lum
	Battery     Variable = "battery"     // 0 to 100 %
	Latitude    Variable = "lat"         // degrees
	Longitude   Variable = "lng"         // degrees
	Insects     Variable = "insects"     // objects of the newest annotation
)

// DetectorAlgorithm is the algo_name of what the server's own detector finds.
const DetectorAlgorithm = "universal-insect-detector"

// PlotRequest asks for the values of the images from Start (included) to End (excluded), as they are to be drawn.
type PlotRequest struct {
	Start     Datetime   `json:"start"`
	End       Datetime   `json:"end"`
	Devices   []string   `json:"devices,omitempty"` // LIKE patterns; none: all devices
	Variables []Variable `json:"variables"`
	Width     int        `json:"width,omitempty"`     // pixels that the range is drawn on, 1 to 4000; 0: 1000
	AlgoName  string     `json:"algo_name,omitempty"` // whose insects; empty: the newest annotation's, whosever it is
}

// Plot is the values of one device's images, as columns of equal length: each place is one image. Where there are more
// images than pixels, each pixel keeps the images with the least and the greatest value of each variable.
type Plot struct {
	Device string                  `json:"device"` // in small letters
	Images int                     `json:"images"` // in the range
	Shown  int                     `json:"shown"`  // of these in the columns
	Time   Deltas                  `json:"time"`   // seconds since the epoch
	ID     Deltas                  `json:"id"`     // of the images
	Values map[Variable][]*float64 `json:"values"` // nil: missing
}

// DeviceState is how a device does, in the range asked for unless it says otherwise. Absent values are nil.
type DeviceState struct {
	Device         string   `json:"device"` // in small letters
	DeviceVersion  *string  `json:"device_version"`
	Images         int      `json:"images"`
	ImagesPerDay   []int    `json:"images_per_day"`   // one for each UTC day of the range
	Interval       *float64 `json:"interval"`         // seconds from image to image, the median
	ExpectedPerDay *float64 `json:"expected_per_day"` // images
	Gaps           int      `json:"gaps"`             // intervals of more than 2.5 times the usual one
	LongestGap     int64    `json:"longest_gap"`      // seconds
	LastID         int64    `json:"last_id"`          // the newest image, in the range or not
	LastDatetime   Datetime `json:"last_datetime"`
	Silence        int64    `json:"silence"`      // seconds since that image
	UploadDelay    int64    `json:"upload_delay"` // seconds from its taking to its storing
	ClockAhead     int64    `json:"clock_ahead"`  // seconds, at least; 0: nothing shows it
	Temperature    *float64 `json:"temperature"`  // this and those below: the newest known of the last 24 images
	Humidity       *float64 `json:"humidity"`
	Battery        *float64 `json:"battery"`
	Lat            *float64 `json:"lat"`
	Lng            *float64 `json:"lng"`
	Alt            *float64 `json:"alt"`
}

// Progress is how far an algorithm is, in images.
type Progress struct {
	AlgoName      string           `json:"algo_name"`
	AlgoVersion   string           `json:"algo_version"`    // the newest that asked for work
	Waiting       int64            `json:"waiting"`         // without an annotation of it; those that are leased, too
	Failed        int64            `json:"failed"`          // three times: they rest
	AtLeast       bool             `json:"at_least"`        // there may be more of both
	Devices       []DeviceProgress `json:"devices"`         // that have any of these
	FailedInARow  int64            `json:"failed_in_a_row"` // after LastAnnotated
	LastFailed    Datetime         `json:"last_failed"`     // zero: none has
	LastAnnotated Datetime         `json:"last_annotated"`  // zero: not lately
	IdleSince     Datetime         `json:"idle_since"`      // nothing was done since, though images waited; zero: none waits
	Counted       Datetime         `json:"counted"`         // as of when all this is
}

// DeviceProgress is a device's part of [Progress].
type DeviceProgress struct {
	Device  string `json:"device"` // in small letters
	Waiting int64  `json:"waiting"`
	Failed  int64  `json:"failed"`
}

// Shot is one picture of a tuboid: the image that it is of, and which part of it the tile shows.
type Shot struct {
	Datetime Datetime `json:"datetime"`
	X        float64  `json:"x"` // of the tile's centre, in pixels of the image
	Y        float64  `json:"y"`
	Scale    float64  `json:"scale"` // pixels of the tile for each of the image
}

// Me is who asks.
type Me struct {
	ID       int64  `json:"id"`
	Role     string `json:"role"` // "read-only", "read-write" or "admin"
	Username string `json:"username"`
}

// EventKind says what an [Event] tells.
type EventKind string

// The kinds of events.
const (
	ImageStored    EventKind = "image"
	ImageAnnotated EventKind = "annotation"
	EventsSkipped  EventKind = "reset" // too many were missed: ask for the series anew
)

// Event is something that the server stored. Of EventsSkipped all but Kind and Position are zero.
type Event struct {
	Kind     EventKind `json:"-"`
	Position string    `json:"-"` // where to go on from: see [Client.Events]
	Device   string    `json:"device"`
	Datetime Datetime  `json:"datetime"`
	ID       int64     `json:"id"`        // of the image, or of the annotation
	ImageID  int64     `json:"image_id"`  // of an annotation's image
	AlgoName string    `json:"algo_name"` // of an annotation
	NObjects int       `json:"n_objects"` // of an annotation
}
