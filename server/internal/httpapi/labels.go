package httpapi

import (
	"database/sql"
	"math"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Widths of the columns of labels, in characters.
const (
	maxTuboidID     = 100
	maxLabelAlgo    = 32
	maxLabelVersion = 46
	maxLabelPattern = 128
	maxLabelWord    = 32 // type, order, family, genus, species
)

// line gives a string that must be there, of printable characters.
func (e *element) line(field string, least, most int) string {
	s := e.text(field, most)
	switch {
	case len(s) < least:
		e.fail(field, "is empty")
	case !printable(s):
		e.fail(field, "holds a character that is not printable")
	}
	return s
}

// labelWord is line for a word of a label that may be absent or null.
func (e *element) labelWord(field string) sql.Null[string] {
	if !e.has(field) {
		return sql.Null[string]{}
	}
	return sql.Null[string]{V: e.line(field, 0, maxLabelWord), Valid: true}
}

// whole gives a whole number that must be there.
func (e *element) whole(field string, least int) int {
	if !e.has(field) {
		e.fail(field, "is missing")
		return 0
	}
	return e.integer(field, least, 0)
}

func (a *api) putLabels(c *gin.Context, by *store.User) error {
	var labels []store.NewLabel
	format, err := elements(c, func(e *element) error {
		labels = append(labels, store.NewLabel{TuboidID: e.text("tuboid_id", maxTuboidID), Label: store.Label{
			AlgoName: e.line("algo_name", 1, maxLabelAlgo), AlgoVersion: e.line("algo_version", 1, maxLabelVersion),
			Label: e.whole("label", math.MinInt32), Pattern: e.line("pattern", 0, maxLabelPattern), Type: e.line("type", 0, maxLabelWord),
			Order: e.labelWord("order"), Family: e.labelWord("family"),
			Genus: e.labelWord("genus"), Species: e.labelWord("species"),
			Provenance: a.provenance(by),
		}})
		return nil
	})
	if err != nil {
		return err
	}
	stored, err := a.Tuboids.AddLabels(c.Request.Context(), labels)
	if err != nil {
		return err
	}
	return replyRows(c, stored, format, appendLabel)
}

func (a *api) getLabels(c *gin.Context, _ *store.User) error {
	var names []string
	format, err := elements(c, func(e *element) error {
		names = append(names, e.text("tuboid_id", maxText))
		return nil
	})
	if err != nil {
		return err
	}
	l := newList(c, format)
	if err := a.Tuboids.Labels(c.Request.Context(), names, func(label *store.Label) error {
		return l.done(appendLabel(l.row(), label, format))
	}); err != nil {
		return err
	}
	return l.end()
}

func appendLabel(b []byte, l *store.Label, f spi.DateFormat) []byte {
	b = append(b, `{"algo_name":`...)
	b = appendText(b, l.AlgoName)
	b = append(b, `,"algo_version":`...)
	b = appendText(b, l.AlgoVersion)
	b = append(b, `,"api_user":`...)
	b = appendNullText(b, l.APIUser)
	b = append(b, `,"api_version":`...)
	b = appendNullText(b, l.APIVersion)
	b = append(b, `,"datetime_created":`...)
	b = appendTime(b, l.DatetimeCreated, f)
	b = append(b, `,"family":`...)
	b = appendNullText(b, l.Family)
	b = append(b, `,"genus":`...)
	b = appendNullText(b, l.Genus)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, l.ID, 10)
	b = append(b, `,"label":`...)
	b = strconv.AppendInt(b, int64(l.Label), 10)
	b = append(b, `,"order":`...)
	b = appendNullText(b, l.Order)
	b = append(b, `,"parent_tuboid_id":`...)
	b = strconv.AppendInt(b, l.ParentTuboidID, 10)
	b = append(b, `,"pattern":`...)
	b = appendText(b, l.Pattern)
	b = append(b, `,"species":`...)
	b = appendNullText(b, l.Species)
	b = append(b, `,"type":`...)
	b = appendText(b, l.Type)
	return append(b, '}')
}
