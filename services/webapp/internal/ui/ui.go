// Package ui is the viewer's HTTP side: log-in and log-out, the way through to the API with the session's token, the table of
// images as a file, the front end's files, and the headers that keep browsers from doing anything else. It may import
// services/spi, services/kit, and its siblings session and front.
package ui

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/kit/health"
	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
	"github.com/sticky-pi/sticky-pi-server/services/kit/metrics"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/front"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/session"
)

// Config is what the handler is made of.
type Config struct {
	API            *url.URL
	Transport      http.RoundTripper // to the API
	Sessions       *session.Keeper
	Files          *front.Files
	S3             *url.URL // where browsers fetch pictures from: scheme and host
	HTTPS          bool
	TrustedProxies []string
	Ready          *health.Checker
	Requests       *metrics.HTTP
	Log            *slog.Logger
	Now            func() time.Time
	Stopping       <-chan struct{} // closed when the server stops: streams without an end, end
}

type ui struct {
	Config
	policy string
	cookie string
	origin *http.CrossOriginProtection
	proxy  *httputil.ReverseProxy
}

// New gives the viewer's handler.
func New(cfg Config) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	u := &ui{Config: cfg, policy: policy(cfg.S3), cookie: "sticky-pi-session", origin: http.NewCrossOriginProtection()}
	if cfg.HTTPS {
		u.cookie = "__Host-" + u.cookie // browsers take it by HTTPS alone, and from no other host of the domain
	}
	u.proxy = u.newProxy()
	g := gin.New()
	if err := g.SetTrustedProxies(cfg.TrustedProxies); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	g.RedirectTrailingSlash = false
	g.RedirectFixedPath = false
	g.HandleMethodNotAllowed = true
	g.Use(u.observe, u.headers, u.sameOrigin)
	g.NoMethod(func(c *gin.Context) {
		u.fail(c, spi.Errorf(spi.CodeMethodNotAllowed, "%.100q is not called by %.20q", c.Request.URL.Path, c.Request.Method))
	})
	g.NoRoute(u.page)

	g.GET("/healthz", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", []byte(`{"alive":true}`)) })
	g.GET("/readyz", gin.WrapH(cfg.Ready))

	g.GET("/session", u.getSession)
	g.POST("/session", u.logIn)
	g.DELETE("/session", u.within(u.logOut))
	for _, e := range endpoints {
		g.Handle(e.method, "/api/"+e.path, u.within(u.pass))
	}
	g.GET("/data.csv.gz", u.within(u.export))
	g.GET(plainTable, u.within(u.export))
	return g, nil
}

// policy is the Content-Security-Policy: scripts, styles and requests of this origin, pictures of S3 too, and nothing else.
func policy(s3 *url.URL) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self' " + s3.Scheme + "://" + s3.Host,
		"connect-src 'self'",
		"manifest-src 'self'",
		"form-action 'self'",
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

// noStore is the Cache-Control of whatever does not say itself that it may be kept.
const noStore = "no-store"

func (u *ui) headers(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", u.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", noStore) // files that may be kept say so themselves
}

// sameOrigin refuses writes that another site makes a browser send. Writes of a session need its proof besides.
func (u *ui) sameOrigin(c *gin.Context) {
	if err := u.origin.Check(c.Request); err != nil {
		u.fail(c, spi.Wrap(spi.CodeForbidden, err, "this request comes from another site: open the viewer itself"))
	}
}

// requestIDHeader is made by the gateway, or here where there is none, and goes on to the API.
const requestIDHeader = "X-Request-Id"

// observe gives the request its id, logs and counts it, and turns a panic into a 500.
func (u *ui) observe(c *gin.Context) {
	start := u.Now()
	id := c.GetHeader(requestIDHeader)
	if !validRequestID(id) {
		id = rand.Text()
	}
	c.Request.Header.Set(requestIDHeader, id)
	c.Header(requestIDHeader, id)
	c.Request = c.Request.WithContext(logging.With(c.Request.Context(), slog.String("request_id", id)))
	endpoint := func() string {
		if c.FullPath() == "" && c.Writer.Status() == http.StatusOK {
			return "page" // addresses of the front end are its own matter
		}
		return c.FullPath()
	}
	defer func() {
		status := c.Writer.Status()
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler || c.Writer.Written() { //nolint:errorlint // a panic's value, compared as net/http does
				u.Requests.Observe(c.Request.Method, endpoint(), http.StatusInternalServerError, c.Writer.Header(), u.Now().Sub(start))
				if p != http.ErrAbortHandler { //nolint:errorlint // as above
					u.Log.ErrorContext(c.Request.Context(), "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}
			u.Log.ErrorContext(c.Request.Context(), "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			u.fail(c, spi.Errorf(spi.CodeInternal, "the viewer failed; its log has the cause under this request's id"))
			status = http.StatusInternalServerError
		}
		took := u.Now().Sub(start)
		u.Requests.Observe(c.Request.Method, endpoint(), status, c.Writer.Header(), took)
		level := slog.LevelInfo
		if strings.HasSuffix(c.FullPath(), "z") { // health checks come every few seconds
			level = slog.LevelDebug
		}
		u.Log.Log(c.Request.Context(), level, "request", "method", c.Request.Method, "path", c.Request.URL.Path,
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

// page gives the front end's files; what looks like an endpoint and is none is not the page.
func (u *ui) page(c *gin.Context) {
	if strings.HasPrefix(c.Request.URL.Path, "/api/") {
		u.fail(c, spi.Errorf(spi.CodeNotFound, "the viewer passes no endpoint %.100q on: ask the API itself", strings.TrimPrefix(c.Request.URL.Path, "/api")))
		return
	}
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		u.fail(c, spi.Errorf(spi.CodeNotFound, "there is nothing to send to at %.100q", c.Request.URL.Path))
		return
	}
	c.Status(http.StatusOK) // gin begins with 404 here
	u.Files.ServeHTTP(c.Writer, c.Request)
}

// fail answers with the error's status, in the API's form.
func (u *ui) fail(c *gin.Context, err error) {
	status, body := failure(err)
	if status >= http.StatusInternalServerError && c.Request.Context().Err() == nil {
		u.Log.ErrorContext(c.Request.Context(), "request failed", "error", err)
	} else {
		u.Log.DebugContext(c.Request.Context(), "request refused", "error", err)
	}
	if body.retryAfter > 0 {
		c.Header("Retry-After", fmt.Sprint(body.retryAfter))
	}
	c.AbortWithStatusJSON(status, gin.H{"error": gin.H{"code": body.code, "message": body.message}})
}
