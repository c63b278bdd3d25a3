package webapp

import (
	"fmt"
	"strings"

	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
)

// MinSecret is the shortest secret, in characters, that the configuration may hold.
const MinSecret = 11

// Config is the configuration of the viewer.
type Config struct {
	Listen        string // address of the viewer, such as ":8081"
	MetricsListen string // address of the metrics listener; empty: none
	APIURL        string // where the viewer itself reaches the API
	S3URL         string // where browsers fetch the pictures from: scheme and host
	// Secret seals the sessions: replicas share it, and with another one users log in again. It is not the API's own key,
	// with which the viewer could make tokens of any user.
	Secret string
	// HTTPS says that browsers reach the viewer by HTTPS alone: the session's cookie is bound to it.
	HTTPS bool
	// TrustedProxies are the addresses and networks whose X-Forwarded-For is believed.
	TrustedProxies []string
}

// ConfigFrom reads the configuration of the production viewer. What is wrong is noted in the source.
func ConfigFrom(src *config.Source) Config {
	plain := src.Bool("DEVEL", false)
	src.Required("S3_HOST", "the public host of the S3 server, such as s3.${ROOT_DOMAIN_NAME}")
	s3 := src.Expanded("S3_HOST", "")
	if s3 != "" && !strings.Contains(s3, "://") {
		scheme := "https://"
		if plain {
			scheme = "http://"
		}
		s3 = scheme + s3
	}
	return Config{
		Listen:         fmt.Sprintf(":%d", src.Port("WEBAPP_PORT", 8081)),
		MetricsListen:  fmt.Sprintf(":%d", src.Port("METRICS_PORT", 8090)),
		APIURL:         src.URL("API_INTERNAL_URL", fmt.Sprintf("http://spi_api:%d", src.Port("API_PORT", 8080))),
		S3URL:          s3,
		Secret:         src.Secret("WEBAPP_SECRET", "a long random string (sh deploy.sh makes one of SECRET_API_KEY)", MinSecret),
		HTTPS:          !plain,
		TrustedProxies: src.CIDRs("TRUSTED_PROXIES"),
	}
}
