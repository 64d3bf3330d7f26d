// SPDX-License-Identifier: Apache-2.0

// What the pages hold, and what they must not.

package pages

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// all are pages as the box office shows them.
func all() []Page {
	type demo struct{ Name, Password string }
	return []Page{
		{Name: "shop", Title: "Tickets", Who: "Ada <3", Data: map[string]any{"States": []string{"NJ", "PA"}}},
		{Name: "live", Title: "Live"},
		{Name: "signin", Title: "Sign in", Data: map[string]any{
			"Left": true, "Problem": "wrong <b>", "User": `"ada`, "Demo": []demo{{"ada", "x"}},
		}},
	}
}

func TestPagesNeedNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	outside := regexp.MustCompile(`(?i)(src|href|action)="(https?:|//)|<script>|<style|\sstyle="|\son[a-z]+="`)
	for _, page := range all() {
		w := httptest.NewRecorder()
		p.Write(w, http.StatusOK, page)
		body := w.Body.String()
		if found := outside.FindString(body); found != "" {
			t.Errorf("%s holds %q, which the policy forbids", page.Name, found)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s has the policy %q", page.Name, w.Header().Get("Content-Security-Policy"))
		}
		if !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
			t.Errorf("%s ends early: %q", page.Name, body)
		}
		if strings.Contains(body, "<3") || strings.Contains(body, "<b>"+"wrong") || strings.Contains(body, `value=""ada`) {
			t.Errorf("%s shows text as HTML:\n%s", page.Name, body)
		}
	}
}

func TestEveryFieldHasALabel(t *testing.T) {
	t.Parallel()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	field := regexp.MustCompile(`<(?:input|select) id="([^"]*)"`)
	for _, page := range all() {
		w := httptest.NewRecorder()
		p.Write(w, http.StatusOK, page)
		for _, found := range field.FindAllStringSubmatch(w.Body.String(), -1) {
			if !strings.Contains(w.Body.String(), `<label for="`+found[1]+`"`) {
				t.Errorf("%s: %s has no label", page.Name, found[1])
			}
		}
	}
}

// TestPagesThatNeedTheScriptSaySoFirst looks at what is read without it.
func TestPagesThatNeedTheScriptSaySoFirst(t *testing.T) {
	t.Parallel()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all() {
		w := httptest.NewRecorder()
		p.Write(w, http.StatusOK, page)
		_, body, _ := strings.Cut(w.Body.String(), `<main id="main">`)
		if says, needs := strings.HasPrefix(strings.TrimSpace(body), "<noscript>"), page.Name != "signin"; says != needs {
			t.Errorf("%s says first that it needs JavaScript: %v, want %v", page.Name, says, needs)
		}
		if strings.Contains(body, "Nobody has signed in") {
			t.Errorf("%s says who has signed in before it knows", page.Name)
		}
	}
}

// TestScriptFindsItsElements compares the ids that the script looks up with those of the templates.
func TestScriptFindsItsElements(t *testing.T) {
	t.Parallel()
	script, err := assets.ReadFile("assets/boxoffice.js")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range []string{"layout", "shop", "live", "signin"} {
		data, err := templates.ReadFile("templates/" + name + ".html")
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	looked := regexp.MustCompile(`\$\("([^"]*)"\)`).FindAllStringSubmatch(string(script), -1)
	if len(looked) < 20 {
		t.Fatalf("the script looks up %d elements: the test no longer sees how", len(looked))
	}
	for _, id := range looked {
		if !strings.Contains(text.String(), `id="`+id[1]+`"`) {
			t.Errorf("the script looks for %s, which no template has", id[1])
		}
	}
	if strings.Contains(string(script), "innerHTML") {
		t.Error("the script writes HTML: build elements")
	}
}

func TestAssetsAreServedOneByOne(t *testing.T) {
	t.Parallel()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p.Assets())
	t.Cleanup(server.Close)
	for _, c := range []struct {
		path   string
		status int
		kind   string
		kept   bool
	}{
		{"/assets/style.css", 200, "text/css", false},
		{"/assets/style.css?" + p.version, 200, "text/css", true},
		{"/assets/boxoffice.js?" + p.version, 200, "javascript", true},
		{"/assets/icon.svg", 200, "image/svg+xml", false},
		{"/assets/", 404, "", false},
		{"/assets", 404, "", false},
		{"/assets/none.css", 404, "", false},
		{"/assets/../templates/shop.html", 404, "", false},
	} {
		res, err := http.Get(server.URL + c.path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		kept := strings.Contains(res.Header.Get("Cache-Control"), "immutable")
		if res.StatusCode != c.status || !strings.Contains(res.Header.Get("Content-Type"), c.kind) || kept != c.kept {
			t.Errorf("%s: %d %s %s", c.path, res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("Cache-Control"))
		}
	}
}
