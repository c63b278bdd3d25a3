package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"runtime"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/plot"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of a request for a plot.
const (
	maxObject        = 1 << 20 // bytes of a body that is one object
	maxPatterns      = 1000    // of devices
	defaultWidth     = 1000    // pixels
	pointBytes       = 64      // about what a point takes
	maxDevicesAtOnce = 4       // devices of a request that are read at a time
	// Images that are read for a request of days that changed, a second's work, and of days that are too large to be kept.
	maxChanged = 120_000
	maxLarge   = 300_000
	// Where the database reads slowly, for how long it goes on with days that changed.
	maxWait = 5 * time.Second
)

func (a *api) viewRoutes(g *gin.Engine) {
	g.POST("/v2/series", a.as(auth.ReadOnly, a.getPlot))
	g.GET("/v2/devices", a.as(auth.ReadOnly, a.getDevices))
	g.GET("/v2/progress", a.as(auth.ReadOnly, a.getProgress))
	g.GET("/v2/events", a.as(auth.ReadOnly, a.getEvents))
	g.GET("/v2/tuboid_shots", a.as(auth.ReadOnly, a.getShots))
	g.GET("/v2/tuboid_tile", a.as(auth.ReadOnly, a.getTile))
	g.GET("/v2/me", a.as(auth.ReadOnly, a.getMe))
}

// measures are the variables of the protocol.
var measures = map[spi.Variable]store.Measure{
	spi.Temperature: store.Temperature, spi.Humidity: store.Humidity, spi.Light: store.Light, spi.Battery: store.Battery,
	spi.Latitude: store.Latitude, spi.Longitude: store.Longitude, spi.Insects: store.Insects,
}

// variables are the protocol's in the order of their names, in which they stand in the reply.
var variables = []spi.Variable{spi.Battery, spi.Humidity, spi.Insects, spi.Latitude, spi.Light, spi.Longitude, spi.Temperature}

// plotRequest is the body of /v2/series.
type plotRequest struct {
	start, end time.Time
	devices    []string
	variables  []spi.Variable // in the order of the reply
	measures   []store.Measure
	width      int
	algoName   string // empty: of any algorithm
}

// readPlotRequest reads the body, which must be one object.
func readPlotRequest(body io.Reader) (r plotRequest, err error) {
	e, err := object(body)
	if err != nil {
		return r, err
	}
	r = plotRequest{devices: []string{"%"}}
	for field := range e.fields {
		switch field {
		case "start", "end", "devices", "variables", "width", "algo_name":
		default:
			e.fail(field, "is not a field of this request: those are start, end, devices, variables, width and algo_name")
		}
	}
	r.start, r.end = e.datetime("start"), e.datetime("end")
	if e.err == nil && !r.start.Before(r.end) {
		e.fail("end", "must be later than start")
	}
	if e.has("devices") {
		r.devices = e.texts("devices", maxPatterns)
	}
	asked := map[spi.Variable]bool{}
	for _, name := range e.texts("variables", 100) {
		if _, known := measures[spi.Variable(name)]; !known {
			e.fail("variables", "%.40q is no variable: those are %v", name, variables)
		}
		asked[spi.Variable(name)] = true
	}
	if len(asked) == 0 {
		e.fail("variables", "must name at least one of %v", variables)
	}
	for _, v := range variables {
		if asked[v] {
			r.variables, r.measures = append(r.variables, v), append(r.measures, measures[v])
		}
	}
	if r.width = e.integer("width", 1, defaultWidth); r.width > plot.MaxWidth {
		e.fail("width", "must be at most %d", plot.MaxWidth)
	}
	if e.has("algo_name") {
		r.algoName = algoName(e)
	}
	return r, e.err
}

// object reads a body that must be one JSON object.
func object(body io.Reader) (*element, error) {
	text, err := io.ReadAll(io.LimitReader(&oneBlank{r: body}, maxObject+1))
	if err != nil {
		return nil, badJSON(err)
	}
	if len(text) > maxObject {
		return nil, spi.Errorf(spi.CodeTooLarge, "the body is larger than %d MB", maxObject>>20)
	}
	e := &element{alone: true, raw: text}
	var wrongType *json.UnmarshalTypeError
	switch err := json.Unmarshal(text, &e.fields); {
	case errors.As(err, &wrongType), err == nil && e.fields == nil:
		return nil, spi.Errorf(spi.CodeInvalid, "the body must be one JSON object")
	case err != nil:
		return nil, badJSON(err)
	}
	return e, nil
}

// drawn is a device's plot.
type drawn struct {
	points []store.Point
	images int
}

// getPlot reads some devices at a time, and writes them in order. Days that changed are worked out before the first is
// written: once the reply has begun, too many of them could not be answered by a status any more.
func (a *api) getPlot(c *gin.Context, user *store.User) error {
	if err := jsonType(c); err != nil {
		return err
	}
	r, err := readPlotRequest(c.Request.Body)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	atOnce := min(maxDevicesAtOnce, max(2, runtime.GOMAXPROCS(0)))
	// what is chosen, beside all of the points where they are few
	done, err := a.plots.take(ctx, user.ID, atOnce*r.width*(2*len(r.measures)+2)*pointBytes)
	if err != nil {
		return err
	}
	defer done()
	devices, err := a.Views.DevicesLike(ctx, r.devices)
	if err != nil {
		return err
	}
	if err := a.workOut(ctx, devices, &r, atOnce); err != nil {
		return err
	}
	l := newList(c, spi.DateV2)
	l.hurry(a.Now)
	for len(devices) > 0 {
		some := devices[:min(len(devices), atOnce)]
		devices = devices[len(some):]
		plots := make([]drawn, len(some))
		g, within := errgroup.WithContext(ctx)
		for i, device := range some {
			g.Go(func() error {
				s := plot.NewSampler(r.start.Unix(), r.end.Unix(), r.width, r.measures)
				err := a.Views.Points(within, device, r.start, r.end, r.algoName, s.Add)
				plots[i].points, plots[i].images = s.Points()
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i := range plots {
			if plots[i].images == 0 {
				continue
			}
			if err := l.done(appendPlot(l.row(), some[i], &plots[i], &r)); err != nil {
				return err
			}
		}
	}
	return l.end()
}

// workOut works out the days of the range, so many devices at a time.
func (a *api) workOut(ctx context.Context, devices []string, r *plotRequest, atOnce int) error {
	effort := store.NewEffort(maxChanged, maxLarge).Within(maxWait, a.Now)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, device := range devices {
		g.Go(func() error { return a.Views.WorkOut(ctx, device, r.start, r.end, effort) })
	}
	return g.Wait()
}

func appendPlot(b []byte, device string, d *drawn, r *plotRequest) []byte {
	b = append(b, `{"device":`...)
	b = appendText(b, device)
	b = append(b, `,"id":`...)
	b = appendDeltas(b, d.points, func(p *store.Point) int64 { return p.ID })
	b = append(b, `,"images":`...)
	b = strconv.AppendInt(b, int64(d.images), 10)
	b = append(b, `,"shown":`...)
	b = strconv.AppendInt(b, int64(len(d.points)), 10)
	b = append(b, `,"time":`...)
	b = appendDeltas(b, d.points, func(p *store.Point) int64 { return p.At })
	b = append(b, `,"values":{`...)
	for i, v := range r.variables {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, string(v))
		b = append(b, ':', '[')
		m, decimals := r.measures[i], r.measures[i].Decimals()
		for j := range d.points {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendDecimal(b, d.points[j].Values[m], decimals)
		}
		b = append(b, ']')
	}
	return append(b, "}}"...)
}

func appendDeltas(b []byte, points []store.Point, value func(*store.Point) int64) []byte {
	b = append(b, '[')
	last := int64(0)
	for i := range points {
		if i > 0 {
			b = append(b, ',')
		}
		v := value(&points[i])
		b = strconv.AppendInt(b, v-last, 10)
		last = v
	}
	return append(b, ']')
}

// appendDecimal appends a point's value, without zeros at the end.
func appendDecimal(b []byte, scaled int32, decimals int) []byte {
	if scaled == store.Missing {
		return append(b, "null"...)
	}
	v := int64(scaled)
	if v < 0 {
		b, v = append(b, '-'), -v
	}
	unit := int64(math.Pow10(decimals))
	b = strconv.AppendInt(b, v/unit, 10)
	v %= unit
	if v == 0 {
		return b
	}
	b = append(b, '.')
	for ; v > 0; v %= unit {
		unit /= 10
		b = append(b, byte('0'+v/unit))
	}
	return b
}
