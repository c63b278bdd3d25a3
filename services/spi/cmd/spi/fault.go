package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Exit statuses, for scripts; docs/CLIENT.md has them too.
const (
	exitDone        = 0
	exitFailed      = 1   // nothing, or not all, was done, and the same command will not do it
	exitUsage       = 2   // the command line is wrong; nothing was done
	exitPartly      = 3   // some of the items failed, each with a line; the others are done
	exitLogin       = 4   // not logged in, the password is wrong, or the user may not do this
	exitUnreachable = 5   // the server is away or cannot be trusted: the same command may work later
	exitInterrupted = 130 // by Ctrl-C or a signal; the same command goes on from there
)

// fault is an error whose exit status and whole text are known.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return f.text }

// usagef is for command lines that are wrong in a way that the parser cannot see.
func usagef(format string, args ...any) error {
	return &fault{status: exitUsage, text: fmt.Sprintf(format, args...)}
}

// partlyf is how a command ends that did some of its work. Each item that failed has had its line already.
func partlyf(format string, args ...any) error {
	return &fault{status: exitPartly, text: fmt.Sprintf(format, args...)}
}

// someFailedf is [partlyf] where done items did not fail, and a plain failure where none did.
func someFailedf(done int64, format string, args ...any) error {
	if done > 0 {
		return partlyf(format, args...)
	}
	return &fault{status: exitFailed, text: fmt.Sprintf(format, args...)}
}

// exit writes an error as one line that says what to do, and gives the exit status.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	status, text := a.explain(ctx, err)
	fmt.Fprintf(a.errs, "spi: %s\n", text)
	return status
}

// explain turns an error into a line for people, free of control characters, and the exit status. For errors of single
// items, whose line begins with the item's name, too.
func (a *app) explain(ctx context.Context, err error) (status int, text string) {
	status, text = a.reason(ctx, err)
	return status, printable(text)
}

func (a *app) reason(ctx context.Context, err error) (int, string) {
	var known *fault
	var wire *spi.Error
	switch {
	case errors.Is(err, errInterrupted), ctx.Err() != nil && errors.Is(context.Cause(ctx), errInterrupted):
		if a.goesOn {
			return exitInterrupted, "interrupted; the same command goes on from here"
		}
		return exitInterrupted, "interrupted"
	case errors.As(err, &known):
		return known.status, known.text
	}
	if text := diskText(err); text != "" {
		return exitFailed, text
	}
	if text := networkText(err, a.host(), time.Now()); text != "" {
		return exitUnreachable, text
	}
	if !errors.As(err, &wire) {
		return exitFailed, err.Error()
	}
	switch wire.Code {
	case spi.CodeUnauthorized:
		return exitLogin, a.loginHint("the server does not take the log-in (any more): " + wire.Message)
	case spi.CodeForbidden:
		return exitLogin, "not allowed: " + wire.Message
	case spi.CodeUnavailable:
		return exitUnreachable, wire.Message + "; try again later"
	case spi.CodeRateLimited:
		text := wire.Message
		if wire.RetryAfter > 0 {
			text += fmt.Sprintf("; try again in %s", wire.RetryAfter.Round(time.Second))
		}
		return exitUnreachable, text
	case spi.CodeInternal:
		return exitFailed, fmt.Sprintf("the server failed (%s): tell its operator", causeOf(wire))
	}
	return exitFailed, wire.Message + localCause(wire)
}

// causeOf is the message of a wire error and what the server's log has it under.
func causeOf(e *spi.Error) string {
	if cause := e.Unwrap(); cause != nil {
		return e.Message + ", " + cause.Error()
	}
	return e.Message
}

// localCause is what a file of this machine had wrong, with a colon before it.
func localCause(e *spi.Error) string {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(e, &path):
		return ": " + path.Error()
	case errors.As(e, &link):
		return ": " + link.Error()
	}
	return ""
}

// diskText says that a disk is full; "" for every other error.
func diskText(err error) string {
	if !isDiskFull(err) {
		return ""
	}
	where := ""
	var path *fs.PathError
	if errors.As(err, &path) {
		where = " (" + path.Path + ")"
	}
	return "the disk is full" + where + ": make room, and give the same command again"
}

// networkText says why a server cannot be reached or trusted; "" for errors that are something else. now is this machine's
// clock, which is often the culprit.
func networkText(err error, host string, now time.Time) string {
	var (
		dns         *net.DNSError
		unknown     x509.UnknownAuthorityError
		name        x509.HostnameError
		invalid     x509.CertificateInvalidError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		op          *net.OpError
		request     *url.Error
	)
	if errors.As(err, &request) {
		if u, parseErr := url.Parse(request.URL); parseErr == nil && u.Host != "" {
			host = u.Scheme + "://" + u.Host // an object store's, perhaps
		}
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no server by the name of %s: check its spelling, and that this computer is online", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s cannot be looked up now: is this computer online?", dns.Name)
	case errors.As(err, &unknown):
		return fmt.Sprintf("the certificate of %s is signed by nobody this computer trusts: check the address; for a private "+
			"certificate authority, log in with --ca-file FILE", host)
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate of %s is for another name (%s): check the address", host, namesOf(name.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && now.Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("the certificate of %s is not valid before %s, and this computer's clock says %s: set the clock",
			host, stamp(invalid.Cert.NotBefore), stamp(now))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Sprintf("the certificate of %s ended on %s, and this computer's clock says %s: set the clock if that is wrong, "+
			"else tell the server's operator", host, stamp(invalid.Cert.NotAfter), stamp(now))
	case errors.As(err, &certificate):
		return fmt.Sprintf("the certificate of %s is not valid: %s", host, certificate.Err)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return fmt.Sprintf("%s does not speak HTTPS at that port: check the address (http:// or another port?)", host)
	case isRefused(err):
		return fmt.Sprintf("nothing answers at %s: check the address and its port, and that the server is running", host)
	case errors.As(err, &op) && op.Timeout(), errors.As(err, &request) && request.Timeout():
		return fmt.Sprintf("%s does not answer in time: check the address and the network", host)
	case errors.As(err, &request) && errors.As(err, &op):
		return fmt.Sprintf("the connection to %s failed (%s): check the network and try again", host, op.Err)
	case errors.As(err, &request):
		return fmt.Sprintf("the connection to %s failed (%s): try again", host, request.Err)
	}
	return ""
}

// namesOf is what a certificate is for.
func namesOf(c *x509.Certificate) string {
	var names []string
	if c != nil {
		names = append(names, c.DNSNames...)
		for _, ip := range c.IPAddresses {
			names = append(names, ip.String())
		}
	}
	if len(names) > 3 {
		names = append(names[:3], "...")
	}
	if len(names) == 0 {
		return "it names none"
	}
	return strings.Join(names, ", ")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// host is the server of the saved log-in, for messages.
func (a *app) host() string {
	if host := os.Getenv("SPI_HOST"); host != "" {
		return host
	}
	if path, err := a.settingsPath(); err == nil {
		if p, err := loadProfile(path, a.Profile); err == nil {
			return p.Host
		}
	}
	return "the server"
}

// loginHint adds how to log in.
func (a *app) loginHint(problem string) string {
	where, who := "https://api.YOUR-SERVER", "YOU"
	if path, err := a.settingsPath(); err == nil {
		if p, err := loadProfile(path, a.Profile); err == nil {
			where, who = p.Host, p.User
		}
	}
	command := fmt.Sprintf("spi login %s --user %s", where, who)
	if a.Profile != "default" {
		command += " --profile " + a.Profile
	}
	return problem + ": run '" + command + "'"
}

// printable makes foreign text fit to be shown in one line of a terminal: control characters and what is no UTF-8 become
// "?", line breaks a space.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
}
