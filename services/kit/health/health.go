// Package health asks a service's dependencies for a sign of life and answers /readyz with what they said.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Probe asks one dependency. Its error's text is shown to whoever asks for /readyz: it must hold no secret.
type Probe func(context.Context) error

// Timing of the probes: what load balancers and compose files can live with.
const (
	cacheFor = time.Second
	timeout  = 3 * time.Second
)

// Checker runs named probes at most once a second, however often it is asked.
type Checker struct {
	probes map[string]Probe
	now    func() time.Time

	mu     sync.Mutex // held while probing, so that parallel questions share one answer
	asked  time.Time
	report Report
}

// Report is the body of /readyz.
type Report struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // "ok", or what is wrong
}

// New gives a checker of the probes; now is the clock.
func New(now func() time.Time, probes map[string]Probe) *Checker {
	return &Checker{probes: probes, now: now}
}

// Check gives the answers, at most a second old.
func (c *Checker) Check(ctx context.Context) Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked.IsZero() && c.now().Sub(c.asked) < cacheFor {
		return c.report
	}
	// not the asker's cancellation: the answer is everybody's
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	type answer struct {
		name string
		err  error
	}
	answers := make(chan answer, len(c.probes))
	for name, probe := range c.probes {
		go func() { answers <- answer{name, probe(ctx)} }()
	}
	r := Report{Ready: true, Checks: map[string]string{}}
	for range c.probes {
		a := <-answers
		r.Checks[a.name] = "ok"
		if a.err != nil {
			r.Ready = false
			r.Checks[a.name] = a.err.Error()
		}
	}
	c.asked, c.report = c.now(), r
	return r
}

// ServeHTTP answers 200 when all is well and 503 otherwise, with the [Report].
func (c *Checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report := c.Check(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !report.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(report) // the client is gone: nobody to tell
}
