package s3blob

import (
	"strings"
	"testing"
	"time"
)

func TestAConfigurationThatCannotWorkIsNamed(t *testing.T) {
	good := Config{Endpoint: "http://spi_s3:7070", PublicURL: "https://s3.example.org/", Bucket: "sticky-pi", AccessKey: "a", SecretKey: "s"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		spoil func(*Config)
		want  string
	}{
		{"no endpoint", func(c *Config) { c.Endpoint = "" }, "Endpoint: is empty"},
		{"an endpoint without a scheme", func(c *Config) { c.Endpoint = "spi_s3:7070" }, "Endpoint: \"spi_s3:7070\" is no address"},
		{"an endpoint that is a bare host", func(c *Config) { c.Endpoint = "s3.example.org" }, "Endpoint: \"s3.example.org\" is no address"},
		{"an endpoint with a path", func(c *Config) { c.Endpoint = "http://h/bucket" }, "must end after the host"},
		{"a public address with a query", func(c *Config) { c.PublicURL = "http://h?x=1" }, "PublicURL"},
		{"a public address with a password", func(c *Config) { c.PublicURL = "http://u:p@h" }, "must not hold a user"},
		{"a public address with another scheme", func(c *Config) { c.PublicURL = "s3://h" }, "PublicURL"},
		{"a public address without a host", func(c *Config) { c.PublicURL = "https://:443" }, "PublicURL"},
		{"no bucket", func(c *Config) { c.Bucket = "" }, "Bucket"},
		{"a bucket in capitals", func(c *Config) { c.Bucket = "StickyPi" }, "lower-case"},
		{"a bucket with a path", func(c *Config) { c.Bucket = "sticky/pi" }, "Bucket"},
		{"no access key", func(c *Config) { c.AccessKey = "" }, "AccessKey"},
		{"a secret key with the line end of its file", func(c *Config) { c.SecretKey = "secret\n" }, "SecretKey"},
		{"a region with a space", func(c *Config) { c.Region = "us east" }, "Region"},
		{"a window of two days", func(c *Config) { c.Window = 48 * time.Hour }, "Window"},
		{"a window of no whole seconds", func(c *Config) { c.Window = 1500 * time.Millisecond }, "Window"},
		{"a negative time-out", func(c *Config) { c.Timeout = -1 }, "Timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.spoil(&cfg)
			_, err := New(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret\n") {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}
