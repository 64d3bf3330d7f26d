// SPDX-License-Identifier: Apache-2.0

// Carrying requests to the upstreams, and once more when the service has heard of a change before the edge.

package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

const (
	dialTimeout     = 5 * time.Second
	idleTimeout     = 90 * time.Second
	idleConnections = 256 // to each upstream
	upstreamHeaders = 64 << 10
	expectContinue  = time.Second
	discardMax      = 64 << 10 // what is read of an answer that is thrown away
)

// transports makes one transport for each kind of upstream and timeout.
func (e *Edge) transports() func(scheme string, timeout time.Duration) http.RoundTripper {
	type kind struct {
		clear   bool
		timeout time.Duration
	}
	made := map[kind]*http.Transport{}
	return func(scheme string, timeout time.Duration) http.RoundTripper {
		if e.config.Transport != nil {
			return e.config.Transport
		}
		k := kind{scheme == "h2c", timeout}
		if made[k] == nil {
			made[k] = newTransport(k.clear, timeout)
			e.close = append(e.close, made[k].CloseIdleConnections)
		}
		return made[k]
	}
}

// newTransport returns a transport that passes on what it gets: no proxy, no redirects, no decompression.
func newTransport(clear bool, timeout time.Duration) *http.Transport {
	p := new(http.Protocols)
	p.SetHTTP1(!clear)
	p.SetHTTP2(!clear)
	p.SetUnencryptedHTTP2(clear)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		Protocols:              p,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  timeout,
		ExpectContinueTimeout:  expectContinue,
		MaxResponseHeaderBytes: upstreamHeaders,
	}
}

// carrier sends a request through the transport of its route.
type carrier struct{ edge *Edge }

// How often a request is sent at most: while the state changes faster than passports arrive, and while a service
// refuses passports for another reason, where a second one tells whether it was the first one's fault.
const (
	roundsOfChange = 4
	roundsOfDoubt  = 2
)

// What a service refused for the passport's sake, each time it was asked. It did nothing, and the client is as signed
// in as before, so it must not see the service's 401.
var (
	errChanging = errors.New("the state changes faster than passports arrive")
	errRefused  = errors.New("the service refuses the passports of the authority")
	errUnasked  = errors.New("the service refuses the passport, and there is no other")
)

// RoundTrip sends a request. If the service answers that the passport is no good, it gets a new one and the same
// request again, as long as its body is at hand, and a few times at most. Then it returns errChanging or errRefused;
// and errUnasked, if the authority does not say whether the session has ended.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	v := visitOf(r.Context())
	res, err := v.route.carrier.RoundTrip(r)
	for round := 1; ; round++ {
		if err != nil || res.StatusCode != http.StatusUnauthorized || v.held == nil {
			return res, err
		}
		rounds, finally := doubted(res.Header)
		if rounds == 0 {
			return res, nil
		}
		fresh, failed := c.edge.mint.fetch(r.Context(), v.handle, c.edge.mint.event(), v.from)
		if errors.Is(failed, passport.ErrNoSession) {
			return res, nil // the service's own answer is the one to give
		}
		_, _ = io.CopyN(io.Discard, res.Body, discardMax)
		_ = res.Body.Close()
		if failed != nil {
			return nil, fmt.Errorf("%w: %w", errUnasked, failed)
		}
		body, again := v.again(r)
		if !again || round >= rounds {
			return nil, finally
		}
		v.held, v.age, v.known = fresh, fresh.age(clock.Now()), fresh.claims.Mark
		next := *r
		next.Body = body
		next.Header = r.Header.Clone()
		delete(next.Header, header.Position)
		fresh.set(next.Header)
		res, err = v.route.carrier.RoundTrip(&next)
	}
}

// again returns the body of a request once more; ok is false when it was not kept.
func (v *visit) again(r *http.Request) (body io.ReadCloser, ok bool) {
	if v.body != nil {
		return io.NopCloser(bytes.NewReader(v.body)), true
	}
	return r.Body, r.Body == nil || r.Body == http.NoBody
}

// doubted returns in how many rounds to try whether another passport will do, 0 for none, and what to say if not. A
// service says why it refuses a passport as [passport.Challenge] does: it knows of a later change, follows another log
// or other keys by now, or has another clock.
func doubted(h http.Header) (rounds int, finally error) {
	for _, line := range h["Www-Authenticate"] {
		scheme, rest, _ := strings.Cut(line, " ")
		_, code, _ := strings.Cut(rest, `error="`)
		code, _, _ = strings.Cut(code, `"`)
		if !strings.EqualFold(scheme, header.TxnToken) {
			continue
		}
		switch code {
		case "superseded":
			return roundsOfChange, errChanging
		case "foreign", "expired", "invalid_token", "revoked":
			return roundsOfDoubt, errRefused
		}
	}
	return 0, nil
}
