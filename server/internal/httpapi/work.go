package httpapi

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/server/internal/work"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

func (a *api) workRoutes(g *gin.Engine) {
	g.POST("/get_images_to_annotate", a.as(auth.ReadWrite, a.getImagesToAnnotate))
	g.POST("/get_images_to_annotate/:what", a.as(auth.ReadWrite, a.getImagesToAnnotate))
	g.POST("/report_uid_failure", a.as(auth.ReadWrite, a.reportFailure))
	g.POST("/get_uid_failures", a.as(auth.ReadOnly, a.getFailures))
	g.POST("/retry_uid_failures", a.as(auth.ReadWrite, a.retryFailures))
	g.POST("/get_uid_backlog", a.as(auth.ReadOnly, a.getBacklog))
}

func (a *api) getImagesToAnnotate(c *gin.Context, by *store.User) error {
	w := spi.Metadata
	if c.Param("what") != "" {
		var err error
		if w, err = what(c); err != nil {
			return err
		}
	}
	var requests []work.Request
	format, err := elements(c, func(e *element) error {
		requests = append(requests, work.Request{
			Series: aSeries(e), AlgoName: algoName(e), AlgoVersion: algoVersion(e),
			Limit: min(e.integer("limit", 1, work.MaxLease), work.MaxLease),
		})
		return nil
	})
	if err != nil {
		return err
	}
	return a.replyImages(c, format, w, func(each func(*store.Image) error) error {
		images, err := a.Work.Lease(c.Request.Context(), requests, by.ID)
		if err != nil {
			return err
		}
		for i := range images {
			if err := each(&images[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// reportFailure notes the failures one after the other, once all of the request has been read.
func (a *api) reportFailure(c *gin.Context, by *store.User) error {
	var failures []store.Failure
	format, err := elements(c, func(e *element) error {
		failures = append(failures, store.Failure{
			Device: e.text("device", maxText), Datetime: e.datetime("datetime"),
			AlgoName: algoName(e), AlgoVersion: algoVersion(e), GivenBack: e.flag("given_back", false),
			Reason: work.CutReason(e.text("reason", MaxBody)), APIUser: a.provenance(by).APIUser,
		})
		return nil
	})
	if err != nil {
		return err
	}
	l := newList(c, format)
	for i := range failures {
		noted, err := a.Work.Fail(c.Request.Context(), failures[i])
		if err != nil {
			return ofElement(i, len(failures), err)
		}
		// not sent before the end: a later one's failure still needs a status
		l.buf = appendFailure(l.row(), &noted, format)
	}
	return l.end()
}

// ofElement says which element failed, and what became of the others.
func ofElement(i, n int, err error) error {
	var e *spi.Error
	if !errors.As(err, &e) {
		return err
	}
	rest := ""
	if n > 1 {
		rest = " (the elements before it are done, those after it are not)"
	}
	named := spi.Wrap(e.Code, err, "element %d: %s%s", i, e.Message, rest)
	named.RetryAfter = e.RetryAfter
	return named
}

// failureSeries reads a list of series, and the one algorithm that all of them may name.
func failureSeries(c *gin.Context) (series []store.Series, algo string, format spi.DateFormat, err error) {
	first := true
	series, format, err = seriesOf(c, func(e *element) {
		name := ""
		if e.has("algo_name") {
			name = algoName(e)
		}
		if !first && name != algo {
			e.fail("algo_name", "must be the same in all elements, or in none: it is %.64q here and %.64q before", name, algo)
		}
		first, algo = false, name
	})
	return series, algo, format, err
}

func (a *api) getFailures(c *gin.Context, _ *store.User) error {
	series, algo, format, err := failureSeries(c)
	if err != nil {
		return err
	}
	l := newList(c, format)
	if err := a.Work.Failures(c.Request.Context(), series, algo, func(f *store.Failure) error {
		return l.done(appendFailure(l.row(), f, format))
	}); err != nil {
		return err
	}
	return l.end()
}

func (a *api) retryFailures(c *gin.Context, _ *store.User) error {
	series, algo, format, err := failureSeries(c)
	if err != nil {
		return err
	}
	l := newList(c, format)
	// All of it is done, whether or not somebody still listens.
	ctx := context.WithoutCancel(c.Request.Context())
	var gone error
	each := func(f *store.Failure) error { return l.done(appendFailure(l.row(), f, format)) }
	if err := a.Work.Retry(ctx, series, algo, goingOn(each, &gone)); err != nil {
		return err
	}
	if gone != nil {
		return gone
	}
	return l.end()
}

func (a *api) getBacklog(c *gin.Context, _ *store.User) error {
	asked := map[string]bool{} // by name, which is compared without case; "" stands for all
	format, err := elements(c, func(e *element) error {
		name := ""
		if e.has("algo_name") {
			name = algoName(e)
		}
		asked[strings.ToLower(name)] = true
		return nil
	})
	if err != nil {
		return err
	}
	only := ""
	if len(asked) == 1 {
		for only = range asked { // the one that there is
		}
	}
	backlogs, err := a.Work.Backlog(c.Request.Context(), only)
	if err != nil {
		return err
	}
	if len(asked) > 0 && !asked[""] {
		backlogs = slices.DeleteFunc(backlogs, func(b store.Backlog) bool { return !asked[strings.ToLower(b.AlgoName)] })
	}
	l := newList(c, format)
	for i := range backlogs {
		if err := l.done(appendBacklog(l.row(), &backlogs[i], format)); err != nil {
			return err
		}
	}
	return l.end()
}

func appendFailure(b []byte, f *store.Failure, format spi.DateFormat) []byte {
	b = append(b, `{"algo_name":`...)
	b = appendText(b, f.AlgoName)
	b = append(b, `,"algo_version":`...)
	b = appendText(b, f.AlgoVersion)
	b = append(b, `,"api_user":`...)
	b = appendNullText(b, f.APIUser)
	b = append(b, `,"datetime":`...)
	b = appendTime(b, f.Datetime, format)
	b = append(b, `,"datetime_last":`...)
	if f.DatetimeLast.IsZero() {
		b = append(b, "null"...)
	} else {
		b = appendTime(b, f.DatetimeLast, format)
	}
	b = append(b, `,"device":`...)
	b = appendText(b, f.Device)
	b = append(b, `,"failures":`...)
	b = strconv.AppendInt(b, int64(f.Failures), 10)
	b = append(b, `,"reason":`...)
	b = appendText(b, f.Reason)
	return append(b, '}')
}

func appendBacklog(b []byte, k *store.Backlog, format spi.DateFormat) []byte {
	b = append(b, `{"algo_name":`...)
	b = appendText(b, k.AlgoName)
	b = append(b, `,"algo_version":`...)
	b = appendText(b, k.AlgoVersion)
	b = append(b, `,"at_least":`...)
	b = strconv.AppendBool(b, k.AtLeast)
	b = append(b, `,"datetime_oldest_waiting":`...)
	if k.OldestWaiting.Valid {
		b = appendTime(b, k.OldestWaiting.V, format)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"failed":`...)
	b = strconv.AppendInt(b, k.Failed, 10)
	b = append(b, `,"leased":`...)
	b = strconv.AppendInt(b, k.Leased, 10)
	b = append(b, `,"waiting":`...)
	b = strconv.AppendInt(b, k.Waiting, 10)
	return append(b, '}')
}
