// SPDX-License-Identifier: Apache-2.0

// Which route a request takes.

package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// route is a [Route] made ready.
type route struct {
	Route
	upstream  *url.URL
	carrier   http.RoundTripper
	challenge string                    // the scopes, for a refusal
	attempts  *rate.Limiter             // nil but on routes to sign in
	own       func(w *answer, v *visit) // nil but for the edge's own pages
}

// routes finds the route of a path.
type routes struct {
	exact, below map[string][]*route // by the path without its final slash
	loose        map[string][]*route // both, by the folded path
	looseBelow   map[string][]*route
	deepest      int  // number of slashes in the longest path
	lower        bool // whether no path has anything to fold
}

// find returns the routes of the longest path that covers a canonical path. It returns nil if none does, or if a
// server that does not tell letters by case would take another one.
func (t *routes) find(path string) []*route {
	strict := t.longest(t.exact, t.below, path)
	if t.lower && isLower(path) {
		return strict
	}
	loose := t.longest(t.loose, t.looseBelow, folded(path))
	if len(strict) == 0 || len(loose) == 0 || strict[0] != loose[0] {
		return nil
	}
	return strict
}

func (t *routes) longest(exact, below map[string][]*route, path string) []*route {
	path = strings.TrimSuffix(path, "/")
	if found := exact[path]; found != nil {
		return found
	}
	path = upto(path, t.deepest)
	for {
		if found := below[path]; found != nil {
			return found
		}
		slash := strings.LastIndexByte(path, '/')
		if slash < 0 {
			return nil
		}
		path = path[:slash]
	}
}

// upto cuts a path before the slash that follows n others.
func upto(path string, n int) string {
	for i := range len(path) {
		if path[i] == '/' {
			if n == 0 {
				return path[:i]
			}
			n--
		}
	}
	return path
}

// pick returns the route for a method, or nil and the methods that there are.
func pick(of []*route, method string) (*route, string) {
	var allowed []string
	for _, r := range of {
		if len(r.Methods) == 0 || slices.Contains(r.Methods, method) {
			return r, ""
		}
		allowed = append(allowed, r.Methods...)
	}
	slices.Sort(allowed)
	return nil, strings.Join(slices.Compact(allowed), ", ")
}

// add takes a route in. It returns an [InvalidError].
func (t *routes) add(field string, r *route) error {
	switch path, err := canonical((&url.URL{Path: r.Path}).EscapedPath()); {
	case err != nil:
		return invalid(field+".Path", "%q: %v", r.Path, err)
	case path != r.Path:
		return invalid(field+".Path", "%q: write it as %q", r.Path, path)
	case r.own == nil && strings.HasPrefix(folded(r.Path)+"/", ownPaths):
		return invalid(field+".Path", "%q: paths below %s are the edge's own", r.Path, ownPaths)
	}
	key, below := strings.CutSuffix(r.Path, "/")
	strict, loose := t.exact, t.loose
	if below {
		strict, loose = t.below, t.looseBelow
	}
	for _, other := range loose[folded(key)] {
		switch {
		case other.Path != r.Path:
			return invalid(field+".Path", "%q differs from %q only in case", r.Path, other.Path)
		case len(other.Methods) == 0:
			return invalid(field, "is never taken: an earlier route of %q has all methods", r.Path)
		}
	}
	strict[key] = append(strict[key], r)
	loose[folded(key)] = append(loose[folded(key)], r)
	t.deepest = max(t.deepest, strings.Count(key, "/"))
	t.lower = t.lower && isLower(key)
	return nil
}

// openRoutes makes the routes ready, with what carries requests to each upstream.
func openRoutes(
	c *Config, own []*route, carry func(scheme string, timeout time.Duration) http.RoundTripper,
) (*routes, error) {
	t := &routes{
		exact: map[string][]*route{}, below: map[string][]*route{},
		loose: map[string][]*route{}, looseBelow: map[string][]*route{}, lower: true,
	}
	for _, r := range own {
		if err := errors.Join(r.complete(r.Path), t.add(r.Path, r)); err != nil {
			return nil, err
		}
	}
	for i, given := range c.Routes {
		field := fmt.Sprintf("Routes[%d]", i)
		r := &route{Route: given, challenge: strings.Join(given.Scopes, " ")}
		if err := r.complete(field); err != nil {
			return nil, err
		}
		if r.upstream != nil {
			r.carrier = carry(r.upstream.Scheme, r.Timeout)
			if r.upstream.Scheme == "h2c" {
				r.upstream.Scheme = "http"
			}
		}
		if r.SignIn {
			r.attempts = rate.NewLimiter(rate.Every(c.SignInRoute.Every), c.SignInRoute.Burst)
		}
		if err := t.add(field, r); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// complete checks a route and fills in what was left out.
func (r *route) complete(field string) error {
	if r.MaxStale < 0 || r.Timeout < 0 {
		return invalid(field, "has a negative duration; leave it out for the default")
	}
	if r.Idempotency < Forward || r.Idempotency > RequireKey {
		return invalid(field+".Idempotency", "is %d; use Forward, Replay or RequireKey", r.Idempotency)
	}
	for _, m := range r.Methods {
		if m == "" || m != strings.ToUpper(m) || refusedMethod(m) {
			return invalid(field+".Methods", "%q is no method that can be passed on; write it in capitals", m)
		}
	}
	for _, s := range r.Scopes {
		if s == "" || strings.ContainsAny(s, " \t\r\n\"\\") {
			return invalid(field+".Scopes", "%q is no scope; give one name each", s)
		}
	}
	if r.Public && len(r.Scopes) > 0 {
		return invalid(field+".Scopes", "cannot be asked of a route that is Public")
	}
	if r.MaxStale == 0 {
		r.MaxStale = DefaultMaxStale
	}
	if r.MaxBody == 0 {
		r.MaxBody = DefaultMaxBody
	}
	if r.Timeout == 0 {
		r.Timeout = DefaultTimeout
	}
	if r.Upstream == "" {
		return nil
	}
	u, err := url.Parse(r.Upstream)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c" || u.Host == "":
		return invalid(field+".Upstream", "%q: write it as http://host:port, https://… or h2c://…", r.Upstream)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.RawPath != "":
		return invalid(field+".Upstream", "may have a scheme, a host and a plain path, and nothing else")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	r.upstream = u
	return nil
}
