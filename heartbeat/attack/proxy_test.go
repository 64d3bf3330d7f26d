// SPDX-License-Identifier: Apache-2.0

// The network between: a proxy that knows events, and delays, stalls, drops and cuts them.

//go:build linux

package attack_test

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
)

// proxy passes feeds and pings on to one authority.
type proxy struct {
	*httptest.Server
	target string
	stalls float64 // how often an event stalls, and a fifth of how often a ping does
	mu     sync.Mutex
	rnd    *rand.Rand

	events, dropped, stalled, cuts, pings atomic.Int64
}

func newProxy(t *testing.T, target string, seed uint64, harsh bool) *proxy {
	p := &proxy{target: target, rnd: rand.New(rand.NewPCG(seed, 9)), stalls: 0.01}
	if harsh {
		p.stalls = 0.03
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/feed", p.feed)
	mux.HandleFunc("POST /v1/ping", p.ping)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *proxy) odds(of float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rnd.Float64() < of
}

func (p *proxy) within(d time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.rnd.Int64N(int64(d)))
}

// delay is that of one way.
func (p *proxy) delay(ctx context.Context) {
	d := p.within(100 * time.Millisecond)
	if p.odds(5 * p.stalls) {
		d += p.within(4 * time.Second)
		p.stalled.Add(1)
	}
	_ = clock.Sleep(ctx, d)
}

func (p *proxy) ask(r *http.Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.Path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Last-Event-ID", r.Header.Get("Last-Event-ID"))
	return http.DefaultClient.Do(req)
}

func (p *proxy) ping(w http.ResponseWriter, r *http.Request) {
	p.pings.Add(1)
	p.delay(r.Context())
	res, err := p.ask(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	p.delay(r.Context())
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

func (p *proxy) feed(w http.ResponseWriter, r *http.Request) {
	res, err := p.ask(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	out := http.NewResponseController(w)
	var event []byte
	for lines := bufio.NewReader(res.Body); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		if event = append(event, line...); len(line) > 1 {
			continue
		}
		p.events.Add(1)
		_ = clock.Sleep(r.Context(), p.within(30*time.Millisecond))
		switch {
		case p.odds(p.stalls):
			p.stalled.Add(1)
			_ = clock.Sleep(r.Context(), p.within(5*time.Second))
		case p.odds(0.01):
			p.cuts.Add(1)
			return
		case p.odds(0.02):
			p.dropped.Add(1)
			event = event[:0]
			continue
		}
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		event = event[:0]
	}
}
