// SPDX-License-Identifier: Apache-2.0

// Running, listening, and ending well.

package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

const (
	judgeEvery    = time.Second
	drainLook     = 20 * time.Millisecond
	headerTimeout = 10 * time.Second
	headerMax     = 64 << 10
	h2Streams     = 250
)

var (
	// errRunning is returned by a second Run.
	errRunning = errors.New("edge: it runs already, or has ended")
	// errUnheard ends an edge whom nobody can reach any more, so that there is nobody to give notice to.
	errUnheard = errors.New("the listener has failed")
	// ErrCut says that requests were cut off when the edge ended, because they took longer than [Config.Drain].
	ErrCut = errors.New("edge: requests were cut off")
)

// Run judges again what stays open, every second. When ctx ends, the edge's status says that it drains, and after
// [Config.Notice] it does: event streams and WebSockets are ended at once because their clients take them up elsewhere,
// and everything else has until [Config.Drain]. What is open then is cut, and Run returns [ErrCut]; otherwise nil. An
// edge runs once.
func (e *Edge) Run(ctx context.Context) error {
	if e.running.Swap(true) {
		return errRunning
	}
	judging, stop := context.WithCancel(context.WithoutCancel(ctx))
	var judge sync.WaitGroup
	judge.Go(func() {
		for clock.Sleep(judging, judgeEvery) == nil {
			e.judge(judging)
		}
		e.streams.renewals.Wait()
	})
	defer judge.Wait()
	defer stop()
	<-ctx.Done()
	e.draining.Store(true)
	if !errors.Is(context.Cause(ctx), errUnheard) {
		_ = clock.Sleep(judging, e.config.Notice)
	}
	return e.drain(judging)
}

// drain waits until no request is under way.
func (e *Edge) drain(ctx context.Context) error {
	e.streams.end(errDraining, func(s stream) bool { return s.elsewhere })
	limit := clock.Now().Add(e.config.Drain)
	for e.inFlight.Load() > 0 {
		if !clock.Now().Before(limit) {
			left := e.inFlight.Load()
			e.streams.end(errDraining, func(stream) bool { return true })
			return fmt.Errorf("%w: %d after %v", ErrCut, left, e.config.Drain)
		}
		_ = clock.Sleep(ctx, drainLook)
	}
	return nil
}

// Serve runs the edge and serves what comes through a listener, in HTTP/1.1 and in HTTP/2 in the clear, until ctx
// ends and [Config.Notice] is over; then it closes the listener, and drains as [Edge.Run] does. It ends TLS, too, if
// the listener does: give it one of [crypto/tls.NewListener], with "h2" and "http/1.1" in NextProtos.
func (e *Edge) Serve(ctx context.Context, l net.Listener) error {
	hs := e.httpServer()
	ended, drained := make(chan error, 1), make(chan error, 1)
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() { ended <- hs.Serve(l) }()
	go func() { drained <- e.Run(run) }()
	select {
	case err := <-ended:
		stop(errUnheard)
		return errors.Join(fmt.Errorf("serve %s: %w", l.Addr(), err), <-drained, hs.Close())
	case err := <-drained:
		if ctx.Err() == nil {
			return errors.Join(err, hs.Close())
		}
		drained <- err
	case <-ctx.Done():
	}
	after := context.WithoutCancel(ctx)
	_ = clock.Sleep(after, e.config.Notice)
	limited, end := context.WithTimeout(after, e.config.Drain)
	defer end()
	err := hs.Shutdown(limited)
	if err != nil {
		err = errors.Join(ErrCut, hs.Close())
	}
	<-ended
	return errors.Join(err, <-drained)
}

func (e *Edge) httpServer() *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           e,
		Protocols:         p,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: h2Streams, SendPingTimeout: idleTimeout / 4},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerMax,
		ErrorLog:          slog.NewLogLogger(e.sparse(), slog.LevelWarn),
	}
}
