package httpapi

import (
	"database/sql"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// filterFields gives the fields of a row as text, for filters. One that has several texts, such as a date in both formats,
// matches where any of them does.
type filterFields[T any] map[string]func(*T) []sql.Null[string]

// filter names rows: every field's text must match its pattern; a nil pattern matches an absent value.
type filter[T any] struct {
	fields   filterFields[T]
	patterns map[string]*string
}

func (f filter[T]) match(row *T) bool {
	for field, pattern := range f.patterns {
		matched := false
		for _, text := range f.fields[field](row) {
			switch {
			case pattern == nil:
				matched = matched || !text.Valid
			case text.Valid:
				matched = matched || store.Like(*pattern, text.V)
			}
		}
		if !matched {
			return false
		}
	}
	return true
}

// maxFilters bounds the filters of a request: each is held against every row.
const maxFilters = 10_000

// read reads the body's filters. A field that no row has is refused: left out, a misspelt one would match everything. noun
// names a row.
func (fields filterFields[T]) read(c *gin.Context, noun string) ([]filter[T], spi.DateFormat, error) {
	var filters []filter[T]
	format, err := elements(c, func(e *element) error {
		if e.index == maxFilters {
			return spi.Errorf(spi.CodeTooLarge, "the list has more than %d filters: send fewer a request", maxFilters)
		}
		f := filter[T]{fields, make(map[string]*string)}
		for field, raw := range e.fields {
			if fields[field] == nil {
				e.fail(field, "is not a field of %s", noun)
				continue
			}
			if string(raw) == "null" {
				f.patterns[field] = nil
				continue
			}
			pattern, ok := literal(raw)
			if !ok {
				e.fail(field, "must be a string, a number or a boolean, not %s", kind(raw))
				continue
			}
			if utf8.RuneCountInString(pattern) > maxText {
				e.fail(field, "is longer than %d characters", maxText)
			}
			if field == "datetime_created" && e.format == nil {
				if _, format, err := spi.ParseDatetime(pattern); err == nil {
					e.format = format
				}
			}
			f.patterns[field] = &pattern
		}
		filters = append(filters, f)
		return nil
	})
	return filters, format, err
}

// nameSomething refuses a filter without a field, which would name every row.
func nameSomething[T any](filters []filter[T], noun string) error {
	for i, f := range filters {
		if len(f.patterns) == 0 {
			return spi.Errorf(spi.CodeInvalid, "element %d: names no field, and so every %s: say which to delete", i, noun)
		}
	}
	return nil
}

// anyOf gives the union of the filters.
func anyOf[T any](filters []filter[T]) func(*T) bool {
	return func(row *T) bool {
		for _, f := range filters {
			if f.match(row) {
				return true
			}
		}
		return false
	}
}

// anyOfOrAll is anyOf; where there are no filters, nil, which stands for all rows.
func anyOfOrAll[T any](filters []filter[T]) func(*T) bool {
	if len(filters) == 0 {
		return nil
	}
	return anyOf(filters)
}
