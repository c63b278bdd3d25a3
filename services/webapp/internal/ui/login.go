package ui

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/kit/logging"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/webapp/internal/session"
)

// maxLogIn bounds the body of a log-in, in bytes.
const maxLogIn = 4 << 10

// logInWithin bounds the API's part of a log-in.
const logInWithin = 30 * time.Second

// sessionReply is what the page knows of its session. Without one, User is nil.
type sessionReply struct {
	User    *string `json:"user"`
	Role    string  `json:"role,omitempty"`
	Proof   string  `json:"proof,omitempty"`   // to be sent in the header X-CSRF-Token with every request but GET
	Expires int64   `json:"expires,omitempty"` // seconds since the epoch
}

// proofHeader holds the session's proof.
const proofHeader = "X-CSRF-Token"

func (u *ui) reply(s session.Session) sessionReply {
	return sessionReply{User: &s.User, Role: s.Role, Proof: u.Sessions.Proof(s), Expires: s.Expires.Unix()}
}

// getSession says who is logged in; that nobody is, is no error.
func (u *ui) getSession(c *gin.Context) {
	s, err := u.open(c)
	if err != nil {
		c.JSON(http.StatusOK, sessionReply{})
		return
	}
	c.JSON(http.StatusOK, u.reply(s))
}

// open gives the request's session, and sends its cookie again where that is due.
func (u *ui) open(c *gin.Context) (session.Session, error) {
	value, err := c.Cookie(u.cookie)
	if err != nil {
		return session.Session{}, session.ErrNone
	}
	s, err := u.Sessions.Open(value)
	if err != nil {
		return session.Session{}, err
	}
	c.Request = c.Request.WithContext(logging.With(c.Request.Context(), slog.String("user", s.User)))
	if touched, due := u.Sessions.Touch(s); due {
		s = touched
		if err := u.setCookie(c, s); err != nil {
			return session.Session{}, err
		}
	}
	return s, nil
}

// within lets a handler be called by who is logged in; with the session's proof, where it may change something.
func (u *ui) within(handle func(*gin.Context, session.Session) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		s, err := u.open(c)
		switch {
		case errors.Is(err, session.ErrNone):
			err = spi.Errorf(spi.CodeUnauthorized, "your session is over: log in again")
		case err != nil:
		case c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead && !u.Sessions.Proven(s, c.GetHeader(proofHeader)):
			err = spi.Errorf(spi.CodeForbidden, "this request lacks the session's proof: load the page again")
		default:
			err = handle(c, s)
		}
		if err != nil {
			u.fail(c, err)
		}
	}
}

// logIn asks the API for a token, and begins a new session with it, whatever cookie the browser sent. The session that the
// browser had until then is ended: nobody could end it any more.
func (u *ui) logIn(c *gin.Context) {
	s, err := u.begin(c)
	if err == nil {
		err = u.setCookie(c, s)
	}
	if err != nil {
		u.fail(c, err)
		return
	}
	if value, err := c.Cookie(u.cookie); err == nil {
		if replaced, err := u.Sessions.Open(value); err == nil {
			u.Sessions.End(replaced)
		}
	}
	u.Log.InfoContext(c.Request.Context(), "logged in", "user", s.User, "role", s.Role, "client", c.ClientIP())
	c.JSON(http.StatusOK, u.reply(s))
}

func (u *ui) begin(c *gin.Context) (session.Session, error) {
	// a form of another site can send no such type
	if kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || kind != "application/json" {
		return session.Session{}, spi.Errorf(spi.CodeUnsupportedMedia, "a log-in is sent as application/json")
	}
	var body struct{ Username, Password string }
	dec := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxLogIn))
	if err := dec.Decode(&body); err != nil {
		return session.Session{}, spi.Wrap(spi.CodeInvalid, err, "the log-in cannot be read: send username and password")
	}
	if body.Username == "" || body.Password == "" {
		return session.Session{}, spi.Errorf(spi.CodeInvalid, "fill in both user name and password")
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), logInWithin)
	defer cancel()
	client, err := u.client(c, spi.WithPassword(body.Username, body.Password))
	if err != nil {
		return session.Session{}, err
	}
	token, err := client.GetToken(ctx)
	if err != nil {
		if spi.CodeOf(err) == spi.CodeUnauthorized {
			return session.Session{}, spi.Wrap(spi.CodeUnauthorized, err, "the user name or the password is wrong")
		}
		return session.Session{}, err
	}
	me, err := client.GetMe(ctx)
	if err != nil {
		return session.Session{}, err
	}
	return u.Sessions.Start(me.Username, me.Role, token.Token, time.Unix(token.Expiration, 0)), nil
}

func (u *ui) logOut(c *gin.Context, s session.Session) error {
	u.Sessions.End(s)
	u.dropCookie(c.Writer.Header())
	u.Log.InfoContext(c.Request.Context(), "logged out")
	c.Status(http.StatusNoContent)
	return nil
}

func (u *ui) setCookie(c *gin.Context, s session.Session) error {
	value, err := u.Sessions.Seal(s)
	if err != nil {
		return err
	}
	u.put(c.Writer.Header(), value, int(s.Expires.Sub(u.Now()).Seconds()))
	return nil
}

func (u *ui) dropCookie(h http.Header) { u.put(h, "", -1) }

func (u *ui) put(h http.Header, value string, maxAge int) {
	cookie := http.Cookie{ //nolint:gosec // by plain HTTP, on one's own machine, browsers drop cookies that are Secure
		Name: u.cookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: u.HTTPS, SameSite: http.SameSiteStrictMode,
	}
	h.Set("Set-Cookie", cookie.String()) // there is no other
}
