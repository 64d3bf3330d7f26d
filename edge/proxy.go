// SPDX-License-Identifier: Apache-2.0

// Passing requests on: what services see of a request, and what clients see of an answer.

package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport/header"
)

// visitKey finds the visit in a request's context.
type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// newProxy returns the proxy that all routes share.
func (e *Edge) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        e.rewrite,
		ModifyResponse: e.modify,
		ErrorHandler:   e.failed,
		Transport:      carrier{e},
		BufferPool:     &buffers{},
		ErrorLog:       slog.NewLogLogger(e.sparse(), slog.LevelWarn),
	}
}

// rewrite makes the request for the service. The fields between two neighbours are gone by now, so none that is set
// here can be named by the client to be taken away.
func (e *Edge) rewrite(p *httputil.ProxyRequest) {
	v := visitOf(p.In.Context())
	to := v.route.upstream
	p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host
	p.Out.URL.Path, p.Out.URL.RawPath = to.Path+v.path, ""
	if v.route.KeepHost {
		p.Out.Host = p.In.Host
	} else {
		p.Out.Host = ""
	}
	p.Out.Trailer = nil // nobody has looked at what comes after a body
	h := p.Out.Header
	e.guard.clean(h)
	v.hideCookies(h)
	scheme := "http"
	if v.secure() {
		scheme = "https"
	}
	own := [3]string{v.from.String(), p.In.Host, scheme}
	if v.from.IsValid() {
		h["X-Forwarded-For"] = own[0:1:1]
	}
	h["X-Forwarded-Host"], h["X-Forwarded-Proto"] = own[1:2:2], own[2:3:3]
	v.speak(h)
}

// secure reports whether the client came over TLS, as far as is known.
func (v *visit) secure() bool {
	if among(peer(v.in), v.edge.config.TrustedProxies) {
		if said := v.in.Header["X-Forwarded-Proto"]; len(said) == 1 {
			return strings.EqualFold(said[0], "https")
		}
	}
	return v.in.TLS != nil
}

// hideCookies takes the cookies out that services have no business with.
func (v *visit) hideCookies(h http.Header) {
	if !v.jar.ours && !v.jar.old {
		return
	}
	rest := without(h, v.hidden)
	if rest == "" {
		h.Del("Cookie")
		return
	}
	h["Cookie"] = []string{rest}
}

// hidden reports the cookies that services do not see: handles, and what older cookies the browser is told to
// forget.
func (v *visit) hidden(name string) bool {
	legacy := v.edge.config.Legacy
	return isOurs(name) || legacy != nil && legacy.Knows(name) && legacy.Delete(name) != nil
}

// speak sets what the edge says to the service.
func (v *visit) speak(h http.Header) {
	if v.held == nil {
		v.doubt(h)
		return
	}
	v.held.set(h)
	if v.consistency.MaxStale > 0 {
		h.Set(header.ConsistencyField, header.Consistency{MaxStale: v.consistency.MaxStale}.String())
	}
	if v.demanding() {
		// The passport has seen all that the request may have seen. What the service reads besides must not be older.
		c := header.Consistency{Mode: header.AtLeastAsFresh, MaxStale: v.consistency.MaxStale}
		if v.consistency.Mode == header.Exact && v.held.claims.Mark == v.position {
			c.Mode = header.Exact
		}
		h.Set(header.ConsistencyField, c.String())
	}
}

// doubt says of a request that goes on without a passport that this may not mean that nobody is signed in.
func (v *visit) doubt(h http.Header) {
	if v.unknown {
		header.SetStaleness(h, header.Staleness{})
	}
}

// modify makes the answer for the client. What the service says of its effect is minded before the answer goes on.
func (e *Edge) modify(res *http.Response) error {
	v := visitOf(res.Request.Context())
	h := res.Header
	v.mind(h)
	if v.route.SignIn {
		v.takeHandle(h)
	} else if _, found := dropCookies(h, isOurs); found {
		e.warn("the session's cookie was taken off an answer: only a path that is SignIn (--sign-in) sets or deletes it",
			"path", v.path, "route", v.route.Path)
	}
	above := v.answerPosition(h)
	said, decided, err := header.GetStaleness(h)
	dropInternal(h)
	dropInternal(res.Trailer)
	v.report(h, above)
	if decided && err == nil {
		v.staler(h, said)
	}
	if v.held != nil && h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"private"}
	}
	if res.StatusCode != http.StatusSwitchingProtocols && (isLong(res.ContentLength) || res.ProtoMajor > 1) {
		res.Body = &trailed{res.Body, res}
	}
	if isStream(res) {
		e.streams.add(v, endsElsewhere(res))
	}
	return nil
}

func dropInternal(h http.Header) {
	for name := range h {
		if isInternal(name) {
			delete(h, name)
		}
	}
}

// isInternal reports the fields of answers that are between services and the edge.
func isInternal(name string) bool {
	if len(name) < len("Txn-Token") || name[0]|0x20 != 't' && name[0]|0x20 != 'v' {
		return false
	}
	p := plain(name)
	return p == "txn-token" || strings.HasPrefix(p, "vidimus-")
}

// mind raises the floor of the subject that a request changed, so that the next request gets a passport which
// knows.
func (v *visit) mind(h http.Header) {
	effect := h[header.EffectField]
	if len(effect) == 0 {
		return
	}
	if _, _, err := header.GetEffect(h); err != nil {
		v.edge.warn("a service's effect is malformed; it counts all the same", "route", v.route.Path, "error", err)
	}
	if v.held != nil {
		v.edge.mint.raise(v.held.subject)
	}
}

// takeHandle lets a service that signs people in or out set the cookie, in the one form that it has.
func (v *visit) takeHandle(h http.Header) {
	value, found := dropCookies(h, isOurs)
	if !found {
		return
	}
	for _, handle := range []string{v.jar.handle, v.handle, value} {
		if handle != "" {
			v.edge.mint.forget(handle)
		}
	}
	v.imported = false
	switch {
	case value == "":
		h.Add("Set-Cookie", CookieName+"="+attributes+"; Max-Age=0")
	case wellFormed(value):
		h.Add("Set-Cookie", CookieName+"="+value+attributes)
	default:
		v.edge.warn("a service set the session's cookie to what is no handle", "route", v.route.Path)
	}
}

// answerPosition returns how far the client has seen after this answer: the furthest of the passport, of what the
// service read, and of what it wrote.
func (v *visit) answerPosition(h http.Header) header.Mark {
	var far header.Mark
	if v.held != nil {
		far = v.held.claims.Mark
	}
	further := func(m header.Mark) {
		if far == (header.Mark{}) || m.Reaches(far) {
			far = m
		}
	}
	if h[header.Position] != nil {
		if m, err := header.GetPosition(h); err == nil && m != (header.Mark{}) {
			further(m)
		}
	}
	if h[header.EffectField] != nil {
		if effect, ok, err := header.GetEffect(h); ok && err == nil {
			further(effect.Mark)
		}
	}
	return far
}

// report tells the client the position, under which staleness it was decided, and its new cookie if it has one.
func (v *visit) report(h http.Header, far header.Mark) {
	if v.held == nil {
		header.SetPosition(h, far)
		v.doubt(h)
		return
	}
	h[header.Position] = v.held.position
	if far != v.held.claims.Mark {
		header.SetPosition(h, far)
	}
	header.SetStaleness(h, header.Staleness{Known: true, Age: v.age, Mark: v.known, ReadOnly: v.readOnly})
	v.setCookies(h)
}

// staler tells the client the staleness under which the service decided, where that is worse than the edge's own.
func (v *visit) staler(h http.Header, said header.Staleness) {
	if v.held == nil || said.Known && said.Age <= v.age && !said.ReadOnly {
		return
	}
	said.ReadOnly = said.ReadOnly || v.readOnly
	header.SetStaleness(h, said)
}

// setCookies sets the handle that takes the place of another one, or of an older cookie.
func (v *visit) setCookies(h http.Header) {
	switch {
	case v.held.successor != "" && v.held.age(clock.Now()) < rotationGrace:
		h.Add("Set-Cookie", CookieName+"="+v.held.successor+attributes)
	case v.imported:
		h.Add("Set-Cookie", CookieName+"="+v.handle+attributes)
	}
	if !v.imported {
		return
	}
	eachCookie(v.in.Header, func(name, _, _ string) bool {
		if legacy := v.edge.config.Legacy; legacy.Knows(name) {
			if c := legacy.Delete(name); c != nil {
				h.Add("Set-Cookie", c.String())
			}
		}
		return true
	})
}

// rotationGrace is how long after a rotation an answer may still bring the new handle: after that a browser may
// hold a newer one.
const rotationGrace = 5 * time.Second

// failed answers when the service does not.
func (e *Edge) failed(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var network net.Error
	v := visitOf(r.Context())
	switch {
	case errors.Is(context.Cause(r.Context()), errSignedOut):
		v.signIn().answer(w)
	case errors.As(err, &tooLarge), errors.Is(err, errBody):
		badBody(err).answer(w)
	case r.Context().Err() != nil:
		refuse(http.StatusServiceUnavailable, "ended", "the request was given up").answer(w)
	case errors.Is(err, errChanging):
		refuse(http.StatusServiceUnavailable, "changing", "the state was just changed, and nothing was done; try again").
			after(time.Second).answer(w)
	case errors.Is(err, errUnasked):
		v.unproved(r.Context(), err).answer(w)
	case errors.Is(err, errRefused):
		e.warn("a service refuses the authority's passports: compare its issuer, audience and clock with the authority's",
			"route", v.route.Path)
		refuse(http.StatusServiceUnavailable, "passport_refused", "the service takes no passport now, and did nothing; "+
			"try again").after(time.Second).answer(w)
	case errors.As(err, &network) && network.Timeout():
		e.warn("a service does not answer in time", "route", v.route.Path, "error", err)
		refuse(http.StatusGatewayTimeout, "timeout", "the service does not answer in time").answer(w)
	default:
		e.warn("a service cannot be reached", "route", v.route.Path, "error", err)
		refuse(http.StatusBadGateway, "upstream", "the service cannot be reached").answer(w)
	}
}

// trailed takes the fields out that come after a body and are between services and the edge.
type trailed struct {
	body io.ReadCloser
	res  *http.Response
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.body.Read(p)
	if err != nil {
		dropInternal(t.res.Trailer)
	}
	if errors.Is(err, errSignedOut) || errors.Is(err, errUnproved) || errors.Is(err, errDraining) {
		err = context.Canceled // our own doing, which httputil takes for granted; it warns of everything else
	}
	return n, err
}

func (t *trailed) Close() error { return t.body.Close() }

// buffers lends the buffers that bodies are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
