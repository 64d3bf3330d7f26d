// SPDX-License-Identifier: Apache-2.0

// The routes of vidimus edge: those that flags describe, and the file that says more of each.

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport"
)

// routes returns the routes of the file, or without one those of the flags. The rule is what the flags say of all.
func (c *edgeCmd) routes(rule edge.Route) ([]edge.Route, error) {
	if c.Routes != "" {
		return c.fileRoutes(rule)
	}
	var routes []edge.Route
	add := func(path string, change func(*edge.Route)) {
		route := rule
		route.Path = path
		change(&route)
		routes = append(routes, route)
	}
	for _, path := range c.SignIn {
		add(path, func(r *edge.Route) { r.Public, r.SignIn = true, true })
	}
	for _, path := range c.Open {
		add(path, func(r *edge.Route) { r.Public = true })
	}
	if !slices.Contains(c.Open, "/") {
		add("/", func(*edge.Route) {})
	}
	return routes, nil
}

// fileRoutes reads the file of --routes. The error names the place and the remedy.
func (c *edgeCmd) fileRoutes(rule edge.Route) ([]edge.Route, error) {
	switch {
	case len(c.Open) > 0:
		return nil, usage("--open", `cannot be joined with --routes; write "public": true in %s`, c.Routes)
	case len(c.SignIn) > 0:
		return nil, usage("--sign-in", `cannot be joined with --routes; write "sign_in": true in %s`, c.Routes)
	}
	f := routesFile{rule: rule, asked: c.Auth != ""}
	err := f.fields().readFile(c.Routes)
	if err == nil && len(f.routes) == 0 {
		err = errors.New(`routes is missing or empty; say at least what / is, as {"routes": [{"path": "/"}]}`)
	}
	if err != nil {
		return nil, usage("--routes", "%s: %v", c.Routes, err)
	}
	return f.routes, nil
}

// routesFile is what the file of --routes says. What a route leaves out is as in the rule. Only where another proxy
// asks may it have no upstream.
type routesFile struct {
	rule   edge.Route
	asked  bool
	routes []edge.Route
}

func (f *routesFile) fields() settings {
	return settings{
		"routes": eachOf(func(at string, _ int, raw json.RawMessage) error {
			r := fileRoute{Route: f.rule}
			if err := r.fields().read(at, raw); err != nil {
				return err
			}
			if err := r.settle(f.asked); err != nil {
				return fmt.Errorf("%s.%w", at, err)
			}
			f.routes = append(f.routes, r.Route)
			return nil
		}),
	}
}

// fileRoute is a route as the file says it.
type fileRoute struct {
	edge.Route
	public *bool // nil if the file says nothing
}

func (r *fileRoute) fields() settings {
	const yesNo = "yes or no; write true or false"
	return settings{
		"path":      text(&r.Path, "/account/"),
		"methods":   texts(&r.Methods, "GET"),
		"upstream":  text(&r.Upstream, "http://127.0.0.1:8080"),
		"keep_host": value(&r.KeepHost, yesNo),
		"public":    value(&r.public, yesNo),
		"sign_in":   value(&r.SignIn, yesNo),
		"scopes":    texts(&r.Scopes, "write"),
		"max_stale": duration(&r.MaxStale, "2s"),
		"when_stale": oneOf(&r.WhenStale, map[string]passport.WhenStale{
			"refuse": passport.FailClosed, "read-only": passport.ReadOnly,
		}),
		"cross_origin": value(&r.CrossOrigin, yesNo),
		"if_match":     oneOf(&r.RequireIfMatch, map[string]bool{"forward": false, "require": true}),
		"idempotency": oneOf(&r.Idempotency, map[string]edge.Idempotency{
			"forward": edge.Forward, "replay": edge.Replay, "require": edge.RequireKey,
		}),
		"max_body": bytesMax(&r.MaxBody),
		"timeout":  duration(&r.Timeout, "30s"),
	}
}

// bytesMax is a setting for how many bytes there may be: a number above 0, or -1 for any.
func bytesMax(to *int64) setting {
	return func(at string, raw json.RawMessage) error {
		if json.Unmarshal(raw, to) != nil || *to == 0 || *to < -1 {
			return fmt.Errorf("%s is no number of bytes above 0; write 65536, or -1 for any number", at)
		}
		return nil
	}
}

// settle looks at what must be there, and at what goes with what. The rest is checked by the edge.
func (r *fileRoute) settle(asked bool) error {
	r.Public = r.SignIn // nobody has a session yet, unless the file says so
	if r.public != nil {
		r.Public = *r.public
	}
	switch {
	case r.Path == "":
		return errors.New(`path is missing; write what it covers: "/cart" alone, or "/cart/" with all below it`)
	case r.Upstream == "" && !asked:
		return errors.New("upstream is missing; name the service here, or with --upstream for all routes, or use --auth")
	case r.Public && len(r.Scopes) > 0 && r.public == nil:
		return errors.New(`scopes needs a session, and sign_in goes without; write "public": false, too`)
	case r.Public && len(r.Scopes) > 0:
		return errors.New("scopes needs a session, and public goes without; leave one of them out")
	}
	return nil
}

// blame says by which flag, or where in the file, a field was given that the edge refuses.
func (c *edgeCmd) blame(config *edge.Config, bad *edge.InvalidError) error {
	if c.Routes == "" || !strings.HasPrefix(bad.Field, "Routes") {
		return usage(cmp.Or(edgeFlag(bad.Field), bad.Field), "%s", bad.Problem)
	}
	for i, r := range config.Routes {
		if bad.Field == fmt.Sprintf("Routes[%d].Upstream", i) && r.Upstream == c.Upstream {
			return usage("--upstream", "%s", bad.Problem)
		}
	}
	return usage("--routes", "%s: %s %s", c.Routes, strings.ToLower(bad.Field), bad.Problem)
}
