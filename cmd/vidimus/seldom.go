// SPDX-License-Identifier: Apache-2.0

// What may happen with every request, and is told now and then.

package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

// seldomEvery is how often something is told at most.
const seldomEvery = time.Minute

// seldom warns of what may happen with every request: of the first, and then once in a while. Goroutines may share it.
type seldom struct {
	logger *slog.Logger
	mu     struct {
		sync.Mutex
		next time.Time
	}
}

func (s *seldom) warn(message string, args ...any) {
	if s.due() {
		s.logger.Warn(message, args...)
	}
}

// due reports whether it is time to say something, and counts on it to be said.
func (s *seldom) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := clock.Now()
	due := !now.Before(s.mu.next)
	if due {
		s.mu.next = now.Add(seldomEvery)
	}
	return due
}

// noise is what net/http says of connections. Anybody can cause it, so the log is told now and then.
type noise struct {
	slog.Handler
	*seldom
}

// Handle is for [slog.Handler].
func (n noise) Handle(ctx context.Context, r slog.Record) error {
	if !n.due() {
		return nil
	}
	return n.Handler.Handle(ctx, r)
}
