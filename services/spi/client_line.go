package spi

import (
	"net"
	"net/http"
	"time"
)

// WithBadLine fits the connections for many uploads over a line that is slow and loses packets: each upload has a connection
// of its own, which others' lost packets do not hold up (HTTP/1.1), and, on Linux and macOS, the system takes only a little
// more than it can send, so that bytes read from a file are bytes sent, and the time that the server has for its reply does
// not begin long before it can have the request. Without effect beside [WithHTTPClient].
func WithBadLine() Option {
	return func(c *Client) { c.badLine = true }
}

func fitForBadLine(transport *http.Transport) {
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	transport.DialContext = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 15 * time.Second, Control: holdLittle}).DialContext
}
