// SPDX-License-Identifier: Apache-2.0

// The edge: what it is made of, and the way of a request through it.

package edge

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
)

// Edge is what stands in front. Goroutines may share it.
type Edge struct {
	config   Config
	routes   *routes
	hosts    map[string]bool
	cells    map[string]bool
	guard    guard
	origins  *http.CrossOriginProtection
	signIn   string // SignInURL, up to where the page goes
	mint     *mint
	attempts *limits
	warnings *rate.Limiter
	replays  *replays
	streams  streams
	proxy    *httputil.ReverseProxy
	close    []func()

	inFlight atomic.Int64
	running  atomic.Bool
	draining atomic.Bool
}

// How often the log is told of requests that fail.
const (
	warningsEvery  = time.Second
	warningsAtOnce = 20
)

// Open checks the configuration and returns an edge. It returns an [InvalidError].
func Open(c Config) (*Edge, error) {
	e := &Edge{config: c, streams: newStreams(), hosts: map[string]bool{}, cells: map[string]bool{}}
	if err := e.config.complete(); err != nil {
		return nil, err
	}
	c = e.config
	var err error
	if e.guard, err = newGuard(c.Strip); err != nil {
		return nil, err
	}
	if e.routes, err = openRoutes(&c, e.ownRoutes(), e.transports()); err != nil {
		return nil, err
	}
	e.origins = http.NewCrossOriginProtection()
	for _, o := range c.TrustedOrigins {
		if err := e.origins.AddTrustedOrigin(o); err != nil {
			return nil, invalid("TrustedOrigins", "%q: %v; write it as https://pay.example", o, err)
		}
	}
	for _, h := range c.Hosts {
		e.hosts[strings.ToLower(h)] = true
	}
	for _, name := range c.Cells {
		e.cells[name] = true
	}
	if c.SignInURL != "" {
		e.signIn = c.SignInURL + "?return_to="
		if strings.Contains(c.SignInURL, "?") {
			e.signIn = c.SignInURL + "&return_to="
		}
	}
	e.mint = newMint(&c)
	e.attempts = newLimits(c.SignIn)
	e.warnings = rate.NewLimiter(rate.Every(warningsEvery), warningsAtOnce)
	e.replays = newReplays()
	e.proxy = e.newProxy()
	return e, nil
}

// complete checks the configuration and fills in what was left out.
func (c *Config) complete() error {
	switch {
	case c.Authority == nil:
		return invalid("Authority", "is missing: give a session.Sessions, or a remote.Authority")
	case len(c.Routes) == 0:
		return invalid("Routes", "is empty: say at least what / is")
	case c.Sessions < 0 || c.InFlight < 0 || c.Drain < 0 || c.Notice < 0:
		return invalid("Sessions, InFlight, Notice or Drain", "is negative; leave it out for the default")
	}
	for field, l := range map[string]*Limit{"SignIn": &c.SignIn, "SignInRoute": &c.SignInRoute} {
		if l.Burst < 0 || l.Every < 0 || (l.Burst == 0) != (l.Every == 0) {
			return invalid(field, "needs both Burst and Every, above 0")
		}
	}
	if u, err := url.Parse(c.SignInURL); err != nil || u.Fragment != "" {
		return invalid("SignInURL", "%q: write it as /sign-in or https://host/sign-in", c.SignInURL)
	}
	if slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return !p.IsValid() }) {
		return invalid("TrustedProxies", "has a prefix that is not valid")
	}
	setDefault(&c.Name, "edge")
	setDefault(&c.Sessions, DefaultSessions)
	setDefault(&c.InFlight, DefaultInFlight)
	setDefault(&c.Drain, DefaultDrain)
	setDefault(&c.SignIn, Limit{6 * time.Second, 10})
	setDefault(&c.SignInRoute, Limit{20 * time.Millisecond, 200})
	setDefault(&c.Logger, slog.New(slog.DiscardHandler))
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ServeHTTP passes a request on to the upstream of its route, or answers it. Below /.vidimus/ are the edge's own
// pages: GET status says whether it is well, and POST heartbeat tells a tab whether what it shows is still so (see
// presence.Heartbeat).
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	upload := receive(ctx, w, r)
	defer upload.over()
	to := e.answerTo(w, r)
	defer to.end()
	if e.inFlight.Add(1) > int64(e.config.InFlight) {
		e.inFlight.Add(-1)
		refuse(http.StatusServiceUnavailable, "busy", "too many requests are under way; try again").
			after(time.Second).answer(to)
		return
	}
	defer e.inFlight.Add(-1)
	v := &visit{edge: e, cancel: cancel, upload: upload}
	v.in = plainUpgrade(r).WithContext(context.WithValue(ctx, visitKey{}, v))
	if upload != nil {
		v.in.Body = upload
	}
	if f := e.admit(v); f != nil {
		f.answer(to)
		return
	}
	if v.route.own != nil {
		v.route.own(to, v)
		return
	}
	if v.route.upstream == nil {
		refuse(http.StatusNotFound, "no_upstream", "this path is decided on here, but served elsewhere").answer(to)
		return
	}
	e.pass(to, v)
}

// pass sends an admitted request on.
func (e *Edge) pass(to *answer, v *visit) {
	if f := v.guardBody(to.ResponseWriter, v.in); f != nil {
		f.answer(to)
		return
	}
	defer func() {
		if v.streaming {
			e.streams.remove(v)
		}
	}()
	if isLong(v.in.ContentLength) && v.held != nil { // the body may take as long as it likes
		e.streams.add(v, false)
	}
	if v.route.Idempotency == Forward {
		e.proxy.ServeHTTP(to, v.in)
		return
	}
	e.replays.serve(to, v, e.proxy)
}

// plainUpgrade returns a request that asks for no protocol but WebSocket: others are left out, as RFC 9110, section
// 7.8 allows.
func plainUpgrade(r *http.Request) *http.Request {
	if r.Header["Upgrade"] == nil || upgrade(r.Header) == "websocket" && r.Method == http.MethodGet {
		return r
	}
	without := *r
	without.Header = r.Header.Clone()
	for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
		without.Header.Del(name)
	}
	return &without
}

// Close releases the connections to the upstreams that are idle. It may be called twice.
func (e *Edge) Close() error {
	for _, f := range e.close {
		f()
	}
	return nil
}

// Verdict is what an edge decides about a request that somebody else passes on.
type Verdict struct {
	// Status is 200 if the request may pass, and otherwise that of the answer.
	Status int
	// Remove are the names of the request's headers to take out before it goes on, and Request those to set then.
	// Where the request comes from is for whoever passes it on to say: X-Forwarded-For and its like are in neither.
	Remove  []string
	Request http.Header
	// Response are the headers of the answer: to add if the request passes, and otherwise all of them.
	Response http.Header
	// Body is that of the answer if the request may not pass.
	Body []byte
	// Claims are those of the passport; nil if the request goes on without one. They are shared: do not change them.
	Claims *passport.Claims
}

// Check decides on a request as [Edge.ServeHTTP] does, without passing it on. It reads Method, RequestURI (which
// must be the target as the client sent it), Host, Header and RemoteAddr. What a service answers does not come back
// this way, so neither Vidimus-Effect nor Idempotency-Key is minded.
func (e *Edge) Check(ctx context.Context, r *http.Request) Verdict {
	v := &visit{edge: e, in: r.WithContext(ctx)}
	answer := Verdict{Status: http.StatusOK, Request: http.Header{}, Response: http.Header{}}
	f := e.admit(v)
	if f == nil && v.route.own != nil {
		f = refuse(http.StatusNotFound, "own", "the edge's own pages are not behind it: pass them on to the edge")
	}
	if f == nil && v.route.Idempotency == RequireKey && keyed(r.Method) && r.Header["Idempotency-Key"] == nil {
		f = errNoKey()
	}
	if f != nil {
		answer.Status, answer.Body = f.status, f.fill(answer.Response)
		return answer
	}
	for name := range r.Header {
		if e.guard.holds(name) && !forwarding(name) {
			answer.Remove = append(answer.Remove, name)
		}
	}
	slices.Sort(answer.Remove)
	if v.jar.ours || v.jar.old {
		answer.Request["Cookie"] = []string{without(r.Header, v.hidden)}
	}
	v.speak(answer.Request)
	var far passport.Mark
	if v.held != nil {
		answer.Claims, far = &v.held.claims, v.held.claims.Mark
	}
	v.report(answer.Response, far)
	return answer
}

// warn tells the operator, but not of each of very many requests.
func (e *Edge) warn(message string, args ...any) {
	if e.warnings.AllowN(clock.Now(), 1) {
		e.config.Logger.Warn(message, args...)
	}
}

// sparse takes what net/http says. Anybody can cause it, so the log is not told of each of very many either.
type sparse struct {
	slog.Handler
	limit *rate.Limiter
}

func (e *Edge) sparse() sparse {
	return sparse{e.config.Logger.Handler(), rate.NewLimiter(rate.Every(warningsEvery), warningsAtOnce)}
}

// Handle is for [slog.Handler].
func (s sparse) Handle(ctx context.Context, r slog.Record) error {
	if !s.limit.AllowN(clock.Now(), 1) {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}
