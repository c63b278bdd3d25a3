package s3blob

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Defaults of [Config].
const (
	DefaultRegion  = "us-east-1"
	DefaultWindow  = 24 * time.Hour
	DefaultTimeout = 20 * time.Second
)

// Config says which bucket of which server to use, and how.
type Config struct {
	// Endpoint is where the server's own requests go: http:// or https://, host, and port where it is not the usual one.
	Endpoint string
	// PublicURL is the same store as clients and browsers reach it; presigned URLs are signed for its host. Endpoint where
	// empty.
	PublicURL string
	Region    string // DefaultRegion where empty
	Bucket    string
	AccessKey string
	SecretKey string

	// Window is the time within which the same object has the same URL; whole seconds, a day at most. DefaultWindow where 0.
	Window time.Duration
	// Timeout bounds the wait for an answer; the time for sending a body comes on top. DefaultTimeout where 0.
	Timeout time.Duration
	// Now is the clock of the presigned URLs; time.Now where nil.
	Now func() time.Time
}

var (
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, general purpose buckets
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
)

// withDefaults checks the configuration and fills it in. An error names the field and the mend.
func (c Config) withDefaults() (Config, error) {
	if c.PublicURL == "" {
		c.PublicURL = c.Endpoint
	}
	if c.Region == "" {
		c.Region = DefaultRegion
	}
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	_, endpointErr := baseURL(c.Endpoint)
	_, publicErr := baseURL(c.PublicURL)
	switch {
	case endpointErr != nil:
		return c, fmt.Errorf("s3blob: Endpoint: %w", endpointErr)
	case publicErr != nil:
		return c, fmt.Errorf("s3blob: PublicURL: %w", publicErr)
	case !regionName.MatchString(c.Region):
		return c, fmt.Errorf("s3blob: Region %q: letters, digits and hyphens, such as %s", c.Region, DefaultRegion)
	case !bucketName.MatchString(c.Bucket):
		return c, fmt.Errorf("s3blob: Bucket %q: 3 to 63 lower-case letters, digits, hyphens and dots, such as sticky-pi", c.Bucket)
	case !plain(c.AccessKey):
		return c, errors.New("s3blob: AccessKey is empty or holds a space, a line end or a character outside ASCII")
	case !plain(c.SecretKey):
		return c, errors.New("s3blob: SecretKey is empty or holds a space, a line end or a character outside ASCII")
	case c.Window < time.Second || c.Window > 24*time.Hour || c.Window%time.Second != 0:
		return c, fmt.Errorf("s3blob: Window %v: whole seconds, from 1s to 24h", c.Window)
	case c.Timeout < 0:
		return c, fmt.Errorf("s3blob: Timeout %v is negative", c.Timeout)
	}
	return c, nil
}

// plain says whether s can be a key of S3. The usual accident is the line end of a file.
func plain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// baseURL parses the address of an S3 server, and takes a port away that the scheme implies, as clients do in the Host
// header that is signed.
func baseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return nil, errors.New("is empty: give an address such as https://s3.example.org")
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fmt.Errorf("%q is no address such as https://s3.example.org or http://127.0.0.1:8082", s)
	case u.User != nil:
		return nil, errors.New("must not hold a user or a password")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("%q must end after the host and port", s)
	}
	u.Path = ""
	u.Host = strings.ToLower(u.Host)
	if p := u.Port(); u.Scheme == "http" && p == "80" || u.Scheme == "https" && p == "443" || strings.HasSuffix(u.Host, ":") {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}
	return u, nil
}
