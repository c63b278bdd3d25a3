package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/work"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// maxAnnotation bounds, in bytes, one element of put_uid_annotations: MariaDB takes at most 16 MB in a statement unless it is
// told otherwise. The annotations of an image with 200 insects are some 100 kB.
const maxAnnotation = 8 << 20

const md5Length = 32 // hexadecimal digits

func (a *api) annotationRoutes(g *gin.Engine) {
	g.POST("/put_uid_annotations", a.as(auth.ReadWrite, a.putAnnotations))
	g.POST("/get_uid_annotations/:what", a.as(auth.ReadOnly, a.getAnnotations))
	g.POST("/get_uid_annotations_series/:what", a.as(auth.ReadOnly, a.getAnnotationSeries))
}

// withJSON reads the last part of the path.
func withJSON(c *gin.Context) (bool, error) {
	switch w := c.Param("what"); w {
	case "metadata":
		return false, nil
	case "data", "json":
		return true, nil
	default:
		return false, spi.Errorf(spi.CodeInvalid, "%.40q is no part of an annotation: ask for metadata, data or json", w)
	}
}

// algoName reads the name of an algorithm.
func algoName(e *element) string {
	name := e.text("algo_name", maxText)
	if wrong := work.CheckAlgoName(name); wrong != "" {
		e.fail("algo_name", "%s", wrong)
	}
	return name
}

func algoVersion(e *element) string {
	version := e.text("algo_version", maxText)
	if wrong := work.CheckAlgoVersion(version); wrong != "" {
		e.fail("algo_version", "%s", wrong)
	}
	return version
}

// newAnnotation reads one element of put_uid_annotations. What is stored is the element as it was sent, to the byte.
func newAnnotation(e *element) store.NewAnnotation {
	n := store.NewAnnotation{Annotation: store.Annotation{JSON: e.raw}}
	e.object("metadata", func(m *element) {
		n.Device, n.Datetime = m.text("device", maxText), m.datetime("datetime")
		n.AlgoName, n.AlgoVersion = algoName(m), algoVersion(m)
		n.MD5 = strings.ToLower(m.text("md5", md5Length))
		if !isMD5(n.MD5) {
			m.fail("md5", "must be 32 hexadecimal digits: the md5 of the image that was annotated")
		}
	})
	raw, ok := e.fields["annotations"]
	switch {
	case !ok:
		e.fail("annotations", "is missing")
		return n
	case raw[0] != '[':
		e.fail("annotations", "must be a list, not %s", kind(raw))
		return n
	case e.err == nil && !utf8.Valid(e.raw):
		e.err = spi.Errorf(spi.CodeInvalid, "element %d: is not valid UTF-8", e.index)
		return n
	}
	n.NObjects = countObjects(e, raw)
	return n
}

// countObjects counts the annotations, which must be objects, one at a time: as a list of their own they would take many
// times the memory.
func countObjects(e *element, raw json.RawMessage) (n int) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil { // the bracket
		e.fail("annotations", "is not a valid list")
		return 0
	}
	var one json.RawMessage
	for ; dec.More(); n++ {
		if err := dec.Decode(&one); err != nil {
			e.fail("annotations", "is not a valid list")
			return 0
		}
		if one[0] != '{' {
			e.fail("annotations", "number %d must be an object, not %s", n, kind(one))
			return 0
		}
	}
	return n
}

// isMD5 says whether s is an md5 in hexadecimal, in small letters.
func isMD5(s string) bool { return len(s) == md5Length && strings.Trim(s, "0123456789abcdef") == "" }

func (a *api) putAnnotations(c *gin.Context, by *store.User) error {
	provenance := a.provenance(by)
	var annotations []store.NewAnnotation
	format, err := elementsUpTo(c, maxAnnotation, func(e *element) error {
		n := newAnnotation(e)
		n.Provenance = provenance
		annotations = append(annotations, n)
		return nil
	})
	if err != nil {
		return err
	}
	l := newList(c, format)
	if len(annotations) == 0 {
		return l.end()
	}
	stored, err := a.Annotations.AddAnnotations(c.Request.Context(), annotations)
	if err != nil {
		return err
	}
	for i := range stored {
		stored[i].JSON = []byte{} // the client has it
		if err := l.done(appendAnnotation(l.row(), &stored[i], format)); err != nil {
			return err
		}
	}
	return l.end()
}

func (a *api) getAnnotations(c *gin.Context, _ *store.User) error {
	with, err := withJSON(c)
	if err != nil {
		return err
	}
	keys, format, err := imageKeys(c)
	if err != nil {
		return err
	}
	return replyAnnotations(c, format, func(ctx context.Context, each func(*store.Annotation) error) error {
		return a.Annotations.ImageAnnotations(ctx, keys, with, each)
	})
}

func (a *api) getAnnotationSeries(c *gin.Context, _ *store.User) error {
	with, err := withJSON(c)
	if err != nil {
		return err
	}
	series, format, err := seriesOf(c, func(*element) {})
	if err != nil {
		return err
	}
	return replyAnnotations(c, format, func(ctx context.Context, each func(*store.Annotation) error) error {
		return a.Annotations.AnnotationSeries(ctx, series, with, each)
	})
}

// seriesOf reads a list of series; more reads further fields of each.
func seriesOf(c *gin.Context, more func(*element)) ([]store.Series, spi.DateFormat, error) {
	var series []store.Series
	format, err := elements(c, func(e *element) error {
		series = append(series, aSeries(e))
		more(e)
		return nil
	})
	return series, format, err
}

func aSeries(e *element) store.Series {
	return store.Series{Device: e.text("device", maxText), Start: e.datetime("start_datetime"), End: e.datetime("end_datetime")}
}

func replyAnnotations(c *gin.Context, format spi.DateFormat, find func(context.Context, func(*store.Annotation) error) error) error {
	l := newList(c, format)
	err := find(c.Request.Context(), func(n *store.Annotation) error {
		return l.done(appendAnnotation(l.row(), n, format))
	})
	if err != nil {
		return err
	}
	return l.end()
}

// appendAnnotation appends an annotation; json, as a string, only where there is one.
func appendAnnotation(b []byte, n *store.Annotation, f spi.DateFormat) []byte {
	b = append(b, `{"algo_name":`...)
	b = appendText(b, n.AlgoName)
	b = append(b, `,"algo_version":`...)
	b = appendText(b, n.AlgoVersion)
	b = append(b, `,"api_user":`...)
	b = appendNullText(b, n.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, n.APIVersion)
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, n.DatetimeCreated, f)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, n.ID, 10)
	if n.JSON != nil {
		b = append(b, `,"json":`...)
		b = appendJSONText(b, n.JSON)
	}
	b = append(b, `,"n_objects":`...)
	b = strconv.AppendInt(b, int64(n.NObjects), 10)
	b = append(b, `,"parent_image_id":`...)
	b = strconv.AppendInt(b, n.ParentImageID, 10)
	return append(b, '}')
}

// appendJSONText appends a text that is itself JSON as a string: long, and with many quotation marks.
func appendJSONText(b, text []byte) []byte {
	start := len(b)
	b = append(b, '"')
	from := 0
	for i, c := range text {
		switch {
		case c == '"' || c == '\\':
			b = append(b, text[from:i]...)
			b = append(b, '\\', c)
			from = i + 1
		case c < ' ' || c >= 0x7f: // rare
			return appendText(b[:start], string(text))
		}
	}
	b = append(b, text[from:]...)
	return append(b, '"')
}
