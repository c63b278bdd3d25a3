module github.com/sticky-pi/sticky-pi-server/test

go 1.26.0

require (
	github.com/sticky-pi/sticky-pi-server/services/kit v0.0.0
	github.com/sticky-pi/sticky-pi-server/services/spi v0.0.0
)

replace (
	github.com/sticky-pi/sticky-pi-server/services/kit => ../services/kit
	github.com/sticky-pi/sticky-pi-server/services/spi => ../services/spi
)
