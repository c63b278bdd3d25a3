// Package s3gwtest starts the embedded S3 server in a test's own process: no binary is needed, and the race detector and
// profiles see both sides. It may import s3gw and kittest.
//
// It is a package of its own, so that only the tests that want it link versitygw. Mind that the working directory of the
// test process is another while the server runs (see [s3gw.Run]): relative paths to testdata do not work. Tests that need
// them take kittest.SharedS3, which is a process.
package s3gwtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest"
	"github.com/sticky-pi/sticky-pi-server/services/kit/kittest/ports"
	"github.com/sticky-pi/sticky-pi-server/services/kit/s3gw"
)

// Server is the S3 server of this process.
type Server struct {
	kittest.S3Access

	dir  string
	stop context.CancelFunc
	done chan error
}

// Start starts the server on a free loopback port, with a temporary folder; it is meant for TestMain. There may be one in a
// process at a time: [s3gw.ErrRunning]. Tests share it, each with a bucket of its own ([kittest.S3Access.Bucket]).
func Start() (*Server, error) {
	port, err := ports.Free(context.Background(), 0)
	if err != nil {
		return nil, fmt.Errorf("s3gwtest: %w", err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	dir, err := os.MkdirTemp("", "sticky-pi-s3gw-")
	if err != nil {
		return nil, fmt.Errorf("s3gwtest: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		S3Access: kittest.S3Access{
			Endpoint: "http://" + addr, Region: "us-east-1", AccessKey: "test-access", SecretKey: "test-" + rand.Text(),
		},
		dir: dir, stop: stop, done: make(chan error, 1),
	}
	ready := make(chan struct{})
	go func() {
		s.done <- s3gw.Run(ctx, s3gw.Config{
			Addr: addr, Dir: dir, AccessKey: s.AccessKey, SecretKey: s.SecretKey, Region: s.Region,
			Ready: func() { close(ready) },
		})
	}()
	select {
	case <-ready:
		return s, nil
	case err := <-s.done:
		stop()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	s.stop()
	return errors.Join(<-s.done, os.RemoveAll(s.dir))
}
