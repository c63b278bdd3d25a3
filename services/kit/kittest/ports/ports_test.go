package ports

import (
	"errors"
	"net"
	"strconv"
	"testing"
)

func TestAPortIsGivenOnceThoughNobodyListensThere(t *testing.T) {
	p, err := Free(t.Context(), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int{0, 2} {
		if take(t.Context(), p+offset, []int{0}) {
			t.Errorf("port %d + %d is given again", p, offset)
		}
		var lc net.ListenConfig
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(p+offset))
		l, err := lc.Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("who it was given to cannot listen: %v", err)
			continue
		}
		names, err := lc.ListenPacket(t.Context(), "udp", address)
		if err != nil {
			t.Errorf("nor be asked for names there: %v", err)
			continue
		}
		if err := errors.Join(l.Close(), names.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsInUseIsNotGivenAndNothingIsKeptOfIt(t *testing.T) {
	p, err := Free(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	// as another process's, which asks for none
	given.Lock()
	mine := given.all[len(given.all)-2:]
	given.all = given.all[:len(given.all)-2]
	given.Unlock()
	for _, hold := range mine {
		if err := hold.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", ":"+strconv.Itoa(p+1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if take(t.Context(), p, []int{0, 1}) {
		t.Errorf("port %d is given while it is listened on", p+1)
	}
	for _, left := range []int{p, p + 1} {
		hold, err := lc.ListenPacket(t.Context(), "udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(left+beyond)))
		if err != nil {
			t.Errorf("port %d is held though it was not given: %v", left, err)
			continue
		}
		if err := hold.Close(); err != nil {
			t.Error(err)
		}
	}
}
