// Package spi speaks the wire protocol of the Sticky Pi server: the types that cross the network, the typed error that
// every part of the server uses, the two date formats, and a Go client of the API's endpoints.
//
// It may be imported by the server, the viewer, the detector worker and by programs of others. It imports nothing of the
// server; of this project it may import only services/kit.
package spi
