// SPDX-License-Identifier: Apache-2.0

// What an edge is opened with.

package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/passport"
)

// What the zero values of a [Config] stand for.
const (
	DefaultMaxStale = 2 * time.Second
	DefaultSessions = 16 << 10
	DefaultInFlight = 10_000
	DefaultDrain    = 20 * time.Second
	DefaultMaxBody  = 1 << 30
	DefaultTimeout  = 30 * time.Second
)

// Config configures an [Edge].
type Config struct {
	// Authority mints the passports. It must be given.
	Authority passport.Authority
	// View says what has changed since they were minted. Without one, an edge trusts a passport only for the
	// MaxStale of the route since it asked for it.
	View passport.View
	// Routes say what is served and to whom. A path that no route covers is answered 404.
	Routes []Route

	// Name is what passports call the workload that asked for them; "edge" if empty.
	Name string
	// Cells are the cells whose handles are taken. Handles of others are refused without asking the authority.
	// Empty for all.
	Cells []string
	// Hosts are the names that requests may be for, with the port if it is not the scheme's own. Requests for
	// others are answered 421. Empty for all.
	Hosts []string
	// TrustedProxies are the addresses of those in front of the edge. Only they say who the client is, in
	// X-Forwarded-For and X-Forwarded-Proto, and only they are answered by [Edge.Auth]. From all others such
	// headers are deleted.
	TrustedProxies []netip.Prefix
	// TrustedOrigins are the other origins, such as "https://pay.example", whose pages may send requests that
	// change things.
	TrustedOrigins []string
	// Strip are names of headers that clients may not send, beside those of Vidimus and those by which common proxies
	// say who somebody is or where from: whatever else a service behind this edge believes.
	Strip []string

	// SignInURL is where browsers are sent that open a page without a session, with the page in the parameter
	// return_to. Empty to answer 401.
	SignInURL string
	// SignIn limits the attempts to sign in that come from one address (of IPv6: one /64), on all routes together.
	// The zero Limit is 10 at once and one more every 6 seconds.
	SignIn Limit
	// SignInRoute limits the attempts on each route from everywhere. The zero Limit is 200 at once and 50 a second.
	SignInRoute Limit
	// Beats is told of every request of a session; nil for nobody. Who opened it runs it.
	Beats *presence.Batcher
	// Legacy takes over the sessions that cookies of an older system stand for. It may be nil.
	Legacy Importer

	// Sessions is how many passports are kept ready.
	Sessions int
	// InFlight is how many requests are served at once. More are answered 503.
	InFlight int
	// Notice is how long an edge that is to end goes on as before, but for its status, which says so: so that who
	// spreads requests over edges looks at it, and sends no more, before the listener closes. 0 for no notice.
	Notice time.Duration
	// Drain is how long requests under way may take after that.
	Drain time.Duration
	// Transport carries requests to the upstreams, instead of the edge's own. It must not follow redirects or add
	// cookies.
	Transport http.RoundTripper
	// Logger is told what an operator must know; nil for nobody. No handle, passport or cookie is ever logged.
	Logger *slog.Logger
}

// Route says who may reach an upstream, and with how fresh a passport.
//
// The route with the longest path that covers a request's path is taken. If there are several, the first one that
// has the request's method is; if none has it, the answer is 405, and never a route with a shorter path.
type Route struct {
	// Path covers itself and, if it ends in "/", all paths below it. A final "/" of the request's path makes no
	// difference.
	Path string
	// Methods are the methods of the route; empty for all.
	Methods []string
	// Upstream is the URL of the service: http, https, or h2c for HTTP/2 in the clear. Its path, if it has one, is
	// put before the request's. [Edge.Auth] and [Edge.Check] need none.
	Upstream string
	// KeepHost sends the client's Host to the upstream, instead of the upstream's own.
	KeepHost bool

	// Public lets requests without a session through, without a passport. So it does when the authority does not answer;
	// a request that only reads, and says nothing of how fresh the decision must be, waits for it 250 ms at most, but
	// where people sign in.
	Public bool
	// SignIn marks where people sign in, raise their level and sign out: attempts that are not GET or HEAD are
	// limited, and only answers of such a route may set the session's cookie (see [SetHandle]).
	SignIn bool
	// Scopes are what the session must be allowed, all of them.
	Scopes []string
	// MaxStale is how stale the decision may be; 0 for [DefaultMaxStale]. When neither the view nor the passport's
	// age meets it, the authority is asked.
	MaxStale time.Duration
	// WhenStale says what happens while the authority does not answer, either. With [passport.ReadOnly], GET, HEAD
	// and OPTIONS go on with the last passport until that expires, and the response says so in Vidimus-Staleness.
	// All else is answered 503.
	WhenStale passport.WhenStale
	// CrossOrigin lets pages of other origins send requests that change things.
	CrossOrigin bool
	// RequireIfMatch answers 428 to PUT, PATCH and DELETE without If-Match.
	RequireIfMatch bool
	// Idempotency says what the edge does with the header Idempotency-Key.
	Idempotency Idempotency

	// MaxBody is how many bytes the body of a request may have; 0 for [DefaultMaxBody], negative for any number.
	MaxBody int64
	// Timeout is how long the upstream may take to the first byte of its answer; 0 for [DefaultTimeout].
	Timeout time.Duration
}

// Idempotency is what a route does with Idempotency-Key on POST and PATCH requests.
type Idempotency int

// What a route does with Idempotency-Key.
const (
	// Forward leaves the header to the service.
	Forward Idempotency = iota
	// Replay answers a request that was answered before with the same answer, as long as this edge remembers it,
	// and 409 while the first is under way. The service still gets the header.
	Replay
	// RequireKey is Replay, and answers 400 to requests without the header.
	RequireKey
)

// Limit is a rate: Burst at once, and one more each Every.
type Limit struct {
	Every time.Duration
	Burst int
}

// Importer takes over what an older system keeps in cookies of its own; package edge/legacy has one. What its method
// Status() any returns, if it has one, is part of the edge's status. Goroutines share it.
type Importer interface {
	// Knows reports whether a cookie of this name belongs to the older system.
	Knows(name string) bool
	// Import is called for each request that carries such a cookie and no handle of a live session. It returns the
	// handle of the session that stands for the cookie; ok is false if there is none, and the request goes on
	// without a session. An error means that nobody knows, and is answered as an authority that is down.
	Import(ctx context.Context, r *http.Request) (handle string, ok bool, err error)
	// Delete returns the cookie that makes the browser forget the one of this name: it is set when Import was ok,
	// and services no longer see it. It returns nil for a cookie that stays, which services see as before.
	Delete(name string) *http.Cookie
}

// InvalidError says which field of a [Config] is wrong, and what would be right.
type InvalidError struct {
	Field   string
	Problem string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("edge: %s %s", e.Field, e.Problem) }

func invalid(field, format string, args ...any) error {
	return &InvalidError{field, fmt.Sprintf(format, args...)}
}
