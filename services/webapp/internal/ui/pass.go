package ui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/session"
)

// endpoint is one of the API's that pages may ask. The API itself knows who may do what.
type endpoint struct{ method, path string }

// endpoints are all that the pages need: nothing that uploads, and no ML bundles or leases.
var endpoints = []endpoint{
	{http.MethodPost, "v2/series"},
	{http.MethodGet, "v2/devices"},
	{http.MethodGet, "v2/progress"},
	{http.MethodGet, "v2/events"},

	{http.MethodPost, "get_images/metadata"},
	{http.MethodPost, "get_images/image"},
	{http.MethodPost, "get_images/image-download"},
	{http.MethodPost, "get_images/thumbnail"},
	{http.MethodPost, "get_images/thumbnail-mini"},
	{http.MethodPost, "get_image_series/metadata"},
	{http.MethodPost, "get_image_series/thumbnail"},
	{http.MethodPost, "get_image_series/thumbnail-mini"},

	{http.MethodPost, "get_uid_annotations/metadata"},
	{http.MethodPost, "get_uid_annotations/data"},
	{http.MethodPost, "get_uid_annotations_series/metadata"},

	{http.MethodPost, "get_uid_failures"},
	{http.MethodPost, "retry_uid_failures"},

	{http.MethodPost, "get_tiled_tuboid_series/metadata"},
	{http.MethodPost, "get_tiled_tuboid_series/data"},
	{http.MethodPost, "_get_itc_labels"},
	{http.MethodGet, "v2/tuboid_shots"},
	{http.MethodGet, "v2/tuboid_tile"},

	{http.MethodGet, "v2/me"},
	{http.MethodPost, "get_projects"},
	{http.MethodPost, "put_projects"},
	{http.MethodPost, "delete_projects"},
	{http.MethodPost, "get_project_permissions"},
	{http.MethodPost, "put_project_permissions"},
	{http.MethodPost, "get_project_series"},
	{http.MethodPost, "put_project_series"},

	{http.MethodPost, "get_users"},
	{http.MethodPost, "put_users"},
	{http.MethodPost, "delete_users"},
	{http.MethodPost, "reset_password"},
}

// maxBody bounds what a page may send, in bytes: some ten thousand keys of images.
const maxBody = 4 << 20

// Headers that pass, in either direction. All others stay here: the browser's cookie, and whatever the API says to its
// own clients alone, such as WWW-Authenticate, at which a browser would open a log-in of its own.
var (
	passedOn   = []string{"Accept", "Accept-Encoding", "Content-Type", "Last-Event-Id", "If-None-Match", requestIDHeader}
	passedBack = []string{"Content-Type", "Content-Length", "Content-Encoding", "Vary", "Etag", "Retry-After", "Last-Modified", "Cache-Control"}
)

type sessionKey struct{}

// pass hands the request to the API and its reply to the browser, as they come.
func (u *ui) pass(c *gin.Context, s session.Session) error {
	if c.Request.ContentLength > maxBody {
		return spi.Errorf(spi.CodeTooLarge, "the request is larger than %d MB: ask for fewer images at once", maxBody>>20)
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
	ctx := context.WithValue(c.Request.Context(), sessionKey{}, s)
	if strings.HasSuffix(c.FullPath(), "/events") {
		// without an end of its own: it would hold the server's stop up, and outlive the session
		within, cancel := u.Sessions.Within(ctx, s)
		defer cancel()
		go func() {
			select {
			case <-u.Stopping:
				cancel()
			case <-within.Done():
			}
		}()
		ctx = within
	}
	c.Writer.Header().Del("Cache-Control") // the reply has its own
	r := c.Request.WithContext(ctx)
	r.Header.Set(clientHeader, c.ClientIP())
	u.proxy.ServeHTTP(c.Writer, r)
	return nil
}

// clientHeader tells the API whose request it is; it believes that of its own proxies.
const clientHeader = "X-Forwarded-For"

func (u *ui) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: u.Transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			s, _ := p.In.Context().Value(sessionKey{}).(session.Session)
			p.Out.URL = &url.URL{
				Scheme: u.API.Scheme, Host: u.API.Host, Path: strings.TrimPrefix(p.In.URL.Path, "/api"), RawQuery: p.In.URL.RawQuery,
			}
			p.Out.Host = ""
			p.Out.Header = http.Header{
				"Authorization": {"Bearer " + s.Token}, "User-Agent": {userAgent}, clientHeader: {p.In.Header.Get(clientHeader)},
			}
			for _, name := range passedOn {
				if v := p.In.Header.Get(name); v != "" {
					p.Out.Header.Set(name, v)
				}
			}
		},
		ModifyResponse: func(reply *http.Response) error {
			if reply.StatusCode >= 300 && reply.StatusCode < 400 && reply.StatusCode != http.StatusNotModified {
				return spi.Errorf(spi.CodeUnavailable, "the API answers %d: is its address right?", reply.StatusCode)
			}
			kept := http.Header{}
			for _, name := range passedBack {
				if v := reply.Header.Values(name); len(v) > 0 {
					kept[name] = v
				}
			}
			if len(kept["Cache-Control"]) == 0 {
				kept.Set("Cache-Control", noStore)
			}
			if reply.StatusCode == http.StatusUnauthorized { // the token is over, with the account or the password
				u.dropCookie(kept)
			}
			reply.Header = kept
			return nil
		},
		ErrorHandler: u.proxyFailed,
		ErrorLog:     slog.NewLogLogger(u.Log.Handler(), slog.LevelWarn), // of replies that break off
	}
}

const userAgent = "sticky-pi-viewer/" + spi.APIVersion

// proxyFailed answers where the API does not.
func (u *ui) proxyFailed(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var known *spi.Error
	switch {
	case errors.As(err, &tooLarge):
		err = spi.Errorf(spi.CodeTooLarge, "the request is larger than %d MB: ask for fewer images at once", maxBody>>20)
	case errors.As(err, &known):
	default:
		err = spi.Wrap(spi.CodeUnavailable, err, "the API does not answer at the moment: try again")
	}
	if r.Context().Err() == nil {
		u.Log.WarnContext(r.Context(), "not passed on", "path", r.URL.Path, "error", err)
	}
	status, body := failure(err)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", noStore)
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, body.code, body.message) // our own words, which need no more quoting
}

// client gives a client of the API that speaks for the browser that sent the request.
func (u *ui) client(c *gin.Context, login spi.Option) (*spi.Client, error) {
	return spi.New(u.API.String(), login,
		spi.WithUserAgent(userAgent),
		spi.WithRetry(spi.Retry{Attempts: 1}), // somebody is waiting, and will try again
		spi.WithHTTPClient(&http.Client{Transport: speaksFor{u.Transport, c.ClientIP(), c.GetHeader(requestIDHeader)}}))
}

// speaksFor adds to every request whose it is.
type speaksFor struct {
	http.RoundTripper
	client, requestID string
}

func (s speaksFor) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(clientHeader, s.client)
	r.Header.Set(requestIDHeader, s.requestID)
	return s.RoundTripper.RoundTrip(r)
}
