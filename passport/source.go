// SPDX-License-Identifier: Apache-2.0

// Where keys come from: fetched when they are needed, by one caller at a time, and not too often.

package passport

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/clock"
)

const (
	fetchTimeout = 5 * time.Second
	fetchAgain   = 10 * time.Second // between two fetches, with keys at hand
	fetchFirst   = time.Second      // between two fetches, without any
	minFresh     = time.Minute      // however short the max-age
	maxFresh     = time.Hour        // however long the max-age
	defaultFresh = 5 * time.Minute  // without max-age
	maxTrust     = 24 * time.Hour   // after the last fetch that worked, keys are no longer believed
)

// source is a key set at a URL.
type source struct {
	url    string
	client *http.Client
	set    atomic.Pointer[KeySet]
	mu     struct {
		sync.Mutex
		flight  chan struct{} // closed when the fetch under way ends; nil if there is none
		tried   time.Time     // when the last fetch began
		fetched time.Time     // when the last one began that worked
		fresh   time.Duration // how long that one is fresh
		err     error         // of the last fetch
	}
}

func newSource(url string, client *http.Client) *source {
	if client == nil {
		client = &http.Client{
			Timeout:       fetchTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &source{url: url, client: client}
}

// keys returns a set, fetched first if there is none, it is no longer fresh, or it lacks the key of a passport.
// Whoever comes while another fetches waits for it only if there is no other way.
func (s *source) keys(ctx context.Context, head string) (*KeySet, error) {
	set := s.set.Load()
	known := set.has(head)
	now := clock.Now()
	s.mu.Lock()
	age := clock.Elapsed(s.mu.fetched, now)
	switch {
	case known && age < s.mu.fresh:
		s.mu.Unlock()
		return set, nil
	case s.mu.flight != nil:
		flight := s.mu.flight
		s.mu.Unlock()
		if known && age < maxTrust {
			return set, nil
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	default:
		begun := s.begin(now)
		s.mu.Unlock()
		if begun {
			s.fetch(ctx, now)
		}
	}
	return s.believed(now)
}

// begin begins a fetch, unless one is under way or the last one began too short a time ago. The lock is held.
func (s *source) begin(now time.Time) bool {
	if s.mu.flight != nil || !s.mu.tried.IsZero() && clock.Elapsed(s.mu.tried, now) < s.pause() {
		return false
	}
	s.mu.flight, s.mu.tried = make(chan struct{}), now
	return true
}

// pause is how long to wait between fetches.
func (s *source) pause() time.Duration {
	if s.set.Load() == nil {
		return fetchFirst
	}
	return fetchAgain
}

// believed returns the set at hand, or why there is none.
func (s *source) believed(now time.Time) (*KeySet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.set.Load()
	if set == nil || clock.Elapsed(s.mu.fetched, now) > maxTrust {
		return nil, fmt.Errorf("%w: no keys: %w", ErrUnavailable, s.mu.err)
	}
	return set, nil
}

// fetch fetches the set, and ends the flight. It goes on when the caller has left: others wait for it, and the next
// may only try later.
func (s *source) fetch(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	set, fresh, err := s.get(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err = err; err == nil {
		s.set.Store(set)
		s.mu.fetched, s.mu.fresh = now, fresh
	}
	close(s.mu.flight)
	s.mu.flight = nil
}

func (s *source) get(ctx context.Context) (*KeySet, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	if answer.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s answers %s", s.url, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeySet+1))
	if err != nil {
		return nil, 0, err
	}
	set, err := ParseKeySet(body)
	return set, freshness(answer.Header), err
}

// freshness is how long an answer is fresh: its max-age (RFC 9111, section 5.2.2.1), within our bounds.
func freshness(h http.Header) time.Duration {
	for _, value := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(value, ",") {
			name, seconds, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			n, err := strconv.Atoi(seconds)
			if err != nil || n < 0 {
				return minFresh
			}
			return min(max(time.Duration(min(n, int(maxFresh/time.Second)))*time.Second, minFresh), maxFresh)
		}
	}
	return defaultFresh
}

// run fetches the set each time before it is no longer fresh, until ctx ends.
func (s *source) run(ctx context.Context) error {
	for wait := time.Duration(0); clock.Sleep(ctx, wait) == nil; {
		now := clock.Now()
		s.mu.Lock()
		due := s.set.Load() == nil || s.mu.err != nil || clock.Elapsed(s.mu.fetched, now) >= s.mu.fresh*3/4
		begun := due && s.begin(now)
		s.mu.Unlock()
		if begun {
			s.fetch(ctx, now)
		}
		wait = s.pause()
	}
	return nil
}
