package httpapi

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's checksum, not a signature
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/tuboids"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// TuboidIngest stores an uploaded tuboid.
type TuboidIngest interface {
	Put(ctx context.Context, upload tuboids.Upload, user string) (store.Tuboid, error)
}

func (a *api) tuboidRoutes(g *gin.Engine) {
	g.POST("/_put_tiled_tuboids", a.as(auth.ReadWrite, a.putTuboid))
	g.POST("/get_tiled_tuboid_series/:what", a.as(auth.ReadOnly, a.getTuboidSeries))
	g.POST("/delete_tiled_tuboids", a.as(auth.Admin, a.deleteTuboids))
	g.POST("/put_itc_labels", a.as(auth.ReadWrite, a.putLabels))
	g.POST("/_get_itc_labels", a.as(auth.ReadOnly, a.getLabels))
}

// tuboidParts are the fields of a tuboid's form. maxTuboidText bounds, in bytes, the two that hold JSON.
var tuboidParts = []string{"tuboid_id", "series_info", "metadata", "tuboid", "context"}

const maxTuboidText = 64 << 10

// putTuboid stores the one tuboid of a form; parts of other names are passed over.
func (a *api) putTuboid(c *gin.Context, by *store.User) error {
	l := newList(c, spi.DateV2)
	return a.withForm(c, func(f *form) error {
		if len(f.files) == 0 {
			return l.end()
		}
		parts, err := f.byName(tuboidParts)
		if err != nil {
			return err
		}
		if err := a.large.Acquire(c.Request.Context(), f.spooled()); err != nil {
			return err
		}
		defer a.large.Release(f.spooled())
		upload, err := readTuboid(parts, f.md5)
		if err != nil {
			return err
		}
		t, err := a.TuboidIngest.Put(c.Request.Context(), upload, by.Username)
		if err != nil {
			return err
		}
		l.buf = append(appendTuboid(append(l.row(), '['), &t, tuboidFormat(f, upload.Info.Format), nil), ']')
		return l.end()
	})
}

// tuboidFormat is the form of the reply's dates. Only clients of the second generation send checksums; without them the
// series_info's own dates tell.
func tuboidFormat(f *form, own *spi.DateFormat) spi.DateFormat {
	switch {
	case len(f.md5) > 0:
		return spi.DateV2
	case own != nil:
		return *own
	}
	return spi.DateV1
}

// byName gives the parts of those names, each of which must be there once.
func (f *form) byName(names []string) (map[string]*part, error) {
	parts := make(map[string]*part, len(names))
	for i := range f.files {
		p := &f.files[i]
		if parts[p.name] != nil {
			return nil, spi.Errorf(spi.CodeInvalid, "the form has the field %.80q twice: send one tuboid a request", p.name)
		}
		parts[p.name] = p
	}
	for _, name := range names {
		if parts[name] == nil {
			return nil, spi.Errorf(spi.CodeInvalid, "the form has no field %q", name)
		}
	}
	return parts, nil
}

// spooled is how many bytes of the form are not in memory yet, as far as they count.
func (f *form) spooled() int64 {
	n := int64(0)
	for i := range f.files {
		if f.files[i].spool != nil {
			n += f.files[i].size
		}
	}
	return min(n, largeFiles)
}

func readTuboid(parts map[string]*part, sums map[string]string) (u tuboids.Upload, err error) {
	data := make(map[string][]byte, len(tuboidParts))
	for _, name := range tuboidParts {
		p := parts[name]
		if (name == "tuboid_id" || name == "series_info") && p.size > maxTuboidText {
			return u, spi.Errorf(spi.CodeInvalid, "%s: is longer than %d bytes", name, maxTuboidText)
		}
		if data[name], err = p.bytes(); err != nil {
			return u, err
		}
		sum := md5.Sum(data[name]) //nolint:gosec // see the import
		if want, sent := sums[name]; sent && !strings.EqualFold(want, hex.EncodeToString(sum[:])) {
			return u, spi.Errorf(spi.CodeInvalid, "%s: the md5 of the file as received is %x, the client said %.40q: send it again", name, sum, want)
		}
	}
	if data["tuboid_id"] = []byte(strings.TrimSpace(string(data["tuboid_id"]))); len(data["tuboid_id"]) == 0 || data["tuboid_id"][0] != '"' {
		return u, spi.Errorf(spi.CodeInvalid, "tuboid_id: must be a JSON string")
	}
	if err := json.Unmarshal(data["tuboid_id"], &u.TuboidID); err != nil {
		return u, spi.Wrap(spi.CodeInvalid, err, "tuboid_id: must be a JSON string")
	}
	if u.Info, err = tuboids.ParseInfo(data["series_info"]); err != nil {
		return u, err
	}
	u.Metadata, u.Tuboid, u.Context = data["metadata"], data["tuboid"], data["context"]
	return u, nil
}

// tuboidURLs gives the function that appends the url of a tuboid's part as JSON; nil for metadata, whose rows have none.
func (a *api) tuboidURLs(c *gin.Context) (func([]byte, *store.Tuboid, tuboids.Part) []byte, error) {
	switch what := c.Param("what"); what {
	case "metadata":
		return nil, nil
	case "data":
		var key []byte
		return func(b []byte, t *store.Tuboid, part tuboids.Part) []byte {
			key = tuboids.AppendKey(key[:0], t.TuboidID, part)
			b = append(b, '"')
			b = a.Blobs.AppendURL(b, string(key))
			return append(b, '"')
		}, nil
	default:
		return nil, spi.Errorf(spi.CodeInvalid, "%.40q is no part of a tuboid: ask for metadata or data", what)
	}
}

func (a *api) getTuboidSeries(c *gin.Context, _ *store.User) error {
	url, err := a.tuboidURLs(c)
	if err != nil {
		return err
	}
	series, format, err := seriesOf(c, func(*element) {})
	if err != nil {
		return err
	}
	l := newList(c, format)
	if err := a.Tuboids.TuboidSeries(c.Request.Context(), series, func(t *store.Tuboid) error {
		return l.done(appendTuboid(l.row(), t, format, url))
	}); err != nil {
		return err
	}
	return l.end()
}

func (a *api) deleteTuboids(c *gin.Context, _ *store.User) error {
	series, format, err := seriesOf(c, func(*element) {})
	if err != nil {
		return err
	}
	l := newList(c, format)
	// A client that hangs up must not leave half a series behind.
	ctx := context.WithoutCancel(c.Request.Context())
	var gone error
	each := func(s *store.TuboidSeries) error { return l.done(appendTuboidSeries(l.row(), s, format)) }
	if err := a.Tuboids.DeleteTuboids(ctx, series, a.deleteTuboidObjects, goingOn(each, &gone)); err != nil {
		return err
	}
	if gone != nil {
		return gone
	}
	return l.end()
}

func (a *api) deleteTuboidObjects(ctx context.Context, _ store.TuboidSeries, all []store.Tuboid) error {
	keys := make([]string, 0, 3*len(all))
	for i := range all {
		keys = append(keys, tuboids.Keys(all[i].TuboidID)...)
	}
	return a.Blobs.Delete(ctx, keys...)
}

// appendTuboid appends a tuboid. url is called for the values of its urls; a nil url leaves the fields out.
func appendTuboid(b []byte, t *store.Tuboid, f spi.DateFormat, url func([]byte, *store.Tuboid, tuboids.Part) []byte) []byte {
	s := &t.Series
	b = append(b, `{"algo_name_series":`...)
	b = appendText(b, s.AlgoName)
	b = append(b, `,"algo_version_series":`...)
	b = appendText(b, s.AlgoVersion)
	b = append(b, `,"api_user":`...)
	b = appendNullText(b, t.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, t.APIVersion)
	if url != nil {
		b = append(b, `,"context":`...)
		b = url(b, t, tuboids.Context)
	}
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, t.DatetimeCreated, f)
	b = append(b, `,"device_series":`...)
	b = appendText(b, s.Device)
	b = append(b, `,"end_datetime":`...)
	b = appendTime(b, t.EndDatetime, f)
	b = append(b, `,"end_datetime_series":`...)
	b = appendTime(b, s.EndDatetime, f)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, t.ID, 10)
	b = append(b, `,"id_in_series":`...)
	b = strconv.AppendInt(b, int64(t.IDInSeries), 10)
	if url != nil {
		b = append(b, `,"metadata":`...)
		b = url(b, t, tuboids.Metadata)
	}
	b = append(b, `,"n_shots":`...)
	b = strconv.AppendInt(b, int64(t.NShots), 10)
	b = append(b, `,"n_tuboids_series":`...)
	b = strconv.AppendInt(b, int64(s.NTuboids), 10)
	b = append(b, `,"parent_series_id":`...)
	b = strconv.AppendInt(b, t.ParentSeriesID, 10)
	b = append(b, `,"start_datetime":`...)
	b = appendTime(b, t.StartDatetime, f)
	b = append(b, `,"start_datetime_series":`...)
	b = appendTime(b, s.StartDatetime, f)
	if url != nil {
		b = append(b, `,"tuboid":`...)
		b = url(b, t, tuboids.Picture)
	}
	b = append(b, `,"tuboid_id":`...)
	b = appendText(b, t.TuboidID)
	return append(b, '}')
}

func appendTuboidSeries(b []byte, s *store.TuboidSeries, f spi.DateFormat) []byte {
	b = append(b, `{"algo_name":`...)
	b = appendText(b, s.AlgoName)
	b = append(b, `,"algo_version":`...)
	b = appendText(b, s.AlgoVersion)
	b = append(b, `,"api_user":`...)
	b = appendNullText(b, s.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, s.APIVersion)
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, s.DatetimeCreated, f)
	b = append(b, `,"device":`...)
	b = appendText(b, s.Device)
	b = append(b, `,"end_datetime":`...)
	b = appendTime(b, s.EndDatetime, f)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, s.ID, 10)
	b = append(b, `,"n_images":`...)
	b = strconv.AppendInt(b, int64(s.NImages), 10)
	b = append(b, `,"n_tuboids":`...)
	b = strconv.AppendInt(b, int64(s.NTuboids), 10)
	b = append(b, `,"start_datetime":`...)
	b = appendTime(b, s.StartDatetime, f)
	return append(b, '}')
}
