// SPDX-License-Identifier: Apache-2.0

// Whether a request may pass, and with which passport.

package edge

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// visit is one request on its way through the edge.
type visit struct {
	edge   *Edge
	in     *http.Request
	path   string // the one reading of it
	route  *route
	from   netip.Addr
	jar    jar
	handle string // of the session, in the cookie or imported

	consistency header.Consistency
	position    header.Mark

	held      *held // nil if the request goes on without a passport
	unknown   bool  // whether that is because nobody could say whose it is
	age       time.Duration
	known     header.Mark // how far the log was known
	readOnly  bool
	imported  bool     // whether the handle is to be set, for an older cookie
	body      []byte   // of the request, if it is at hand
	upload    *patient // the body of the request; nil if it has none
	cancel    context.CancelCauseFunc
	streaming bool // whether it is among the streams
}

// admit decides whether a request may pass. It returns nil, or the answer.
func (e *Edge) admit(v *visit) *refusal {
	r := v.in
	if f := v.address(); f != nil {
		return f
	}
	if f := v.protect(); f != nil {
		return f
	}
	var err error
	if v.consistency, err = header.GetConsistency(r.Header); err == nil {
		v.position, err = header.GetPosition(r.Header)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "bad_header", "%v", err)
	}
	if v.consistency.Mode == header.MinimizeLatency {
		v.position = header.Mark{} // it asks for nothing, then
	}
	v.jar = openJar(r.Header, e.config.Legacy)
	if v.jar.count > 1 {
		return refuse(http.StatusBadRequest, "two_handles", "the cookie %s is there more than once", CookieName)
	}
	return v.enter(r.Context())
}

// address finds the route.
func (v *visit) address() *refusal {
	e, r := v.edge, v.in
	if refusedMethod(r.Method) {
		return refuse(http.StatusMethodNotAllowed, "method", "%s is never passed on", r.Method)
	}
	path, err := canonical(r.RequestURI)
	switch {
	case errors.Is(err, pathLong):
		return refuse(http.StatusRequestURITooLong, "path", "%v", err)
	case err != nil:
		return refuse(http.StatusBadRequest, "path", "%v", err)
	case len(e.hosts) > 0 && !e.hosts[strings.ToLower(r.Host)]:
		return refuse(http.StatusMisdirectedRequest, "host", "this host is not served here")
	}
	v.path = path
	found := e.routes.find(path)
	if len(found) == 0 {
		return refuse(http.StatusNotFound, "no_route", "no service has this path; upper and lower case differ")
	}
	route, allowed := pick(found, r.Method)
	if route == nil {
		return refuse(http.StatusMethodNotAllowed, "method", "use %s", allowed).with("Allow", allowed)
	}
	v.route = route
	return nil
}

// protect refuses what a page of another origin sends, attempts that are too many, and writes that do not say on
// what they were decided.
func (v *visit) protect() *refusal {
	e, r := v.edge, v.in
	if !takes(r.Header) {
		return refuse(http.StatusBadRequest, "connection", "the field Connection names a field that is not its own")
	}
	if !v.route.CrossOrigin && e.crossOrigin(r) {
		return refuse(http.StatusForbidden, "cross_origin", "a page of another origin may not send this")
	}
	v.from = client(r, e.config.TrustedProxies)
	if v.route.SignIn && r.Method != http.MethodGet && r.Method != http.MethodHead {
		now := clock.Now()
		if !e.attempts.take(v.from, now) || !v.route.attempts.AllowN(now, 1) {
			return refuse(http.StatusTooManyRequests, "attempts", "too many attempts to sign in; wait, then try again").
				after(e.config.SignIn.Every)
		}
	}
	if v.route.RequireIfMatch && len(r.Header["If-Match"]) == 0 && slices.Contains(conditional(), r.Method) {
		return refuse(http.StatusPreconditionRequired, "if_match", "send If-Match with the ETag that this was decided on")
	}
	return nil
}

func conditional() []string { return []string{http.MethodPut, http.MethodPatch, http.MethodDelete} }

// crossOrigin reports whether a request that changes things, or opens a WebSocket, comes from a page of another
// origin.
func (e *Edge) crossOrigin(r *http.Request) bool {
	if r.Header["Sec-Fetch-Site"] == nil && r.Header["Origin"] == nil {
		return false
	}
	if isSafe(r.Method) && upgrade(r.Header) != "" {
		as := *r // the check lets GET pass, but a WebSocket is written to
		as.Method = http.MethodPost
		r = &as
	}
	return e.origins.Check(r) != nil
}

// enter finds the session and its passport.
func (v *visit) enter(ctx context.Context) *refusal {
	if v.route.own != nil && v.route.Public {
		return nil // it makes no difference there who asks
	}
	err := v.resolve(ctx)
	switch {
	case err == nil && v.held != nil:
		return v.authorised()
	case v.route.Public:
		v.held, v.unknown = nil, err != nil && !errors.Is(err, passport.ErrNoSession)
		return nil
	case err == nil || errors.Is(err, passport.ErrNoSession):
		return v.signIn()
	}
	return v.unproved(ctx, err)
}

// unproved is the answer to a request for which there is no passport, though there may be a session.
func (v *visit) unproved(ctx context.Context, err error) *refusal {
	switch {
	case errors.Is(err, errCrowd):
		return refuse(http.StatusTooManyRequests, "no_session", "too many requests with handles of no session").
			after(time.Second)
	case errors.Is(err, passport.ErrInexact):
		return refuse(http.StatusPreconditionFailed, "inexact",
			"the state at this position cannot be given any more; ask with another mode")
	case errors.Is(err, errAhead):
		return refuse(http.StatusBadRequest, "position", "%s is ahead of the log", header.Position)
	case ctx.Err() != nil:
		return refuse(http.StatusServiceUnavailable, "ended", "the request was given up")
	default:
		v.edge.warn("no passport for a request", "error", err)
		return refuse(http.StatusServiceUnavailable, "unavailable", "nobody can say now who is signed in; try again").
			after(time.Second)
	}
}

// authorised refuses a session that may not do this. Otherwise the request is a beat.
func (v *visit) authorised() *refusal {
	for _, s := range v.route.Scopes {
		if !hasScope(v.held.claims.Scope, s) {
			return refuse(http.StatusForbidden, "insufficient_scope", "the session is not allowed to do this: it lacks %s", s)
		}
	}
	if beats := v.edge.config.Beats; beats != nil {
		if id, err := presence.ParseID(v.held.claims.Session); err == nil {
			beats.Beat(id)
		}
	}
	return nil
}

func hasScope(all, one string) bool {
	for name := range strings.SplitSeq(all, " ") {
		if name == one {
			return true
		}
	}
	return false
}

// resolve finds the passport for the request's handle, or for its older cookie. Without either it returns nil, and
// leaves held nil.
func (v *visit) resolve(ctx context.Context) error {
	e, err := v.edge, error(nil)
	if v.jar.count == 1 && wellFormed(v.jar.handle) && (len(e.cells) == 0 || e.cells[cellOf(v.jar.handle)]) {
		v.handle = v.jar.handle
		if err = v.obtain(ctx); err == nil || !errors.Is(err, passport.ErrNoSession) {
			return err
		}
		v.handle = ""
	}
	if !v.jar.old {
		return err
	}
	limited, done := v.patience(ctx, nil)
	defer done()
	handle, ok, failed := e.config.Legacy.Import(limited, v.in)
	switch {
	case failed != nil:
		return failed
	case !ok:
		return err
	case !wellFormed(handle):
		return errors.New("the importer's handle is none")
	}
	v.handle, v.imported = handle, true
	return v.obtain(ctx)
}

// signIn is the answer to a request without a session where one is needed. It leaves the cookie as it is: by the
// time the answer arrives, the browser may hold the handle of a new session.
func (v *visit) signIn() *refusal {
	const nobody = "this needs a session, and there is none or it has ended"
	e, r := v.edge, v.in
	if e.config.SignInURL != "" && isPage(r) {
		to := e.signIn + url.QueryEscape((&url.URL{Path: v.path, RawQuery: rawQuery(r.RequestURI)}).String())
		return refuse(http.StatusSeeOther, "no_session", "%s", nobody).with("Location", to)
	}
	return refuse(http.StatusUnauthorized, "no_session", "%s", nobody).
		with("WWW-Authenticate", `Cookie cookie-name="`+CookieName+`"`)
}

func rawQuery(target string) string {
	_, query, _ := strings.Cut(target, "?")
	return query
}

// isPage reports whether a person opens a page, rather than a program fetching something.
func isPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || upgrade(r.Header) != "" {
		return false
	}
	mode := r.Header.Get("Sec-Fetch-Mode")
	return (mode == "" || mode == "navigate") && strings.Contains(r.Header.Get("Accept"), "text/html")
}
