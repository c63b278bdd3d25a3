module github.com/sticky-pi/sticky-pi-server/services/local

go 1.26.0

require (
	github.com/sticky-pi/sticky-pi-server/server v0.0.0
	github.com/sticky-pi/sticky-pi-server/services/kit v0.0.0
	github.com/sticky-pi/sticky-pi-server/services/spi v0.0.0
)

require (
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/gofrs/flock v0.13.1 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/sticky-pi/sticky-pi-server/server => ../../server
	github.com/sticky-pi/sticky-pi-server/services/kit => ../kit
	github.com/sticky-pi/sticky-pi-server/services/spi => ../spi
)
