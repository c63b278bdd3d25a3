//go:build linux || darwin

package spi

import "syscall"

// holdLittle sets TCP_NOTSENT_LOWAT. Where the system does not want to, the connection is as it was.
func holdLittle(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowAt, mostUnsent)
	})
}

// mostUnsent is how many bytes the system takes that it cannot send yet. A smaller send buffer would do the same, but bound
// what is on its way as well, and with it the rate over a long line; with 8 uploads over loopback it cost a fifth of it.
const mostUnsent = 512 << 10
