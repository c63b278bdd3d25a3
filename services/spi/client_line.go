package spi

import (
	"context"
	"net"
	"net/http"
	"time"
)

// WithBadLine fits the connections for many uploads over a line that is slow and loses packets: each upload has a connection
// of its own, which others' lost packets do not hold up (HTTP/1.1), and the system holds little of what is still to be sent,
// so that bytes read from a file are bytes sent, and the time that the server has for its reply does not begin before it can
// have the request. Without effect beside [WithHTTPClient].
func WithBadLine() Option {
	return func(c *Client) { c.badLine = true }
}

// sendBuffer is how many bytes of a connection the system holds: at 8 connections and 300 ms of travel enough for 13 MB/s.
const sendBuffer = 512 << 10

func fitForBadLine(transport *http.Transport) {
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 15 * time.Second}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer) // where the system does not want to, it is as it was
		}
		return conn, err
	}
}
