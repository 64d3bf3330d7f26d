// SPDX-License-Identifier: Apache-2.0

// Files of routes: read as the guide says, or refused with the place and the remedy.

package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport"
)

// routesOf reads a file with this text, under the flags of an edge.
func routesOf(t *testing.T, text string, flags *edgeCmd) ([]edge.Route, error) {
	t.Helper()
	c := *flags
	c.Routes = filepath.Join(t.TempDir(), "routes.json")
	if err := os.WriteFile(c.Routes, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := c.config()
	return config.Routes, err
}

// usual are the flags of an edge in front of one service.
func usual() *edgeCmd {
	return &edgeCmd{
		Upstream: "http://shop", Limit: "10/1m", MaxStale: 2 * time.Second, WhenStale: "refuse", Drain: time.Second,
	}
}

func TestFilesOfRoutesAreRead(t *testing.T) {
	t.Parallel()
	other, asked := usual(), usual()
	other.MaxStale, other.WhenStale, other.KeepHost = 5*time.Second, "read-only", true
	asked.Upstream, asked.Auth = "", "127.0.0.1:0"
	for name, tt := range map[string]struct {
		text  string
		flags *edgeCmd
		want  []edge.Route
	}{
		"what is left out is as the flags say": {
			`{"routes": [{"path": "/"}]}`, other,
			[]edge.Route{{
				Path: "/", Upstream: "http://shop", KeepHost: true, MaxStale: 5 * time.Second, WhenStale: passport.ReadOnly,
			}},
		},
		"what is said counts": {
			`{"routes": [{
				"path": "/orders/", "methods": ["PUT", "POST"], "upstream": "h2c://orders", "keep_host": false, "public": false,
				"scopes": ["write", "read"], "max_stale": "500ms", "when_stale": "refuse", "cross_origin": true,
				"if_match": "require", "idempotency": "require", "max_body": 65536, "timeout": "1m"
			}]}`, other,
			[]edge.Route{{
				Path: "/orders/", Methods: []string{"PUT", "POST"}, Upstream: "h2c://orders", Scopes: []string{"write", "read"},
				MaxStale: 500 * time.Millisecond, CrossOrigin: true, RequireIfMatch: true, Idempotency: edge.RequireKey,
				MaxBody: 65536, Timeout: time.Minute,
			}},
		},
		"routes keep their order, and know nothing of each other": {
			`{"routes": [
				{"path": "/a", "public": true, "max_body": -1, "idempotency": "replay"},
				{"path": "/b", "when_stale": "read-only"},
				{"path": "/c", "if_match": "forward", "idempotency": "forward"}
			]}`, usual(),
			[]edge.Route{
				{
					Path: "/a", Upstream: "http://shop", Public: true, MaxStale: 2 * time.Second, MaxBody: -1,
					Idempotency: edge.Replay,
				},
				{Path: "/b", Upstream: "http://shop", MaxStale: 2 * time.Second, WhenStale: passport.ReadOnly},
				{Path: "/c", Upstream: "http://shop", MaxStale: 2 * time.Second},
			},
		},
		"who signs in has no session yet, unless it is said": {
			`{"routes": [
				{"path": "/sign-in", "sign_in": true},
				{"public": false, "path": "/raise", "sign_in": true, "scopes": ["write"]}
			]}`, usual(),
			[]edge.Route{
				{Path: "/sign-in", Upstream: "http://shop", Public: true, SignIn: true, MaxStale: 2 * time.Second},
				{
					Path: "/raise", Upstream: "http://shop", SignIn: true, Scopes: []string{"write"}, MaxStale: 2 * time.Second,
				},
			},
		},
		"no service, where another proxy asks": {
			`{"routes": [{"path": "/"}]}`, asked, []edge.Route{{Path: "/", MaxStale: 2 * time.Second}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := routesOf(t, tt.text, tt.flags)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestARouteOfTheFileCanSayAllThatARouteIs(t *testing.T) {
	t.Parallel()
	const table = 14 // fields of edge.Route, each of which has its name in the file
	var f fileRoute
	fields, route := f.fields(), reflect.TypeFor[edge.Route]()
	if len(fields) != table || route.NumField() != table {
		t.Errorf("the file has %d fields and a route %d, want %d each: describe the new one in docs/edge.md, too",
			len(fields), route.NumField(), table)
	}
	page, err := os.ReadFile("../../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if !strings.Contains(string(page), "\n| `"+name+"` | ") {
			t.Errorf("docs/edge.md does not describe the field %s of routes", name)
		}
	}
}

func TestBadFilesOfRoutesAreRefusedByPlaceAndRemedy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"no JSON":                {"{\n\"routes\": x}", "line 2 is no JSON: "},
		"no object":              {`[{"path": "/"}]`, "is no object; write {...}"},
		"no routes":              {`{}`, `routes is missing or empty; say at least what / is, as {"routes":`},
		"an empty list":          {`{"routes": []}`, "routes is missing or empty"},
		"no list":                {`{"routes": {"path": "/"}}`, "routes is no list; write [...]"},
		"a field nobody knows":   {`{"route": []}`, "route is no field; use routes"},
		"routes twice":           {`{"routes": [{"path": "/"}], "routes": []}`, "routes is there twice; give it once"},
		"a route that is none":   {`{"routes": ["/"]}`, "routes[0] is no object; write {...}"},
		"the second is bad":      {`{"routes": [{"path": "/"}, {"path": "/a", "open": true}]}`, "routes[1].open is no field"},
		"the place of a problem": {`{"routes": [{"path": "/"}, {"public": true}]}`, "routes[1].path is missing; "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, tt.text, usual(), "routes.json: "+tt.want)
		})
	}
}

func TestBadRoutesInFilesAreRefusedByFieldAndRemedy(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"Path": "/"`:                      "Path is no field; use cross_origin, idempotency, if_match, keep_host, ",
		`"path": "/b"`:                     "path is there twice; give it once",
		`"methods": "GET"`:                 "methods is no list; write [...]",
		`"methods": []`:                    `methods is empty; leave it out, or write it as ["GET"]`,
		`"methods": [""]`:                  `methods[0] is empty; `,
		`"upstream": ""`:                   `upstream is empty; leave it out, or write it as "http://127.0.0.1:8080"`,
		`"upstream": 8080`:                 `upstream is no text; write it as "http://127.0.0.1:8080"`,
		`"public": "yes"`:                  "public is no yes or no; write true or false",
		`"public": null`:                   "public is no yes or no; write true or false",
		`"sign_in": 1`:                     "sign_in is no yes or no; write true or false",
		`"keep_host": "shop"`:              "keep_host is no yes or no; write true or false",
		`"cross_origin": ["x"]`:            "cross_origin is no yes or no; write true or false",
		`"scopes": "write"`:                "scopes is no list; write [...]",
		`"scopes": [1]`:                    `scopes[0] is no text; write it as "write"`,
		`"scopes": ["a"], "public": true`:  "scopes needs a session, and public goes without; leave one of them out",
		`"scopes": ["a"], "sign_in": true`: `scopes needs a session, and sign_in goes without; write "public": false, too`,
		`"max_stale": 2`:                   `max_stale is no duration above 0; write it as "2s"`,
		`"max_stale": "2"`:                 `max_stale is no duration above 0; write it as "2s"`,
		`"max_stale": "0s"`:                `max_stale is no duration above 0; write it as "2s"`,
		`"when_stale": "ask"`:              `when_stale is unknown; use one of ["read-only" "refuse"]`,
		`"when_stale": true`:               `when_stale is unknown; use one of ["read-only" "refuse"]`,
		`"if_match": true`:                 `if_match is unknown; use one of ["forward" "require"]`,
		`"idempotency": "required"`:        `idempotency is unknown; use one of ["forward" "replay" "require"]`,
		`"max_body": 0`:                    "max_body is no number of bytes above 0; write 65536, or -1 for any number",
		`"max_body": -2`:                   "max_body is no number of bytes above 0",
		`"max_body": "64KiB"`:              "max_body is no number of bytes above 0",
		`"max_body": null`:                 "max_body is no number of bytes above 0",
		`"max_body": 1e30`:                 "max_body is no number of bytes above 0",
		`"timeout": "-1s"`:                 `timeout is no duration above 0; write it as "30s"`,
	} {
		t.Run(fields, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, `{"routes": [{"path": "/a", `+fields+`}]}`, usual(), "routes[0]."+want)
		})
	}
	t.Run("no service", func(t *testing.T) {
		t.Parallel()
		nowhere := usual()
		nowhere.Upstream = ""
		wantRefused(t, `{"routes": [{"path": "/a"}]}`, nowhere,
			"routes[0].upstream is missing; name the service here, or with --upstream for all routes, or use --auth")
	})
}

func TestWhatHoldsForAllRoutesIsGivenByFlags(t *testing.T) {
	t.Parallel()
	c := usual()
	c.Strip, c.Drain = []string{"X-Employee", "X-Team"}, time.Minute
	config, err := c.config()
	if err != nil || config.Drain != time.Minute || !reflect.DeepEqual(config.Strip, c.Strip) {
		t.Errorf("got a drain of %v and %q to strip, %v", config.Drain, config.Strip, err)
	}
}

// wantRefused checks that a file of routes is refused, by the flag that names it.
func wantRefused(t *testing.T, text string, flags *edgeCmd, want string) {
	t.Helper()
	got, err := routesOf(t, text, flags)
	if err == nil {
		t.Fatalf("was read as %+v; want %q", got, want)
	}
	if fieldOf(err) != "--routes" || !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant --routes: ... %s", err, want)
	}
}

// FuzzRoutes reads files of routes: what is read, the edge takes, or it says which route it does not take and why.
func FuzzRoutes(f *testing.F) {
	page, err := os.ReadFile("../../docs/edge.md")
	if err != nil {
		f.Fatal(err)
	}
	_, guide, _ := strings.Cut(string(page), "\n## Routes\n")
	_, guide, _ = strings.Cut(guide, "```json\n")
	guide, _, _ = strings.Cut(guide, "```")
	f.Add(guide)
	f.Add(`{"routes": [{"path": "/a%2fb", "methods": ["CONNECT"], "upstream": "http://x?y", "scopes": ["a b"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		r := routesFile{rule: edge.Route{Upstream: "http://shop", MaxStale: time.Second}}
		if err := r.fields().readText([]byte(text)); err != nil || len(r.routes) == 0 {
			if text == guide {
				t.Fatalf("the guide's file is not read: %v", err)
			}
			return
		}
		e, err := edge.Open(edge.Config{Authority: nobody{}, Routes: r.routes})
		if err == nil {
			_ = e.Close()
			return
		}
		bad, ok := errors.AsType[*edge.InvalidError](err)
		if !ok || !strings.HasPrefix(bad.Field, "Routes[") || text == guide {
			t.Fatalf("the edge does not take what was read: %v", err)
		}
	})
}
