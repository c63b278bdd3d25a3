package httpapi

import (
	"database/sql"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/work"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// getProgress tells those who wait how far the detectors are.
func (a *api) getProgress(c *gin.Context, _ *store.User) error {
	all, err := a.Work.Progress(c.Request.Context())
	if err != nil {
		return err
	}
	l := newList(c, spi.DateV2)
	for i := range all {
		if err := l.done(appendProgress(l.row(), &all[i], spi.DateV2)); err != nil {
			return err
		}
	}
	return l.end()
}

func appendProgress(b []byte, p *work.Progress, format spi.DateFormat) []byte {
	moment := func(name string, at sql.Null[time.Time]) {
		b = append(b, name...)
		if at.Valid {
			b = appendTime(b, at.V, format)
		} else {
			b = append(b, "null"...)
		}
	}
	whole := func(name string, n int64) {
		b = append(b, name...)
		b = strconv.AppendInt(b, n, 10)
	}
	b = append(b, `{"algo_name":`...)
	b = appendText(b, p.AlgoName)
	b = append(b, `,"algo_version":`...)
	b = appendText(b, p.AlgoVersion)
	b = append(b, `,"at_least":`...)
	b = strconv.AppendBool(b, p.AtLeast)
	moment(`,"counted":`, sql.Null[time.Time]{V: p.Counted, Valid: true})
	b = append(b, `,"devices":[`...)
	for i, d := range p.Devices {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"device":`...)
		b = appendText(b, d.Device)
		whole(`,"failed":`, d.Failed)
		whole(`,"waiting":`, d.Waiting)
		b = append(b, '}')
	}
	whole(`],"failed":`, p.Failed)
	whole(`,"failed_in_a_row":`, p.FailedInARow)
	moment(`,"idle_since":`, p.IdleSince)
	moment(`,"last_annotated":`, p.LastAnnotated)
	moment(`,"last_failed":`, p.LastFailed)
	whole(`,"waiting":`, p.Waiting)
	return append(b, '}')
}
