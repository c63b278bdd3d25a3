module github.com/sticky-pi/sticky-pi-server/services/spi

go 1.26.0

require (
	github.com/cenkalti/backoff/v5 v5.0.3
	github.com/google/go-cmp v0.7.0
)
