// Package ports finds free TCP ports for the servers of tests. It imports nothing of this project.
package ports

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Beyond the ports that are given lies a UDP port for each, which no server of a test uses: those of the same number may be asked
// for names.
const beyond = 30_000

// given are what this process holds of the ports it was given, as long as it lives: for each the UDP port beyond. By it tests of
// other packages, which run at once, see a port that is given while nobody listens there: before its server starts, and while a
// test has it stopped.
var given struct {
	sync.Mutex
	all []net.PacketConn
}

// Free finds a port p such that p + each offset is free on every address, and is given to nobody else who asks. It keeps clear of
// the ports from which systems make outgoing connections: one of those may be taken again between now and the server's start, or
// while it is stopped.
func Free(ctx context.Context, offsets ...int) (int, error) {
	const attempts = 100
	for range attempts {
		p := 15_000 + rand.IntN(15_000) //nolint:gosec // no secret
		if take(ctx, p, offsets) {
			return p, nil
		}
	}
	return 0, errors.New("no free ports between 15000 and 30000")
}

func take(ctx context.Context, p int, offsets []int) bool {
	var lc net.ListenConfig
	var held []net.PacketConn
	free := 0
	for _, o := range offsets {
		hold, err := lc.ListenPacket(ctx, "udp", fmt.Sprintf("127.0.0.1:%d", p+o+beyond))
		if err != nil {
			break
		}
		held = append(held, hold)
		l, err := lc.Listen(ctx, "tcp", fmt.Sprintf(":%d", p+o))
		if err != nil || l.Close() != nil {
			break
		}
		free++
	}
	if free < len(offsets) {
		for _, hold := range held {
			_ = hold.Close() // nothing is lost with it
		}
		return false
	}
	given.Lock()
	defer given.Unlock()
	given.all = append(given.all, held...)
	return true
}
