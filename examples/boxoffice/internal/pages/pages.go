// SPDX-License-Identifier: Apache-2.0

// Package pages holds what browsers are shown: templates, one style sheet, one script.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed templates
var templates embed.FS

//go:embed assets
var assets embed.FS

// policy lets a page use what this origin serves, and nothing else: no inline script, no inline style, no frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Pages renders pages. Goroutines may share it.
type Pages struct {
	templates *template.Template
	version   string // of the assets, so that browsers never mix old and new
}

// Page is one page to show.
type Page struct {
	Name  string // of the template: "shop", "live" or "signin"
	Title string
	Who   string // who is signed in, or empty
	Data  any    // what the template needs besides
}

// view is what the templates see.
type view struct {
	Page, Title, Who, Version string
	Data                      any
}

// Open parses the templates. It fails only when they do not parse.
func Open() (*Pages, error) {
	t, err := template.ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	err = fs.WalkDir(assets, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assets.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
		return err
	})
	return &Pages{templates: t, version: hex.EncodeToString(sum.Sum(nil)[:6])}, err
}

// Write answers with a page. A template that fails is answered with status 500 and nothing of the page.
func (p *Pages) Write(w http.ResponseWriter, status int, page Page) {
	Protect(w.Header())
	var body bytes.Buffer
	v := view{Page: page.Name, Title: page.Title, Who: page.Who, Version: p.version, Data: page.Data}
	if err := p.templates.ExecuteTemplate(&body, page.Name, v); err != nil {
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // nobody is left to tell
}

// Protect sets the headers that keep a page to what this origin serves.
func Protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
}

// Assets serves the files below /assets/. Browsers may keep them for a year: their addresses carry a version.
func (p *Pages) Assets() http.Handler {
	files := http.FileServerFS(assets)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") || path.Ext(r.URL.Path) == "" {
			http.NotFound(w, r) // no listings
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.URL.RawQuery == p.version {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		files.ServeHTTP(w, r)
	})
}
