package ui

import (
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/front"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/session"
)

// columns are those of the wire, in the order in which people read, the light intensity, and the number of insects.
var columns = []string{
	"id", "device", "datetime", "temp", "hum", "light", "lum", "n_insects", "bat", "but", "lat", "lng", "alt", "device_version", "width", "height",
	"no_flash_shutter_speed", "no_flash_exposure_time", "no_flash_bv", "no_flash_iso", "md5", "datetime_created", "api_version", "api_user",
}

// maxDevices bounds how many devices one table may name.
const maxDevices = 1000

// plainTable is where the table comes as a file that spreadsheets open: compressed on the way alone, if at all.
const plainTable = "/data.csv"

// pieceImages bounds how many images' annotations are held at a time, but for a day that has more.
const pieceImages = 20_000

// export streams the metadata of the images in scope as a table, compressed unless it is the plain one: some days of a device at a time, in bounded memory. Query:
// start (included), end (excluded), and device, any number of times; all devices where there is none. A table that is cut
// short ends without gzip's end, or the reply's, and so shows it.
func (u *ui) export(c *gin.Context, s session.Session) error {
	start, end, err := rangeOf(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	client, err := u.client(c, spi.WithToken(s.Token))
	if err != nil {
		return err
	}
	devices := c.QueryArray("device")
	if len(devices) > maxDevices {
		return spi.Errorf(spi.CodeInvalid, "device: at most %d", maxDevices)
	}
	states, err := client.GetDevices(ctx, start.Time, end.Time, devices...)
	if err != nil {
		return err
	}
	h := c.Writer.Header()
	kind, suffix, compressed := "application/gzip", ".csv.gz", true
	if c.FullPath() == plainTable {
		kind, suffix = "text/csv; charset=utf-8", ".csv"
		h.Set("Vary", "Accept-Encoding")
		if compressed = front.AcceptsGzip(c.Request.Header.Values("Accept-Encoding")); compressed {
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="data.%s.%s%s"`, start.Format(time.DateOnly), end.Add(-time.Second).Format(time.DateOnly), suffix))
	c.Status(http.StatusOK)
	var body io.WriteCloser = asIs{c.Writer}
	if compressed {
		if body, err = gzip.NewWriterLevel(c.Writer, gzip.BestSpeed); err != nil {
			return err
		}
	}
	table := csv.NewWriter(body)
	err = table.Write(columns)
	for _, state := range states {
		if state.Images == 0 { // its days are whole ones: there may be fewer in the range itself
			continue
		}
		for piece := range pieces(start.Time, end.Time, state.ImagesPerDay, pieceImages) {
			if err == nil {
				piece.Device = state.Device
				err = u.exportPiece(c, client, table, piece)
			}
		}
	}
	table.Flush()
	if err == nil {
		err = table.Error()
	}
	if err == nil {
		err = body.Close()
	}
	if err != nil {
		u.Log.WarnContext(ctx, "table cut short", "error", err)
		panic(http.ErrAbortHandler) // too late for a status
	}
	return nil
}

// asIs writes what it is given, and has nothing to end.
type asIs struct{ io.Writer }

func (asIs) Close() error { return nil }

func rangeOf(c *gin.Context) (start, end spi.Datetime, err error) {
	for name, to := range map[string]*spi.Datetime{"start": &start, "end": &end} {
		if to.Time, _, err = spi.ParseDatetime(c.Query(name)); err != nil {
			return start, end, spi.Wrap(spi.CodeInvalid, err, "%s: %v", name, err)
		}
	}
	if !start.Before(end.Time) {
		return start, end, spi.Errorf(spi.CodeInvalid, "start must be before end")
	}
	return start, end, nil
}

// pieces cuts a range at midnights, so that none of its pieces has more than so many images, but for a day that has more.
// perDay are the images of each UTC day of the range.
func pieces(start, end time.Time, perDay []int, most int) iter.Seq[spi.Series] {
	return func(yield func(spi.Series) bool) {
		from, held := start, 0
		for i, images := range perDay {
			midnight := start.UTC().Truncate(24*time.Hour).AddDate(0, 0, i)
			if held > 0 && held+images > most {
				if !yield(spi.Series{Start: spi.Datetime{Time: from}, End: spi.Datetime{Time: midnight}}) {
					return
				}
				from, held = midnight, 0
			}
			held += images
		}
		yield(spi.Series{Start: spi.Datetime{Time: from}, End: spi.Datetime{Time: end}})
	}
}

func (u *ui) exportPiece(c *gin.Context, client *spi.Client, table *csv.Writer, series spi.Series) error {
	ctx := c.Request.Context()
	insects := map[int64]newest{}
	for a, err := range client.GetAnnotationSeries(ctx, spi.AnnotationRows, series) {
		if err != nil {
			return err
		}
		insects[a.ParentImageID] = insects[a.ParentImageID].or(a)
	}
	row := make([]string, 0, len(columns))
	for image, err := range client.GetImageSeries(ctx, spi.Metadata, series) {
		if err != nil {
			return err
		}
		found := ""
		if a, ok := insects[image.ID]; ok {
			found = strconv.Itoa(a.objects)
		}
		row = appendRow(row[:0], image, found)
		if err := table.Write(row); err != nil {
			return err
		}
	}
	return nil
}

// newest is what the newest annotation of an image found, whichever algorithm made it, as /v2/series has it.
type newest struct {
	id      int64
	version string
	objects int
}

func (n newest) or(a spi.Annotation) newest {
	if n.version != "" && cmp.Or(cmp.Compare(spi.VersionTime(n.version), spi.VersionTime(a.AlgoVersion)), cmp.Compare(n.id, a.ID)) >= 0 {
		return n
	}
	return newest{a.ID, a.AlgoVersion, a.NObjects}
}

func appendRow(row []string, i spi.Image, insects string) []string {
	return append(row,
		strconv.FormatInt(i.ID, 10), i.Device, spi.FormatDatetime(i.Datetime.Time, spi.DateV2),
		number(i.Temp), number(i.Hum), number(rounded(i.Light())), number(i.Lum), insects, number(i.Bat), number(i.But), number(i.Lat), number(i.Lng), number(i.Alt),
		text(i.DeviceVersion), strconv.Itoa(i.Width), strconv.Itoa(i.Height),
		number(i.NoFlashShutterSpeed), number(i.NoFlashExposureTime), number(i.NoFlashBV), number(i.NoFlashISO),
		i.MD5, spi.FormatDatetime(i.DatetimeCreated.Time, spi.DateV2), text(i.APIVersion), text(i.APIUser))
}

// number writes a value that may be absent.
func number(f *float64) string {
	if f == nil {
		return ""
	}
	return spi.FormatValue(*f)
}

// rounded is to a thousandth, as /v2/series has light.
func rounded(f *float64) *float64 {
	if f == nil {
		return nil
	}
	v := math.Round(*f*1000) / 1000
	return &v
}

// text is empty where there is none.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return spi.NoFormula(*s)
}
