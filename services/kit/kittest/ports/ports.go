// Package ports finds free TCP ports for the servers of tests. It imports nothing of this project.
package ports

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Free finds a port p such that p + each offset is free on every address. It keeps clear of the ports from which systems
// make outgoing connections: one of those may be taken again between now and the server's start, or while it is stopped.
func Free(ctx context.Context, offsets ...int) (int, error) {
	const attempts = 100
	for range attempts {
		p := 15_000 + rand.IntN(15_000) //nolint:gosec // no secret
		if allFree(ctx, p, offsets) {
			return p, nil
		}
	}
	return 0, errors.New("no free ports between 15000 and 30000")
}

func allFree(ctx context.Context, p int, offsets []int) bool {
	var lc net.ListenConfig
	for _, o := range offsets {
		l, err := lc.Listen(ctx, "tcp", fmt.Sprintf(":%d", p+o))
		if err != nil || l.Close() != nil {
			return false
		}
	}
	return true
}
