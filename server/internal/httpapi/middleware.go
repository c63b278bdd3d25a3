package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/server/internal/auth"
	"github.com/sticky-pi/sticky-pi-server/server/internal/store"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// requestIDHeader is made by the gateway, or here where there is none, and stands in every line that is logged.
const requestIDHeader = "X-Request-Id"

// observe gives the request its id, logs and counts it, and turns a panic into a 500.
func (a *api) observe(c *gin.Context) {
	start := a.Now()
	id := c.GetHeader(requestIDHeader)
	if !validRequestID(id) {
		id = rand.Text()
	}
	c.Header(requestIDHeader, id)
	c.Request = c.Request.WithContext(logging.With(c.Request.Context(), slog.String("request_id", id)))
	defer func() {
		status := c.Writer.Status()
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
				a.Requests.Observe(c.Request.Method, c.FullPath(), http.StatusInternalServerError, c.Writer.Header(), a.Now().Sub(start))
				panic(p)
			}
			a.Log.ErrorContext(c.Request.Context(), "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			if c.Writer.Written() {
				a.Requests.Observe(c.Request.Method, c.FullPath(), http.StatusInternalServerError, c.Writer.Header(), a.Now().Sub(start))
				panic(http.ErrAbortHandler)
			}
			a.fail(c, spi.Errorf(spi.CodeInternal, "the server failed; its log has the cause under this request's id"))
			status = http.StatusInternalServerError
		}
		took := a.Now().Sub(start)
		a.Requests.Observe(c.Request.Method, c.FullPath(), status, c.Writer.Header(), took)
		level := slog.LevelInfo
		if strings.HasSuffix(c.FullPath(), "z") { // health checks come every few seconds
			level = slog.LevelDebug
		}
		a.Log.Log(c.Request.Context(), level, "request", "method", c.Request.Method, "path", c.Request.URL.Path,
			"status", status, "bytes", max(c.Writer.Size(), 0), "took", took, "client", c.ClientIP())
	}()
	c.Next()
}

func validRequestID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, r := range id {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r) {
			return false
		}
	}
	return true
}

var errTooLarge = spi.Errorf(spi.CodeTooLarge, "the body is larger than %d MB: send fewer elements or files a request", MaxBody>>20)

// drainMost is how much of an unwanted body is read before the connection is given up: what a gateway may have passed on
// already, and some more.
const drainMost = 2 * MaxBody

// boundedBody gives errTooLarge once more than MaxBody bytes were read.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}

// body bounds the request's body, and reads to its end whatever the handler left: a client, or the gateway, that is still
// sending when the reply comes sees a broken connection instead of the reply.
func (a *api) body(c *gin.Context) {
	if c.Request.Body == nil {
		c.Request.Body = http.NoBody
	}
	if c.Request.Body != http.NoBody {
		c.Request.Body = &boundedBody{ReadCloser: c.Request.Body, left: MaxBody}
	}
	if c.Request.ContentLength > MaxBody {
		a.fail(c, errTooLarge)
		return
	}
	c.Next()
}

func drain(c *gin.Context) {
	body := io.Reader(c.Request.Body)
	if b, ok := c.Request.Body.(*boundedBody); ok {
		body = b.ReadCloser
	}
	if n, _ := io.CopyN(io.Discard, body, drainMost); n == drainMost {
		c.Header("Connection", "close")
	}
}

// as lets a handler be called by users of at least that role.
func (a *api) as(role auth.Role, handle func(*gin.Context, *store.User) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		user, err := a.authenticate(c)
		if err == nil && auth.RoleOf(&user) < role {
			err = spi.Errorf(spi.CodeForbidden, "user %q is %s: this needs a user who is %s", user.Username, auth.RoleOf(&user), role)
		}
		if err == nil {
			c.Request = c.Request.WithContext(logging.With(c.Request.Context(), slog.String("user", user.Username)))
			err = a.holding(c, &user, handle)
		}
		if err != nil {
			a.fail(c, err)
		}
	}
}

// holding calls a handler, whose budget ends with it: what is left of a refused body may come slowly.
func (a *api) holding(c *gin.Context, user *store.User, handle func(*gin.Context, *store.User) error) error {
	done := a.hold(c, user.ID)
	defer done()
	return handle(c, user)
}

func (a *api) authenticate(c *gin.Context) (store.User, error) {
	ctx := c.Request.Context()
	if token, ok := bearer(c.GetHeader("Authorization")); ok {
		return a.Auth.CheckToken(ctx, token)
	}
	name, password, ok := c.Request.BasicAuth()
	switch {
	case !ok || name == "":
		return store.User{}, spi.Errorf(spi.CodeUnauthorized, "log in with a user name and password, or with a token from get_token")
	case password == "":
		return a.Auth.CheckToken(ctx, name)
	}
	return a.Auth.Password(ctx, name, password, c.ClientIP())
}

func bearer(header string) (string, bool) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

func (a *api) noRoute(c *gin.Context) {
	a.fail(c, spi.Errorf(spi.CodeNotFound, "there is no endpoint %.100q: see /openapi.yaml for those there are", c.Request.URL.Path))
}

func (a *api) noMethod(c *gin.Context) {
	a.fail(c, spi.Errorf(spi.CodeMethodNotAllowed, "%.100q is not called by %.20q: see the Allow header", c.Request.URL.Path, c.Request.Method))
}

// fail reads what is left of the body, then answers with the error's status. It is the one place where that happens.
func (a *api) fail(c *gin.Context, err error) {
	ctx := c.Request.Context()
	if c.Writer.Written() {
		// Too late for a status: a broken connection is the only way to say that the reply is not whole.
		a.Log.ErrorContext(ctx, "reply cut short", "error", err)
		panic(http.ErrAbortHandler)
	}
	drain(c)
	var e *spi.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled):
		e = spi.Errorf(spi.CodeUnavailable, "the request was given up")
	case errors.Is(err, context.DeadlineExceeded):
		e = spi.Wrap(spi.CodeUnavailable, err, "it took too long: try again")
	default:
		e = spi.Wrap(spi.CodeInternal, err, "the server failed; its log has the cause under this request's id")
	}
	status := e.Code.Status()
	switch {
	case e.Code == spi.CodeUnavailable && e.RetryAfter > 0: // nothing failed that will not be right by then
		a.Log.WarnContext(ctx, "request put off", "error", err)
	case status >= 500 && ctx.Err() == nil:
		a.Log.ErrorContext(ctx, "request failed", "error", err)
	default:
		a.Log.DebugContext(ctx, "request refused", "error", err)
	}
	switch status {
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", `Basic realm="Authentication Required"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		seconds := math.Max(1, math.Ceil(e.RetryAfter.Seconds()))
		c.Header("Retry-After", strconv.Itoa(int(seconds)))
	}
	c.AbortWithStatusJSON(status, gin.H{"error": gin.H{"code": e.Code, "message": e.Message}})
}
