package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// outputFlags choose the form of a command's results. Tables are for people and may change; --json and --csv are for
// programs: the fields of the wire, by their names there, with dates in UTC.
type outputFlags struct {
	JSON bool `xor:"form" help:"Results as a JSON list, an element a line."`
	CSV  bool `xor:"form" help:"Results as CSV with a header line."`
}

// column is one of a table for people.
type column[T any] struct {
	title string
	cell  func(T) string // foreign text is made printable by the table
}

// show writes rows to standard output in the form that the flags say, as they come: memory does not grow with their number.
// The error of the rows ends it, and leaves a JSON list open, so that it does not look whole.
func show[T any](a *app, f outputFlags, rows iter.Seq2[T, error], columns ...column[T]) error {
	w := bufio.NewWriterSize(a.out, 64<<10)
	var err error
	switch {
	case f.JSON:
		err = showJSON(w, rows)
	case f.CSV:
		err = showCSV(w, rows)
	default:
		err = showTable(w, rows, columns)
	}
	if flushErr := w.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("the results cannot be written: %w", flushErr)
	}
	return err
}

// each gives a slice as the rows of [show].
func each[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func showJSON[T any](w *bufio.Writer, rows iter.Seq2[T, error]) error {
	before := "[\n"
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // URLs hold &
	for row, err := range rows {
		if err != nil {
			return err
		}
		line.Reset()
		if err := enc.Encode(row); err != nil {
			return fmt.Errorf("a row cannot be written as JSON: %w", err)
		}
		_, _ = w.WriteString(before) // a bufio.Writer keeps its error
		if _, err := w.Write(harmless(bytes.TrimSuffix(line.Bytes(), []byte("\n")))); err != nil {
			return err
		}
		before = ",\n"
	}
	if before == "[\n" {
		_, err := w.WriteString("[]\n")
		return err
	}
	_, err := w.WriteString("\n]\n")
	return err
}

// harmless gives JSON that says the same and that a terminal does not obey: encoding/json leaves DEL, the controls of
// Unicode's second block (U+0080 to U+009F) and those of writing direction as they are.
func harmless(text []byte) []byte {
	odd := func(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }
	if bytes.IndexFunc(text, odd) < 0 {
		return text
	}
	var out []byte
	for _, r := range string(text) {
		switch {
		case !odd(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func showCSV[T any](w io.Writer, rows iter.Seq2[T, error]) error {
	fields := fieldsOf(reflect.TypeFor[T]())
	out := csv.NewWriter(w)
	record := make([]string, len(fields))
	for i, f := range fields {
		record[i] = f.name
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for row, err := range rows {
		if err != nil {
			out.Flush()
			return err
		}
		v := reflect.ValueOf(row)
		for i, f := range fields {
			record[i] = text(v.FieldByIndex(f.index))
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// field is one of a struct that crosses the wire.
type field struct {
	name  string
	index []int
}

// fieldsOf gives the JSON fields of a struct in order, those of embedded ones among them.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		all = append(all, field{name, f.Index})
	}
	return all
}

// text writes a field's value as CSV has it: as JSON would, without quotes, but with the digits that were measured, and
// nothing where it is absent.
func text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if d, ok := v.Interface().(spi.Datetime); ok {
		if d.IsZero() {
			return ""
		}
		return spi.FormatDatetime(d.Time, spi.DateV2)
	}
	switch v.Kind() {
	case reflect.String:
		return spi.NoFormula(noControls(v.String()))
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Float32, reflect.Float64:
		return spi.FormatValue(v.Float())
	}
	return fmt.Sprint(v.Interface())
}

// noControls gives a text without what a terminal obeys; line breaks and tabs stay.
func noControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '?'
		}
		return r
	}, s)
}

// alignedRows is how many rows a table looks at to know how wide its columns are.
const alignedRows = 200

// showTable writes a table whose columns are as wide as the first rows need; a later row may be wider.
func showTable[T any](w *bufio.Writer, rows iter.Seq2[T, error], columns []column[T]) error {
	titles := make([]string, len(columns))
	widths := make([]int, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	waiting := [][]string{}
	widen := func(cells []string) {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	widen(titles)
	write := func(cells []string) {
		for i, cell := range cells {
			_, _ = w.WriteString(cell) // a bufio.Writer keeps its error for Flush
			if i < len(cells)-1 {
				_, _ = w.WriteString(strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell))+2))
			}
		}
		_ = w.WriteByte('\n')
	}
	begin := func() {
		write(titles)
		for _, cells := range waiting {
			write(cells)
		}
		waiting = nil
	}
	for row, err := range rows {
		if err != nil {
			if len(waiting) > 0 {
				begin()
			}
			return err
		}
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = printable(c.cell(row))
		}
		if waiting == nil {
			write(cells)
			continue
		}
		widen(cells)
		if waiting = append(waiting, cells); len(waiting) == alignedRows {
			begin()
		}
	}
	if waiting != nil {
		begin()
	}
	return nil
}

// orDash is for cells of values that may be absent.
func orDash[T any](v *T, write func(T) string) string {
	if v == nil {
		return "-"
	}
	return write(*v)
}

// shown writes a moment for people, in the zone that they chose.
func shown(d spi.Datetime, zone *time.Location) string {
	if d.IsZero() {
		return "-"
	}
	return d.In(zone).Format(time.DateTime)
}
