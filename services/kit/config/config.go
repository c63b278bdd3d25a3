// Package config reads a service's configuration from the environment, from env files (.env, .secret.env) behind it, and,
// for secrets, from files that variables named NAME_FILE point to. It collects every mistake, so that an operator mends
// all of them at once, each in one line that names the variable and the mend.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"
)

// maxSecretFile bounds what is read from a NAME_FILE, in bytes.
const maxSecretFile = 64 << 10

// Source is where values come from. It is not safe for concurrent use: it is read once, at start.
type Source struct {
	environ func(string) (string, bool)
	files   map[string]string
	errs    []error
}

// Load gives a source that looks in the environment first and then in the env files, an earlier file before a later one.
// A file that is not there is skipped; one that cannot be read or parsed is an error of [Source.Err].
func Load(files ...string) *Source {
	return LoadFrom(os.LookupEnv, files...)
}

// LoadFrom is [Load] with another environment, for tests and for services that are wired into one process.
func LoadFrom(environ func(string) (string, bool), files ...string) *Source {
	s := &Source{environ: environ, files: map[string]string{}}
	var text strings.Builder
	// The last file first: what is parsed later wins, and may refer by ${NAME} to what came before, as .secret.env does to .env.
	for _, name := range slices.Backward(files) {
		b, err := os.ReadFile(name) //nolint:gosec // the operator names the file
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			_, err = godotenv.UnmarshalBytes(b) // alone, so that the error is this file's
		}
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("env file %s: cannot be read (%w): mend its syntax (NAME=value lines) or its permissions", name, err))
			continue
		}
		text.Write(b)
		text.WriteByte('\n')
	}
	vars, err := godotenv.Unmarshal(text.String())
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("env files %s: %w", strings.Join(files, ", "), err))
		return s
	}
	s.files = vars
	return s
}

// Fail notes a mistake in the variable; mend says what to do about it.
func (s *Source) Fail(name, mend string) {
	s.errs = append(s.errs, fmt.Errorf("%s: %s", name, mend))
}

// Err gives every mistake found so far, a line each, or nil.
func (s *Source) Err() error { return errors.Join(s.errs...) }

// Lookup gives the value of a variable and whether it is there. An empty value counts as absent, as in compose files that
// pass on what is not set.
func (s *Source) Lookup(name string) (string, bool) {
	if v, ok := s.environ(name); ok && v != "" {
		return v, true
	}
	path, inEnv := s.environ(name + "_FILE")
	if !inEnv || path == "" {
		if v := s.files[name]; v != "" {
			return v, true
		}
		path = s.files[name+"_FILE"]
	}
	if path == "" {
		return "", false
	}
	return s.fromFile(name, path)
}

func (s *Source) fromFile(name, path string) (string, bool) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecretFile {
		err = fmt.Errorf("it is larger than %d bytes", maxSecretFile)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path) //nolint:gosec // the operator names the file
	}
	if err != nil {
		s.Fail(name+"_FILE", fmt.Sprintf("the file %s cannot be read (%v): name a readable file that holds the value", path, err))
		return "", false
	}
	v := strings.TrimRight(string(b), "\r\n")
	return v, v != ""
}

// String gives a variable or its default.
func (s *Source) String(name, def string) string {
	if v, ok := s.Lookup(name); ok {
		return v
	}
	return def
}

// Required gives a variable that must be there; what says what it is.
func (s *Source) Required(name, what string) string {
	v, ok := s.Lookup(name)
	if !ok {
		s.Fail(name, "is not set: set it to "+what)
	}
	return v
}

// Secret gives a variable that must be there with at least minLen characters.
func (s *Source) Secret(name, what string, minLen int) string {
	v := s.Required(name, what)
	if v != "" && len([]rune(v)) < minLen {
		s.Fail(name, fmt.Sprintf("is shorter than %d characters: choose a longer one", minLen))
	}
	return v
}

// Expanded gives a variable or its default with ${NAME} in it replaced by the variable of that name: the old stack's
// S3_HOST is written so, and not everything that passes env files on expands them. Only for values that hold no secret,
// where a dollar sign would be meant.
func (s *Source) Expanded(name, def string) string {
	return os.Expand(s.String(name, def), func(inner string) string {
		if inner == name {
			return ""
		}
		v, ok := s.Lookup(inner)
		if !ok {
			s.Fail(name, fmt.Sprintf("refers to ${%s}, which is not set: set it or write the value out", inner))
		}
		return v
	})
}

// Port gives a variable that must be a TCP port, or its default.
func (s *Source) Port(name string, def int) int {
	n := s.Int(name, def)
	if n < 0 || n > 65535 {
		s.Fail(name, fmt.Sprintf("is %d, which is no TCP port: set it to a number from 1 to 65535", n))
		return def
	}
	return n
}

// Int gives a variable that must be a whole number, or its default.
func (s *Source) Int(name string, def int) int {
	v, ok := s.Lookup(name)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil {
		s.Fail(name, fmt.Sprintf("is %q, which is no whole number: set it to one, or leave it out for %d", v, def))
		return def
	}
	return n
}

// Bool gives a variable that is true or false, in the spellings that the old stack's operators use, or its default.
func (s *Source) Bool(name string, def bool) bool {
	v, ok := s.Lookup(name)
	if !ok {
		return def
	}
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "1", "true", "t", "yes", "y", "on":
		return true
	case "0", "false", "f", "no", "n", "off", "none":
		return false
	}
	s.Fail(name, fmt.Sprintf("is %q: set it to true or false", v))
	return def
}

// URL gives a variable that must be an http or https URL of scheme and host alone, without a final slash, or its default.
func (s *Source) URL(name, def string) string {
	v := s.Expanded(name, def)
	if v == "" {
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		s.Fail(name, fmt.Sprintf("is %q: write it as http://HOST:PORT or https://HOST", v))
		return def
	}
	return u.Scheme + "://" + u.Host
}

// CIDRs gives a variable that is a comma-separated list of addresses or networks.
func (s *Source) CIDRs(name string) []string {
	var out []string
	for _, f := range strings.Split(s.String(name, ""), ",") {
		f = strings.TrimSpace(f)
		if f == "" {
			continue
		}
		if _, _, err := net.ParseCIDR(f); err != nil && net.ParseIP(f) == nil {
			s.Fail(name, fmt.Sprintf("holds %q: list addresses or networks such as 172.16.0.0/12, separated by commas", f))
			continue
		}
		out = append(out, f)
	}
	return out
}
