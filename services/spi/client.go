package spi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v5"
)

// Client calls the API of one server. It is safe for concurrent use.
//
// Requests that fail because the server is away or asks to wait are sent again, as [Retry] says: on connection errors and
// the statuses 429, 502, 503 and 504. Every other status is final. An error of a method is an [*Error], whose Code is the
// server's, or, where the method's context ended, wraps the context's error. Faults of the network are CodeUnavailable.
//
// A client made with [WithPassword] logs in once, goes on with the token, gets a new one before it ends, and logs in again,
// once a request, where the server does not take the token (any more). One that has a token alone renews it with itself,
// where it knows when that is due: see [WithSavedToken].
//
// A request ends where the server takes five minutes to begin its reply, or stands still for two in the middle of it (one, at
// a download). It has no other time limit, since replies and uploads may be long: give a context that has one.
type Client struct {
	base      *url.URL
	http      *http.Client
	roots     *x509.CertPool // nil: the system's
	badLine   bool
	userAgent string
	retry     Retry
	now       func() time.Time
	session   session
}

// ErrNoAPI is in the chain of the error of a reply with status 200 that no Sticky Pi API would give.
var ErrNoAPI = errors.New("not a reply of the API")

// ErrGateway is in the chain of the error of a reply with another status than 200 that is not in the API's own form: it says
// nothing about the request, since whoever gave it, a gateway or a network's log-in page, may not have passed it on.
var ErrGateway = errors.New("not the API's own reply")

// session is what the client logs in with. What lies below lock is read and written by its holder alone.
type session struct {
	lock               chan struct{} // holds one value while locked: a mutex that a context can stop waiting for
	username, password string        // password: empty where the client was given none
	token              string
	renewAt            time.Time              // of this machine's clock; zero: never
	save               func(Token, time.Time) // told of each new token and its renewAt; may be nil
	clock              *time.Duration         // how far this machine's clock is ahead; nil: not known
}

// Option sets up a [Client].
type Option func(*Client)

// WithPassword lets the client log in as a user.
func WithPassword(username, password string) Option {
	return func(c *Client) { c.session.username, c.session.password = username, password }
}

// WithToken gives the client a token to start with. Without [WithPassword] as well it cannot log in again when that ends;
// [Client.GetToken] called in time renews it, and from then on the client does so by itself.
func WithToken(token string) Option {
	return func(c *Client) { c.session.token = token }
}

// WithSavedToken is [WithToken] for programs that keep the token between two runs. The client renews it with itself at
// renewAt, by this machine's clock (zero: never). save is told of every new token and when to renew it; calls wait for it
// meanwhile, and it must not call the client. It may be nil.
func WithSavedToken(t Token, renewAt time.Time, save func(t Token, renewAt time.Time)) Option {
	return func(c *Client) {
		c.session.token, c.session.renewAt, c.session.save = t.Token, renewAt, save
	}
}

// WithRootCAs replaces the system's certificate authorities by those of a pool, for the API's and the object store's
// connections. Without effect beside [WithHTTPClient].
func WithRootCAs(pool *x509.CertPool) Option {
	return func(c *Client) { c.roots = pool }
}

// WithHTTPClient replaces the HTTP client, whose Timeout, if any, is for a whole request with its reply. Redirects are not
// followed where its CheckRedirect is nil: they would turn a POST into a GET.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { own := *h; c.http = &own }
}

// WithRetry replaces the rules for sending requests again.
func WithRetry(r Retry) Option {
	return func(c *Client) { c.retry = r }
}

// WithUserAgent replaces the User-Agent header, "sticky-pi-go/" and [APIVersion].
func WithUserAgent(agent string) Option {
	return func(c *Client) { c.userAgent = agent }
}

// WithClock replaces time.Now.
func WithClock(now func() time.Time) Option {
	return func(c *Client) { c.now = now }
}

// Retry says how often, and when, requests are sent again. The zero value stands for the defaults.
type Retry struct {
	// Attempts is how often a request is sent at most: 1 for never again, 5 where it is 0.
	Attempts int
	// BackOff gives the waits between the attempts of one request; where it is nil they grow from half a second to half a
	// minute, with some chance in them. A Retry-After of the server that is longer is obeyed.
	BackOff func() backoff.BackOff
	// LongestWait ends the attempts where the server asks for a longer wait: 2 minutes where it is 0.
	LongestWait time.Duration
	// Wait waits, or gives the context's error where that ends before. nil: with a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 5
	}
	if r.BackOff == nil {
		r.BackOff = func() backoff.BackOff {
			b := backoff.NewExponentialBackOff()
			b.Multiplier = 2
			b.MaxInterval = 30 * time.Second
			return b
		}
	}
	if r.LongestWait <= 0 {
		r.LongestWait = 2 * time.Minute
	}
	if r.Wait == nil {
		r.Wait = wait
	}
	return r
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// attempts counts those of one request. backoff.Retry is not used: it keeps its own clock, and loses the server's error
// once there is a Retry-After.
type attempts struct {
	Retry
	waits backoff.BackOff
	made  int
}

func (r Retry) begin() *attempts { return &attempts{Retry: r, waits: r.BackOff()} }

// next waits for the time of the next attempt. It gives what ends the request where there is none: err, or the context's.
func (a *attempts) next(ctx context.Context, err error) error {
	a.made++
	pause := a.waits.NextBackOff()
	if a.made >= a.Attempts || pause == backoff.Stop {
		return err
	}
	var e *Error
	if errors.As(err, &e) {
		if e.RetryAfter > a.LongestWait {
			return err
		}
		pause = max(pause, e.RetryAfter)
	}
	return a.Wait(ctx, pause)
}

// idleConnections is how many connections to one host are kept for the next request: those of all workers of a large
// upload or download. net/http keeps two, and each other would shake hands anew.
const idleConnections = 64

// headersWithin is how long the server may take to begin its reply once it has the whole request: uploads wait their turn.
const headersWithin = 5 * time.Minute

// New gives a client of the server whose API is at baseURL, such as https://api.example.org. CodeInvalid for a URL that is
// none, or that holds credentials.
func New(baseURL string, options ...Option) (*Client, error) {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return nil, Wrap(CodeInvalid, err, "the server's address is not a URL")
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, Errorf(CodeInvalid, "%q is not a server's address: write it as https://api.example.org", base.Redacted())
	case base.User != nil:
		return nil, Errorf(CodeInvalid, "the server's address %s holds credentials: give them apart", base.Redacted())
	case base.RawQuery != "" || base.Fragment != "":
		return nil, Errorf(CodeInvalid, "the server's address %s holds more than a path", base)
	}
	c := &Client{
		base:      base,
		userAgent: "sticky-pi-go/" + APIVersion,
		now:       time.Now,
		session:   session{lock: make(chan struct{}, 1)},
	}
	for _, option := range options {
		option(c)
	}
	if c.http == nil {
		c.http = &http.Client{}
		if transport, ok := http.DefaultTransport.(*http.Transport); ok {
			transport = transport.Clone()
			transport.ResponseHeaderTimeout = headersWithin
			transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 2*idleConnections, idleConnections
			if c.roots != nil {
				transport.TLSClientConfig = &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12}
			}
			if c.badLine {
				fitForBadLine(transport)
			}
			c.http.Transport = transport
		}
	}
	if c.http.CheckRedirect == nil {
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	c.retry = c.retry.withDefaults()
	return c, nil
}

// GetToken asks for a new token, with the password where the client has one, else with its token; the client goes on with
// it. A token lives for 24 hours.
func (c *Client) GetToken(ctx context.Context) (Token, error) {
	unlock, err := c.session.acquire(ctx)
	if err != nil {
		return Token{}, err
	}
	defer unlock()
	return c.logIn(ctx)
}

// ClockAhead is how far this machine's clock was ahead of the server's when the client last got a token, to a second or two;
// negative: behind. known is false before the first one, and where the server did not tell its time.
func (c *Client) ClockAhead(ctx context.Context) (ahead time.Duration, known bool) {
	unlock, err := c.session.acquire(ctx)
	if err != nil {
		return 0, false
	}
	defer unlock()
	if c.session.clock == nil {
		return 0, false
	}
	return *c.session.clock, true
}

// UserFilter names users: those for whom each of the fields given matches. Fields are id, username, email, is_admin,
// can_write, api_user, api_version and datetime_created; a value is a string, which may be an SQL LIKE pattern, a number,
// a bool, or nil for users that have none.
type UserFilter map[string]any

// GetUsers gives the users that match any of the filters, or all users where there is none. For admins.
func (c *Client) GetUsers(ctx context.Context, filters ...UserFilter) ([]User, error) {
	return call[User](ctx, c, "get_users", filters, false)
}

// PutUsers makes users: all or none. CodeConflict where a name or e-mail address is there already. For admins.
//
// It is sent again only where the server refused it (429, 503). A connection error, 502 or 504 leaves it open whether the
// users were made: GetUsers tells.
func (c *Client) PutUsers(ctx context.Context, users ...NewUser) ([]User, error) {
	return call[User](ctx, c, "put_users", users, true)
}

// DeleteUsers deletes the users that match any of the filters, and gives them. Without filters it deletes nobody; a filter
// without fields is CodeInvalid. CodeForbidden where the caller or the last admin is among them. For admins.
//
// Where a reply is lost and the request sent again, users that the first one deleted are not among those given.
func (c *Client) DeleteUsers(ctx context.Context, filters ...UserFilter) ([]User, error) {
	return call[User](ctx, c, "delete_users", filters, false)
}

// ResetPassword replaces a user's password and ends the user's tokens. Admins may do so for anybody, others for
// themselves. CodeNotFound. A client that is logged in as that user goes on with the new password; where the reply is lost,
// it cannot know, and CodeUnauthorized may mean that the new one counts.
func (c *Client) ResetPassword(ctx context.Context, username, password string) (User, error) {
	type reset struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	users, err := call[User](ctx, c, "reset_password", []reset{{username, password}}, false)
	if err != nil {
		return User{}, err
	}
	if len(users) != 1 {
		return User{}, Errorf(CodeInternal, "the server gave %d users for 1", len(users))
	}
	unlock, err := c.session.acquire(ctx)
	if err != nil {
		return User{}, err
	}
	defer unlock()
	if s := &c.session; s.password != "" && strings.EqualFold(s.username, username) {
		s.password, s.token = password, ""
	}
	return users[0], nil
}

// GetImages gives the images that any of the keys names, each once, ordered by id. Image.URL leads to the picture that what
// asks for, and is empty for [Metadata].
//
// The images are decoded as they come: memory does not grow with their number. Each range over the sequence is a request of
// its own. An error is the last value. A reply that breaks off is CodeUnavailable and not asked for again, since images
// were given already.
func (c *Client) GetImages(ctx context.Context, what What, keys []ImageKey) iter.Seq2[Image, error] {
	return stream[Image](ctx, c, "get_images/"+url.PathEscape(string(what)), keys, false)
}

// GetImageSeries gives the images inside any of the series, each once, ordered by device, then datetime. See
// [Client.GetImages] for the rest.
func (c *Client) GetImageSeries(ctx context.Context, what What, series ...Series) iter.Seq2[Image, error] {
	return stream[Image](ctx, c, "get_image_series/"+url.PathEscape(string(what)), series, false)
}

// DeleteImages deletes the images that any of the keys names, with all that hangs on them, and gives their metadata. Keys
// of images that are not there are passed over. For admins.
//
// Where a reply is lost and the request sent again, images that the first one deleted are not among those given.
func (c *Client) DeleteImages(ctx context.Context, keys ...ImageKey) ([]Image, error) {
	return call[Image](ctx, c, "delete_images", keys, false)
}

// Collect gathers a sequence, up to its first error, which it gives with what came before.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	all := []T{}
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// call sends elements to an endpoint and gives the whole reply.
func call[T, E any](ctx context.Context, c *Client, endpoint string, elements []E, once bool) ([]T, error) {
	all, err := Collect(stream[T](ctx, c, endpoint, elements, once))
	if err != nil {
		return nil, err
	}
	return all, nil
}

// maxRow bounds, in bytes, one element of a reply: some hundred times what one has.
const maxRow = 1 << 20

// stream sends elements to an endpoint and gives the reply's list as it comes.
func stream[T, E any](ctx context.Context, c *Client, endpoint string, elements []E, once bool) iter.Seq2[T, error] {
	if elements == nil {
		elements = []E{}
	}
	return streamOf[T](ctx, c, request{endpoint: endpoint, once: once}, elements)
}

// streamOf sends a request, with body as JSON where it is not nil, and gives the reply's list as it comes.
func streamOf[T any](ctx context.Context, c *Client, r request, body any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if body != nil {
			text, err := json.Marshal(body)
			if err != nil {
				yield(none, Wrap(CodeInvalid, err, "the request cannot be written as JSON"))
				return
			}
			r.contentType = "application/json"
			r.body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
			r.length = int64(len(text))
		}
		reply, err := c.do(ctx, r)
		if err != nil {
			yield(none, err)
			return
		}
		defer discard(reply.Body)
		for row, err := range rows[T](reply.Body) {
			if err != nil && ctx.Err() != nil {
				err = fmt.Errorf("%s: %w", r.endpoint, context.Cause(ctx))
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// rows decodes a JSON list, an element at a time. An error is the last value: CodeUnavailable, as what comes from a server
// that is well is a whole list.
func rows[T any](r io.Reader) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		most := int64(maxRow)
		if long, ok := any(none).(interface{ longestRow() int64 }); ok {
			most = long.longestRow()
		}
		in := &budget{r: r, left: most, most: most}
		dec := json.NewDecoder(in)
		if start, err := dec.Token(); err != nil || start != json.Delim('[') {
			yield(none, Wrap(CodeUnavailable, errors.Join(ErrNoAPI, err), "the reply is not a JSON list: is this the address of a Sticky Pi API?"))
			return
		}
		n := 0
		for ; dec.More(); n++ {
			in.left = most
			var row T
			if err := dec.Decode(&row); err != nil {
				yield(none, Wrap(CodeUnavailable, err, "the reply broke off after %d elements", n))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if _, err := dec.Token(); err != nil {
			yield(none, Wrap(CodeUnavailable, err, "the reply broke off after %d elements", n))
		}
	}
}

// budget is a reader that fails once left bytes were read.
type budget struct {
	r    io.Reader
	left int64
	most int64
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("an element is longer than %d bytes", b.most)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// request is what is sent to an endpoint, any number of times.
type request struct {
	method      string // empty: POST
	endpoint    string // may hold a path
	query       url.Values
	header      http.Header
	contentType string
	body        func() (io.ReadCloser, error) // nil: none
	length      int64                         // of body, bytes
	once        bool                          // not to be sent again where it may have been done
}

func (r request) verb() string { return cmp.Or(r.method, http.MethodPost) }

// failure is how an attempt ended that did not end well.
type failure struct {
	err     error
	status  int  // 0: there was no reply
	again   bool // another attempt may end better
	refused bool // the server did nothing of it
}

// do sends a request until it is answered by 200 or there is no point in another attempt. The reply's body is open.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	attempts := c.retry.begin()
	for {
		reply, failed := c.authorized(ctx, r)
		if failed == nil {
			return reply, nil
		}
		if !failed.again || r.once && !failed.refused {
			return nil, failed.err
		}
		if err := attempts.next(ctx, failed.err); err != nil {
			return nil, err
		}
	}
}

// authorized sends a request with the session's token, and once more with a new one where that is refused.
func (c *Client) authorized(ctx context.Context, r request) (*http.Response, *failure) {
	token, err := c.tokenOtherThan(ctx, "")
	if err != nil {
		return nil, &failure{err: err}
	}
	reply, failed := c.send(ctx, r, token, "")
	if failed == nil || failed.status != http.StatusUnauthorized {
		return reply, failed
	}
	other, err := c.tokenOtherThan(ctx, token)
	switch {
	case err != nil:
		return nil, &failure{err: err}
	case other == token:
		return nil, failed
	}
	return c.send(ctx, r, other, "")
}

// acquire locks the session.
func (s *session) acquire(ctx context.Context) (unlock func(), err error) {
	select {
	case s.lock <- struct{}{}:
		return func() { <-s.lock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("log-in: %w", context.Cause(ctx))
	}
}

// tokenOtherThan gives the session's token, after logging in where that is due or where the token is the refused one. It
// gives the refused one itself, or none, where the client has no password: only a token that still counts gets a new one.
func (c *Client) tokenOtherThan(ctx context.Context, refused string) (string, error) {
	unlock, err := c.session.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	s := &c.session
	old := !s.renewAt.IsZero() && !c.now().Before(s.renewAt)
	if s.token == refused {
		if s.password == "" {
			return s.token, nil
		}
	} else if !old {
		return s.token, nil
	}
	t, err := c.logIn(ctx)
	return t.Token, err
}

// logIn gets a token for the session, which is locked.
func (c *Client) logIn(ctx context.Context) (Token, error) {
	s := &c.session
	name, password := s.username, s.password
	if password == "" {
		name = s.token
	}
	attempts := c.retry.begin()
	for {
		reply, failed := c.send(ctx, request{endpoint: "get_token"}, name, password)
		if failed == nil {
			var t Token
			err := json.NewDecoder(io.LimitReader(reply.Body, maxErrorBody)).Decode(&t)
			discard(reply.Body)
			if err != nil || t.Token == "" {
				return Token{}, Wrap(CodeUnavailable, errors.Join(ErrNoAPI, err), "the reply is not a token: is this the address of a Sticky Pi API?")
			}
			s.token, s.renewAt = t.Token, c.renewAt(reply, t)
			if s.save != nil {
				s.save(t, s.renewAt)
			}
			return t, nil
		}
		if !failed.again {
			return Token{}, failed.err
		}
		if err := attempts.next(ctx, failed.err); err != nil {
			return Token{}, err
		}
	}
}

// renewAt is when nine tenths of a token's life are over, by this machine's clock, which may be wrong: the token's age is
// reckoned with the server's. It notes how wrong it is.
func (c *Client) renewAt(reply *http.Response, t Token) time.Time {
	now := c.now()
	server, err := http.ParseTime(reply.Header.Get("Date"))
	if err != nil {
		server, c.session.clock = now, nil
	} else {
		c.session.clock = new(now.Sub(server).Round(time.Second))
	}
	life := time.Unix(t.Expiration, 0).Sub(server)
	if life <= 0 {
		return time.Time{} // cannot be right: the server will say when it is over
	}
	return now.Add(life / 10 * 9)
}

// send makes one attempt. user and password are those of HTTP Basic; without user there are no credentials.
func (c *Client) send(ctx context.Context, r request, user, password string) (*http.Response, *failure) {
	var body io.ReadCloser = http.NoBody
	if r.body != nil {
		var err error
		if body, err = r.body(); err != nil {
			return nil, &failure{err: err}
		}
	}
	target := c.base.JoinPath(r.endpoint)
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.verb(), target.String(), body)
	if err != nil {
		return nil, &failure{err: Wrap(CodeInvalid, err, "%s cannot be asked for", r.endpoint)}
	}
	req.ContentLength, req.GetBody = r.length, r.body
	maps.Copy(req.Header, r.header)
	req.Header.Set("User-Agent", c.userAgent)
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	reply, err := c.roundTrip(req, replyStallsAfter)
	if err != nil {
		return nil, connectionFailure(ctx, r.endpoint, err)
	}
	if reply.StatusCode == http.StatusOK {
		return reply, nil
	}
	defer discard(reply.Body)
	f := &failure{err: c.replyError(reply, r), status: reply.StatusCode}
	switch reply.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.again, f.refused = true, true
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		f.again = true
	}
	return nil, f
}

func connectionFailure(ctx context.Context, endpoint string, err error) *failure {
	var mine *Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case ctx.Err() != nil:
		return &failure{err: fmt.Errorf("%s: %w", endpoint, context.Cause(ctx))}
	case errors.As(err, &mine): // reading what is to be sent
		return &failure{err: mine}
	case errors.As(err, &certificate):
		return &failure{err: Wrap(CodeUnavailable, err, "the server cannot prove that it is who it says")}
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return &failure{err: Wrap(CodeInvalid, err, "the server does not speak HTTPS at that address")}
	}
	return &failure{err: Wrap(CodeUnavailable, err, "the connection to the server failed"), again: true}
}

// maxMessage bounds, in characters, what a server says of an error. A sentence or two is what the API writes.
const maxMessage = 1000

func shorten(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return s
}

// maxErrorBody is how many bytes are read of a reply that is no list.
const maxErrorBody = 64 << 10

// replyError makes an error of a reply whose status is not 200. Its cause, for logs, says what was asked and the
// request's id.
func (c *Client) replyError(reply *http.Response, r request) *Error {
	text, _ := io.ReadAll(io.LimitReader(reply.Body, maxErrorBody)) // what has come is all there is to show
	var wire struct {
		Error struct {
			Code    Code   `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	code, message := CodeOfStatus(reply.StatusCode), ""
	cause := fmt.Errorf("%s %s: status %d", r.verb(), r.endpoint, reply.StatusCode)
	if err := json.Unmarshal(text, &wire); err == nil && wire.Error.Message != "" {
		message = shorten(wire.Error.Message, maxMessage)
		if _, known := statusOf[wire.Error.Code]; known {
			code = wire.Error.Code
		}
	}
	if message == "" { // not this server's: a gateway's, or the old stack's
		message = "the server answered " + reply.Status
		if excerpt := plain(text); excerpt != "" {
			message += ": " + excerpt
		}
		cause = fmt.Errorf("%w, %w", cause, ErrGateway)
	}
	if location := reply.Header.Get("Location"); reply.StatusCode/100 == 3 && location != "" {
		code = CodeInvalid
		message = fmt.Sprintf("the server sends us on to %.200q: use that address", location)
	}
	if id := reply.Header.Get("X-Request-Id"); id != "" {
		cause = fmt.Errorf("%w, request %.64q", cause, id)
	}
	e := Wrap(code, cause, "%s", message)
	e.RetryAfter = c.retryAfter(reply.Header.Get("Retry-After"))
	return e
}

// retryAfter reads the header of that name, in either of its forms.
func (c *Client) retryAfter(header string) time.Duration {
	const most = 366 * 24 * time.Hour // a longer one means the same, and does not overflow
	if seconds, err := strconv.ParseInt(header, 10, 64); err == nil {
		return time.Duration(max(0, min(seconds, int64(most/time.Second)))) * time.Second
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(0, min(t.Sub(c.now()), most))
	}
	return 0
}

// plain gives the beginning of a text in one line, and nothing where it is a page of HTML.
func plain(text []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " ")
	if strings.HasPrefix(s, "<") {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	return shorten(s, 200)
}

// discard reads a little more of a body, so that the connection can be used again, and closes it.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxErrorBody)
	_ = body.Close()
}
