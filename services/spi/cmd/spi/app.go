package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// globals are the flags of every command.
type globals struct {
	Profile  string `default:"default" env:"SPI_PROFILE" placeholder:"NAME" help:"Which log-in to use, for people with several servers."`
	Settings string `env:"SPI_SETTINGS" type:"path" placeholder:"FILE" help:"Where log-ins are kept, instead of the user's folder of settings."`
	Quiet    bool   `short:"q" help:"Show no progress; results and errors alone."`
}

// app is what the commands share. Its methods may be called by several goroutines.
type app struct {
	globals
	in   *os.File
	out  *os.File // results
	errs *os.File // progress, remarks, errors

	goesOn bool // the command, given again, goes on where it was interrupted
}

// isTerminal says whether a person sees what is written to f.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// remark writes a line for people to standard error. Foreign text in it goes through [printable] first. Where a
// progress is shown, its Printf is to be used instead.
func (a *app) remark(format string, args ...any) {
	fmt.Fprintf(a.errs, format+"\n", args...)
}

// client opens a client of the server that the user is logged in to: by the saved log-in, whose token is renewed here and
// while the client is used, or by SPI_HOST, SPI_USER and SPI_PASSWORD (or SPI_PASSWORD_FILE), which count more and need no
// log-in. It asks the server nothing but a new token where that is due. Its errors are for [app.exit].
func (a *app) client(options ...spi.Option) (*spi.Client, error) {
	host, user := os.Getenv("SPI_HOST"), os.Getenv("SPI_USER")
	password, err := passwordOfEnvironment()
	if err != nil {
		return nil, err
	}
	path, err := a.settingsPath()
	if err != nil {
		return nil, err
	}
	saved, err := loadProfile(path, a.Profile)
	missing := errors.Is(err, errNoProfile)
	if err != nil && !missing {
		return nil, err
	}
	switch {
	case host != "" && user != "" && password != "":
		saved = profile{Host: host, User: user, CAFile: os.Getenv("SPI_CA_FILE")}
	case host != "":
		return nil, usagef("SPI_HOST needs SPI_USER and SPI_PASSWORD (or SPI_PASSWORD_FILE) beside it: set all three, or none and run 'spi login'")
	case missing:
		return nil, &fault{status: exitLogin, text: a.loginHint("you are not logged in")}
	case password != "":
		// the saved host, and a log-in that does not end
		if user != "" {
			saved.User = user
		}
	default:
		options = append(options, spi.WithSavedToken(saved.Token, saved.Renew, func(t spi.Token, renewAt time.Time) {
			saved.Token, saved.Renew = t, earlier(renewAt)
			if err := renewProfile(path, a.Profile, saved); err != nil {
				a.remark("spi: the new token could not be kept: %s", printable(err.Error()))
			}
		}))
	}
	if password != "" {
		options = append(options, spi.WithPassword(saved.User, password))
	}
	return a.open(saved, append([]spi.Option{spi.WithRetry(spi.Retry{Wait: a.wait})}, options...)...)
}

// spokenWait is how long a wait for a server is that people are told of.
const spokenWait = 3 * time.Second

// wait waits before a request is sent again.
func (a *app) wait(ctx context.Context, d time.Duration) error {
	if d >= spokenWait && !a.Quiet {
		a.remark("the server is away or asks to wait: trying again in %s", d.Round(time.Second))
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// open makes a client of a profile's server, without credentials but those in options.
func (a *app) open(p profile, options ...spi.Option) (*spi.Client, error) {
	all := []spi.Option{spi.WithUserAgent("spi/" + buildinfo.Version)}
	if ca := p.CAFile; ca != "" {
		pool, err := certificates(ca)
		if err != nil {
			return nil, err
		}
		all = append(all, spi.WithRootCAs(pool))
	}
	return spi.New(p.Host, append(all, options...)...)
}

// certificates gives the system's certificate authorities and those of a PEM file.
func certificates(path string) (*x509.CertPool, error) {
	pem, err := readSmall(path)
	if err != nil {
		return nil, fmt.Errorf("the certificates of --ca-file cannot be read: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // Windows before 10, or no store at all
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path)
	}
	return pool, nil
}

// readSmall reads a file of settings, of which more than a megabyte cannot be one.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s is larger than a megabyte", path)
	}
	return text, err
}
