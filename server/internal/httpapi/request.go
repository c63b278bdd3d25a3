package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// maxText bounds, in characters, the strings of a request that name or match something: every column that they are
// compared with is far shorter.
const maxText = 256

// element is one object of a request's list. Its methods give a field or note what is wrong with it, naming the element
// and the field; the first mistake is kept.
type element struct {
	index  int
	alone  bool   // the body is one object, not a list of them
	within string // for an object in an element: its field and a dot
	raw    json.RawMessage
	fields map[string]json.RawMessage
	format *spi.DateFormat // that of the first date read, if any had one
	err    error
}

func (e *element) fail(field, format string, args ...any) {
	if e.err != nil {
		return
	}
	place := fmt.Sprintf("element %d: ", e.index)
	if e.alone {
		place = ""
	}
	e.err = spi.Errorf(spi.CodeInvalid, "%s%s: %s", place, e.within+field, fmt.Sprintf(format, args...))
}

func (e *element) has(field string) bool {
	raw, ok := e.fields[field]
	return ok && string(raw) != "null"
}

// text gives a string that must be there.
func (e *element) text(field string, most int) string {
	raw, ok := e.fields[field]
	if !ok {
		e.fail(field, "is missing")
		return ""
	}
	if raw[0] != '"' {
		e.fail(field, "must be a string, not %s", kind(raw))
		return ""
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		e.fail(field, "is not a valid string")
		return ""
	}
	if utf8.RuneCountInString(s) > most {
		e.fail(field, "is longer than %d characters", most)
		return ""
	}
	return s
}

// texts gives a list of strings that must be there, at most so many.
func (e *element) texts(field string, most int) []string {
	raw, ok := e.fields[field]
	if !ok {
		e.fail(field, "is missing")
		return nil
	}
	var list []*string
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		e.fail(field, "must be a list of strings")
		return nil
	}
	if len(list) > most {
		e.fail(field, "has more than %d elements", most)
		return nil
	}
	texts := make([]string, len(list))
	for i, s := range list {
		switch {
		case s == nil:
			e.fail(field, "must be a list of strings")
		case utf8.RuneCountInString(*s) > maxText:
			e.fail(field, "number %d is longer than %d characters", i, maxText)
		default:
			texts[i] = *s
		}
	}
	return texts
}

// flag gives a boolean, which may be written as 0 or 1, or its default where it is absent or null.
func (e *element) flag(field string, def bool) bool {
	if !e.has(field) {
		return def
	}
	switch raw := string(e.fields[field]); raw {
	case "true", "1", "1.0":
		return true
	case "false", "0", "0.0":
		return false
	}
	e.fail(field, "must be true, false, 1 or 0, not %s", kind(e.fields[field]))
	return def
}

// datetime gives a date that must be there, and notes its format.
func (e *element) datetime(field string) time.Time {
	s := e.text(field, maxText)
	if e.err != nil {
		return time.Time{}
	}
	t, format, err := spi.ParseDatetime(s)
	if err != nil {
		e.fail(field, "%v", err)
	}
	if e.format == nil {
		e.format = format
	}
	return t
}

// integer gives a whole number from least on, or its default where it is absent or null.
func (e *element) integer(field string, least, def int) int {
	if !e.has(field) {
		return def
	}
	n, err := strconv.ParseFloat(string(e.fields[field]), 64)
	switch {
	case err != nil && kind(e.fields[field]) != "a number":
		e.fail(field, "must be a number, not %s", kind(e.fields[field]))
	case err != nil, n != math.Trunc(n), n < float64(least), n > math.MaxInt32:
		e.fail(field, "must be a whole number of at least %d", least)
	default:
		return int(n)
	}
	return def
}

// number gives a finite number that must be there.
func (e *element) number(field string) float64 {
	raw, ok := e.fields[field]
	if !ok {
		e.fail(field, "is missing")
		return 0
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if k := kind(raw); k != "a number" {
		e.fail(field, "must be a number, not %s", k)
	} else if err != nil {
		e.fail(field, "is no number that can be used")
	}
	return n
}

// object reads an object that must be there, whose mistakes are the element's.
func (e *element) object(field string, read func(*element)) {
	raw, ok := e.fields[field]
	switch {
	case !ok:
		e.fail(field, "is missing")
		return
	case raw[0] != '{':
		e.fail(field, "must be an object, not %s", kind(raw))
		return
	}
	inner := element{index: e.index, within: e.within + field + ".", raw: raw, format: e.format}
	if err := json.Unmarshal(raw, &inner.fields); err != nil {
		e.fail(field, "is not a valid object")
		return
	}
	read(&inner)
	e.format = inner.format
	if e.err == nil {
		e.err = inner.err
	}
}

// kind names the JSON type of a value, for messages.
func kind(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// Bounds of a JSON list beside MaxBody.
const (
	maxElements    = 250_000 // elements a request
	maxElementSize = 1 << 20 // bytes an element, where no endpoint says otherwise
)

// elements reads the body, which must be a JSON list of objects, an element at a time; nothing, or null, is an empty list.
// It gives the format of the dates that were read: that of the first one that has one.
func elements(c *gin.Context, each func(*element) error) (spi.DateFormat, error) {
	return elementsUpTo(c, maxElementSize, each)
}

// elementsUpTo is elements with another bound of an element's size, in bytes.
func elementsUpTo(c *gin.Context, most int, each func(*element) error) (spi.DateFormat, error) {
	format := spi.DateV2
	body := &elementReader{r: &oneBlank{r: c.Request.Body}, most: most, left: most}
	dec := json.NewDecoder(body)
	token, err := dec.Token()
	if errors.Is(err, io.EOF) || (err == nil && token == nil) {
		if err == nil {
			err = atEnd(dec)
		} else {
			err = nil
		}
		return format, err
	}
	if err := jsonType(c); err != nil {
		return format, err
	}
	if err != nil {
		return format, badJSON(err)
	}
	if token != json.Delim('[') {
		return format, spi.Errorf(spi.CodeInvalid, "the body must be a JSON list of objects")
	}
	seen := false
	for i := 0; dec.More(); i++ {
		if i == maxElements {
			return format, spi.Errorf(spi.CodeTooLarge, "the list has more than %d elements: send fewer a request", maxElements)
		}
		body.begin(i)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return format, badJSON(err)
		}
		if err := held(c, len(raw)); err != nil {
			return format, err
		}
		if raw[0] != '{' {
			return format, spi.Errorf(spi.CodeInvalid, "element %d: must be an object, not %s", i, kind(raw))
		}
		e := element{index: i, raw: raw}
		if err := json.Unmarshal(raw, &e.fields); err != nil {
			return format, badJSON(err)
		}
		err := each(&e)
		if e.err != nil {
			err = e.err // what is wrong with the element comes before what was made of it
		}
		if err != nil {
			return format, err
		}
		if !seen && e.format != nil {
			seen, format = true, *e.format
		}
	}
	if _, err := dec.Token(); err != nil {
		return format, badJSON(err)
	}
	return format, atEnd(dec)
}

// atEnd says whether the list was all that the body holds.
func atEnd(dec *json.Decoder) error {
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		if e := tooLarge(err); e != nil {
			return e
		}
		return spi.Errorf(spi.CodeInvalid, "the body goes on after the JSON list")
	}
	return nil
}

// jsonType refuses a body that says it is something else than JSON; one that says nothing is taken.
func jsonType(c *gin.Context) error {
	header := c.GetHeader("Content-Type")
	if header == "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err == nil && (media == "application/json" || strings.HasSuffix(media, "+json")) {
		return nil
	}
	return spi.Errorf(spi.CodeUnsupportedMedia, "the body must be JSON: send it with Content-Type: application/json, not %.60q", header)
}

func badJSON(err error) error {
	if e := tooLarge(err); e != nil {
		return e
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return tooSlow(err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return spi.Errorf(spi.CodeInvalid, "the JSON body ends too early")
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return spi.Errorf(spi.CodeInvalid, "the body is not valid JSON: %v", syntax)
	}
	return spi.Wrap(spi.CodeInvalid, err, "the body cannot be read as JSON")
}

// tooSlow is the answer to a body that the HTTP server has stopped waiting for.
func tooSlow(err error) error {
	return spi.Wrap(spi.CodeUnavailable, err, "the body came too slowly, or not at all for a minute: send it again")
}

func tooLarge(err error) error {
	var e *spi.Error
	if errors.As(err, &e) && e.Code == spi.CodeTooLarge {
		return e
	}
	return nil
}

// elementReader ends a body in which an element does not: json.Decoder keeps all of an element in memory, however large.
type elementReader struct {
	r     io.Reader
	most  int
	left  int // bytes of the element that is being read; what the decoder has read ahead does not count
	index int
}

func (e *elementReader) begin(index int) { e.index, e.left = index, e.most }

func (e *elementReader) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, spi.Errorf(spi.CodeTooLarge, "element %d: is larger than %d MB", e.index, e.most>>20)
	}
	n, err := e.r.Read(p)
	e.left -= n
	return n, err
}

// literal gives a JSON scalar as the text that SQL would compare: strings as they are, booleans as 1 and 0.
func literal(raw json.RawMessage) (string, bool) {
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	case 't':
		return "1", true
	case 'f':
		return "0", true
	case '{', '[', 'n':
		return "", false
	}
	return string(bytes.TrimSpace(raw)), true
}
