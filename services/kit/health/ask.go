package health

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// askTimeout is how long a service may take to say that it lives.
const askTimeout = 5 * time.Second

// Ask asks a service for a sign of life and wants a 200: the healthcheck command of every binary, since the images hold no
// curl.
func Ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<10)) // the status says nearly all
		return fmt.Errorf("%s answers %s %s", url, reply.Status, bytes.TrimSpace(reason))
	}
	return nil
}
