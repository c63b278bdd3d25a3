package server

import (
	"fmt"
	"strings"

	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
)

// MinPassword is the shortest password or key, in characters, that the configuration may hold.
const MinPassword = 11

// Account is a user that is made at start where it is missing; both are admins.
type Account struct{ Username, Password string }

// MariaDB says where the database is.
type MariaDB struct {
	Host           string
	Port           int
	User, Password string
	Database       string
	MaxConnections int // 0: the store's default
}

// S3 says where the objects are.
type S3 struct {
	InternalURL string // where the server itself reaches it
	PublicURL   string // where clients reach it: what presigned URLs are signed for
	Region      string
	Bucket      string
	AccessKey   string
	SecretKey   string
}

// Config is the configuration of the API. Of MariaDB and SQLite one is set.
type Config struct {
	Listen        string // address of the API, such as ":8080"
	MetricsListen string // address of the metrics listener; empty: none
	MariaDB       MariaDB
	SQLite        string // path of the database file
	S3            S3
	Secret        string    // signs tokens; replicas share it
	Accounts      []Account // made at start where they are missing
	// TrustedProxies are the addresses and networks whose X-Forwarded-For is believed.
	TrustedProxies []string
}

// internalS3 is where the compose stack's own S3 answers inside.
const internalS3 = "http://spi_s3:7070"

// ConfigFrom reads the configuration of the production API. What is wrong is noted in the source.
func ConfigFrom(src *config.Source) Config {
	return Config{
		Listen:         fmt.Sprintf(":%d", src.Port("API_PORT", 8080)),
		MetricsListen:  fmt.Sprintf(":%d", src.Port("METRICS_PORT", 8090)),
		MariaDB:        MariaDBFrom(src),
		Secret:         src.Secret("SECRET_API_KEY", "a long random string (sh deploy.sh init makes one)", MinPassword),
		TrustedProxies: src.CIDRs("TRUSTED_PROXIES"),
		S3:             S3From(src),
		Accounts: []Account{
			{
				src.String("API_ADMIN_NAME", "admin"),
				src.Secret("API_ADMIN_PASSWORD", "the first admin's password", MinPassword),
			},
			{
				src.String("UID_USER", "spi_uid"),
				src.Secret("UID_PASSWORD", "the password of the detector's user", MinPassword),
			},
		},
	}
}

// S3From reads where the objects are: all that copying them needs.
func S3From(src *config.Source) S3 {
	cfg := S3{
		Region:    src.String("S3_REGION", "us-east-1"),
		Bucket:    src.Required("S3_BUCKET_NAME", "the name of the bucket"),
		AccessKey: src.Required("S3_ACCESS_KEY", "the access key of the S3 server"),
		SecretKey: src.Required("S3_PRIVATE_KEY", "the secret key of the S3 server"),
	}
	src.Required("S3_HOST", "the public host of the S3 server, such as s3.${ROOT_DOMAIN_NAME}")
	host := src.Expanded("S3_HOST", "")
	cfg.PublicURL = host
	if host != "" && !strings.Contains(host, "://") {
		scheme := "https://"
		if src.Bool("DEVEL", false) {
			scheme = "http://"
		}
		cfg.PublicURL = scheme + host
	}
	inside := cfg.PublicURL
	if root, ok := src.Lookup("ROOT_DOMAIN_NAME"); ok && host == "s3."+root {
		inside = internalS3
	}
	cfg.InternalURL = src.URL("S3_INTERNAL_URL", inside)
	return cfg
}

// MariaDBFrom reads where the database is: all that migrating it needs.
func MariaDBFrom(src *config.Source) MariaDB {
	return MariaDB{
		Host:           src.String("MYSQL_HOST", "spi_db"),
		Port:           src.Port("MYSQL_PORT", 3306),
		User:           src.String("MYSQL_USER", "sticky-pi"),
		Password:       src.Secret("MYSQL_PASSWORD", "the database user's password", MinPassword),
		Database:       src.String("MYSQL_DATABASE", "sticky-pi"),
		MaxConnections: src.Int("MYSQL_MAX_CONNECTIONS", 0),
	}
}
