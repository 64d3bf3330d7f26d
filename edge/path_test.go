// SPDX-License-Identifier: Apache-2.0

// One path, one reading; and routes that no spelling goes around.

package edge

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestPathsHaveOneReading(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target string
		want   string // the path, or "" to be refused
	}{
		"plain":                        {"/seats/12", "/seats/12"},
		"the root":                     {"/", "/"},
		"a final slash stays":          {"/seats/", "/seats/"},
		"a query is no path":           {"/seats?to=//../%2f", "/seats"},
		"escapes are decoded":          {"/a%20b/%C3%A4", "/a b/ä"},
		"punctuation":                  {"/a!b$c&d'(e)*+,=:@~_-.f", "/a!b$c&d'(e)*+,=:@~_-.f"},
		"a hidden file":                {"/.well-known/jwks.json", "/.well-known/jwks.json"},
		"nothing":                      {"", ""},
		"the asterisk":                 {"*", ""},
		"absolute-form":                {"http://other.example/seats", ""},
		"authority-form":               {"other.example:443", ""},
		"an encoded slash":             {"/seats%2f..%2fadmin", ""},
		"an encoded slash in capitals": {"/seats%2Fadmin", ""},
		"a backslash":                  {`/seats\..\admin`, ""},
		"an encoded backslash":         {"/seats%5cadmin", ""},
		"encoded twice":                {"/seats%252fadmin", ""},
		"an encoded percent sign":      {"/100%25", ""},
		"dots":                         {"/seats/../admin", ""},
		"encoded dots":                 {"/seats/%2e%2e/admin", ""},
		"half encoded dots":            {"/seats/.%2E/admin", ""},
		"one dot":                      {"/./admin", ""},
		"dots at the end":              {"/seats/..", ""},
		"three dots":                   {"/seats/.../admin", ""},
		"a dot at a segment's end":     {"/admin./x", ""},
		"two slashes":                  {"//admin", ""},
		"two slashes inside":           {"/seats//admin", ""},
		"two slashes at the end":       {"/seats//", ""},
		"a parameter":                  {"/admin;jsessionid=1", ""},
		"dots and a parameter":         {"/seats/..;/admin", ""},
		"an encoded semicolon":         {"/admin%3bx", ""},
		"an encoded question mark":     {"/admin%3fx", ""},
		"an encoded number sign":       {"/admin%23x", ""},
		"a number sign":                {"/admin#x", ""},
		"NUL":                          {"/admin%00.html", ""},
		"a new line":                   {"/admin%0a", ""},
		"a tab":                        {"/admin%09", ""},
		"DEL":                          {"/admin%7f", ""},
		"a C1 control":                 {"/admin%c2%85", ""},
		"a space at the end":           {"/admin%20", ""},
		"a space at the beginning":     {"/%20admin", ""},
		"a raw space":                  {"/ad min", ""},
		"raw bytes":                    {"/\xc3\xa4", ""},
		"no UTF-8":                     {"/%ff", ""},
		"an overlong slash":            {"/seats%c0%afadmin", ""},
		"a half escape":                {"/seats%2", ""},
		"an escape that is none":       {"/seats%zz", ""},
		"an escape by IIS":             {"/seats%u002fadmin", ""},
		"a full-width slash":           {"/seats%EF%BC%8Fadmin", ""},
		"full-width dots":              {"/seats/%EF%BC%8E%EF%BC%8E/admin", ""},
		"too long":                     {"/" + strings.Repeat("a", maxTarget), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := canonical(c.target)
			switch {
			case c.want == "" && err == nil:
				t.Errorf("%q is read as %q, want it refused", c.target, got)
			case c.want != "" && (err != nil || got != c.want):
				t.Errorf("%q is read as %q, %v, want %q", c.target, got, err, c.want)
			}
		})
	}
}

func TestNoCharacterStandsForADotOrASlash(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"small dots":            "/seats/%EF%B9%92%EF%B9%92/admin",
		"a leader of two dots":  "/seats/%E2%80%A5/admin",
		"a vertical leader":     "/seats/%EF%B8%B0/admin",
		"leaders of one dot":    "/seats/%E2%80%A4%E2%80%A4/admin",
		"a slash in one letter": "/seats/%E2%84%85",
		"a small backslash":     "/seats%EF%B9%A8admin",
		"a Greek question mark": "/admin%CD%BEx",
	} {
		if got, err := canonical(target); err == nil {
			t.Errorf("%s: %q is read as %q, want it refused", name, target, got)
		}
	}
	if got, err := canonical("/wait%E2%80%A6"); err != nil || got != "/wait…" {
		t.Errorf("an ellipsis, which is no path upwards, is read as %q, %v", got, err)
	}
}

// table is a table of routes with protected paths within public ones, and the other way round.
func table(t testing.TB) *routes {
	t.Helper()
	c := Config{}
	for _, path := range []string{"/", "/admin/", "/admin/open/", "/pay", "/Case/", "/shop/ä/", "/deep/a/b/c/d"} {
		c.Routes = append(c.Routes, Route{Path: path})
	}
	found, err := openRoutes(&c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTheLongestPathIsTaken(t *testing.T) {
	t.Parallel()
	routes := table(t)
	for target, want := range map[string]string{
		"/": "/", "/x": "/", "/administrator": "/", "/payment": "/", "/pay/x": "/",
		"/admin": "/admin/", "/admin/": "/admin/", "/admin/x/y": "/admin/", "/admin/opener": "/admin/",
		"/admin/open": "/admin/open/", "/admin/open/x": "/admin/open/", "/pay": "/pay", "/pay/": "/pay",
		"/Case/x": "/Case/", "/shop/ä/x": "/shop/ä/", "/deep/a/b/c/d": "/deep/a/b/c/d", "/deep/a/b/c/d/e": "/",
		// Who does not tell letters by case would take another route.
		"/ADMIN": "", "/Admin/x": "", "/PAY": "", "/case/x": "", "/shop/Ä/x": "", "/admin/OPEN/x": "",
		"/\uff41dmin/x": "", "/adm\u0131n/x": "/", // a dotless i folds to nothing else
	} {
		path, err := canonical((&url.URL{Path: target}).EscapedPath())
		if err != nil {
			t.Fatal(target, err)
		}
		got := ""
		if found := routes.find(path); len(found) > 0 {
			got = found[0].Path
		}
		if got != want {
			t.Errorf("%s takes %q, want %q", target, got, want)
		}
	}
}

func TestAMethodNeverFallsThroughToAShorterPath(t *testing.T) {
	t.Parallel()
	routes, err := openRoutes(&Config{Routes: []Route{
		{Path: "/"}, {Path: "/seats/", Methods: []string{"GET"}}, {Path: "/seats/", Methods: []string{"PUT", "DELETE"}},
	}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, allowed := pick(routes.find("/seats/1"), "POST"); r != nil || allowed != "DELETE, GET, PUT" {
		t.Errorf("POST takes %v, allowed %q", r, allowed)
	}
	if r, _ := pick(routes.find("/seats/1"), "DELETE"); r == nil || len(r.Methods) != 2 {
		t.Errorf("DELETE takes %v", r)
	}
}

func TestAPathOfManySegmentsCostsNoMoreThanItsLength(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("/a", 4000)
	routes := table(t)
	if cut := upto(long, routes.deepest); strings.Count(cut, "/") != routes.deepest {
		t.Errorf("%d segments are searched, want %d", strings.Count(cut, "/"), routes.deepest)
	}
}

// FuzzNoReadingTakesAnotherRoute looks for a target that is accepted and that a server could read so that it takes
// another route than here.
func FuzzNoReadingTakesAnotherRoute(f *testing.F) {
	for _, seed := range []string{
		"/", "/admin", "/seats/../admin", "/%61dmin/x", "/admin/open/%2e%2e/x", "/a%2fb", "/A;b", "/a%25", "/pay?x=/admin",
		"//admin", "/ſ", "/\u212aey", "/%EF%BD%81dmin", "/a+b", "/..%00/", "/deep/a/b/c/d/", `/\admin`,
	} {
		f.Add(seed)
	}
	routes := table(f)
	f.Fuzz(func(t *testing.T, target string) {
		read, err := canonical(target)
		if err != nil {
			return
		}
		found := routes.find(read)
		if len(found) == 0 {
			return
		}
		sent := (&url.URL{Path: read}).EscapedPath()
		if len(sent) > maxTarget {
			return // it has grown by its escapes; another edge would refuse it
		}
		if again, err := canonical(sent); err != nil || again != read {
			t.Fatalf("%q is read as %q, sent on as %q, and read there as %q, %v", target, read, sent, again, err)
		}
		for name, other := range readings(sent, target) {
			strict := routes.longest(routes.exact, routes.below, other)
			if len(strict) == 0 || strict[0] != found[0] {
				t.Errorf("%s reads %q as %q: it takes %q there, and %q here", name, sent, other, pathOf(strict), found[0].Path)
			}
		}
	})
}

// readings are what servers make of a target.
func readings(sent, target string) map[string]string {
	all := map[string]string{"raw": strings.SplitN(sent, "?", 2)[0]}
	if _, err := url.PathUnescape(all["raw"]); err == nil && strings.Contains(all["raw"], "%") {
		delete(all, "raw") // a server that does not decode at all finds no route with such a path
	}
	add := func(name, p string) { all[name] = p }
	if u, err := url.ParseRequestURI(target); err == nil {
		add("net/url", u.Path)
		add("net/url and path.Clean", path.Clean(u.Path))
	}
	once, err := url.PathUnescape(sent)
	if err != nil {
		once = sent
	}
	add("decoded once", once)
	if twice, err := url.PathUnescape(once); err == nil {
		add("decoded twice", twice)
		add("decoded twice and cleaned", path.Clean(twice))
	}
	add("nginx", nginx(once))
	add("backslashes as slashes", path.Clean(strings.ReplaceAll(once, `\`, "/")))
	add("cut at a semicolon", strings.SplitN(once, ";", 2)[0])
	add("cut at NUL", strings.SplitN(once, "\x00", 2)[0])
	add("split again", strings.SplitN(strings.SplitN(once, "?", 2)[0], "#", 2)[0])
	add("trimmed", strings.TrimSpace(once))
	add("segments trimmed", trimmed(once))
	return all
}

// nginx merges slashes and resolves dots after decoding.
func nginx(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	if clean := path.Clean(p); clean != "/" && strings.HasSuffix(p, "/") {
		return clean + "/"
	}
	return path.Clean(p)
}

// trimmed does what Windows does to names.
func trimmed(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = strings.TrimRight(parts[i], ". ")
	}
	return path.Clean(strings.Join(parts, "/"))
}

func pathOf(found []*route) string {
	if len(found) == 0 {
		return ""
	}
	return found[0].Path
}
