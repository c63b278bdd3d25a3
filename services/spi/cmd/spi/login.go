package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type loginCmd struct {
	URL          string `arg:"" name:"url" help:"The API's address, such as https://api.example.org."`
	User         string `required:"" env:"SPI_USER" placeholder:"NAME" help:"Your user name."`
	PasswordFile string `type:"path" placeholder:"FILE" help:"Read the password from a file's first line. Otherwise it comes from SPI_PASSWORD, SPI_PASSWORD_FILE, a prompt, or a pipe."`
	CAFile       string `type:"path" name:"ca-file" env:"SPI_CA_FILE" placeholder:"FILE" help:"Certificates (PEM) of a private authority that the server's is signed by."`
}

// Help is shown by spi login --help.
func (loginCmd) Help() string {
	return `Checks the user name and the password, and keeps the token that the server gives for them, never the password. A token
lives for 24 hours after it was last used; for work without anybody at hand set SPI_PASSWORD_FILE instead.`
}

// clockTolerance is how wrong a clock may be before it is spoken of.
const clockTolerance = 5 * time.Minute

func (c loginCmd) Run(ctx context.Context, a *app) error {
	path, err := a.settingsPath()
	if err != nil {
		return err
	}
	p := profile{Host: address(c.URL), User: c.User}
	if c.CAFile != "" {
		if p.CAFile, err = filepath.Abs(c.CAFile); err != nil {
			return err
		}
	}
	if _, err := a.open(p); err != nil { // before a password is asked for
		return err
	}
	if insecure(p.Host) {
		a.remark("spi: http:// sends the password and the images unencrypted, for anybody on the way to read: https:// does not")
	}
	password, err := a.readPassword(ctx, fmt.Sprintf("Password of %s at %s", printable(p.User), p.Host), c.PasswordFile, "SPI_PASSWORD", false)
	if err != nil {
		return err
	}
	client, err := a.open(p, spi.WithPassword(p.User, password), spi.WithRetry(spi.Retry{Attempts: 2, LongestWait: 5 * time.Second}),
		spi.WithSavedToken(spi.Token{}, time.Time{}, func(t spi.Token, renewAt time.Time) { p.Token, p.Renew = t, earlier(renewAt) }))
	if err != nil {
		return err
	}
	if _, err := client.GetToken(ctx); err != nil {
		return loginFault(ctx, p, err)
	}
	ahead, known := client.ClockAhead(ctx)
	if known && p.Token.Expiration <= time.Now().Add(-ahead).Unix() {
		return &fault{status: exitFailed, text: "the server gives log-ins that have ended already: tell its operator that its machines' clocks differ"}
	}
	if known && ahead.Abs() > clockTolerance {
		a.remark("spi: this computer's clock is %s the server's: set it, or dates such as 'yesterday' mean something else", offset(ahead))
	}
	if err := saveProfile(path, a.Profile, p); err != nil {
		return fmt.Errorf("you are logged in, but that could not be kept: %w", err)
	}
	a.remark("logged in to %s as %s", p.Host, printable(p.User))
	return nil
}

// earlier is when a token that is kept is renewed: a day's rest after it was last used, to the hour, rather than after it
// was first given.
func earlier(renewAt time.Time) time.Time {
	if soon := time.Now().Add(time.Hour); renewAt.IsZero() || soon.Before(renewAt) {
		return soon
	}
	return renewAt
}

// address completes what people type as an address.
func address(s string) string {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	return strings.TrimRight(s, "/")
}

// insecure says whether what is sent to an address can be read on the way.
func insecure(host string) bool {
	u, err := url.Parse(host)
	if err != nil || u.Scheme != "http" || strings.EqualFold(u.Hostname(), "localhost") {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}

// offset says how wrong a clock is.
func offset(ahead time.Duration) string {
	if ahead < 0 {
		return ahead.Abs().Round(time.Minute).String() + " behind"
	}
	return ahead.Round(time.Minute).String() + " ahead of"
}

// loginFault says what to do where a log-in failed.
func loginFault(ctx context.Context, p profile, err error) error {
	var wire *spi.Error
	if ctx.Err() != nil || isDiskFull(err) || !errors.As(err, &wire) {
		return err
	}
	if text := networkText(err, p.Host, time.Now()); text != "" {
		return &fault{status: exitUnreachable, text: text}
	}
	switch wire.Code {
	case spi.CodeUnauthorized:
		return &fault{status: exitLogin, text: fmt.Sprintf("the server does not know user %q with that password", p.User)}
	case spi.CodeRateLimited, spi.CodeForbidden, spi.CodeInternal:
		return err
	case spi.CodeUnavailable:
		if !errors.Is(err, spi.ErrNoAPI) {
			return err
		}
	}
	hint := ""
	u, parseErr := url.Parse(p.Host)
	if parseErr == nil && strings.Contains(u.Hostname(), ".") && net.ParseIP(u.Hostname()) == nil && !strings.HasPrefix(u.Hostname(), "api.") {
		hint = fmt.Sprintf("; its API is often at %s://api.%s", u.Scheme, u.Host)
	}
	return &fault{status: exitFailed, text: fmt.Sprintf("what answers at %s is not the API of a Sticky Pi server (%s)%s", p.Host, wire.Message, hint)}
}

type logoutCmd struct{}

func (logoutCmd) Run(a *app) error {
	path, err := a.settingsPath()
	if err != nil {
		return err
	}
	p, err := loadProfile(path, a.Profile)
	if errors.Is(err, errNoProfile) {
		a.remark("you were not logged in")
		return nil
	}
	if err != nil {
		return err
	}
	if err := changeSettings(path, func(s *settings) { delete(s.Profiles, a.Profile) }); err != nil {
		return fmt.Errorf("the log-in could not be forgotten: %w", err)
	}
	a.remark("logged out of %s", p.Host)
	return nil
}
