module github.com/sticky-pi/sticky-pi-server/services/local

go 1.26.0

require (
	github.com/sticky-pi/sticky-pi-server/server v0.0.0
	github.com/sticky-pi/sticky-pi-server/services/kit v0.0.0
	github.com/sticky-pi/sticky-pi-server/services/spi v0.0.0
)

replace (
	github.com/sticky-pi/sticky-pi-server/server => ../../server
	github.com/sticky-pi/sticky-pi-server/services/kit => ../kit
	github.com/sticky-pi/sticky-pi-server/services/spi => ../spi
)
