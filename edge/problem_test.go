// SPDX-License-Identifier: Apache-2.0

// What refusals say.

package edge_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/vidimus/edge"
)

func TestRefusalsSayWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	_, e := bubble(t, func(c *edge.Config) { c.Hosts = []string{"shop.example"} })
	for code, c := range map[string]struct {
		status       int
		host, fields string
		detail       string
		remedy       string
	}{
		"no_session":   {401, "shop.example", "", "there is none or it has ended", "Sign in."},
		"cross_origin": {403, "shop.example", "Origin: https://pay.example", "another origin", "--trusted-origin"},
		"two_handles":  {400, "shop.example", "Cookie: __Host-vid=a; __Host-vid=b", "more than once", "sign in again"},
		"host":         {421, "evil.example", "", "not served here", "--host"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Host = c.host
		if name, value, ok := strings.Cut(c.fields, ": "); ok {
			r.Header.Set(name, value)
		}
		v := e.Check(t.Context(), r)
		var got struct {
			Type, Title, Detail, Code, Remedy string
			Status                            int
		}
		if err := json.Unmarshal(v.Body, &got); err != nil {
			t.Fatalf("%s: %q: %v", code, v.Body, err)
		}
		if v.Status != c.status || got.Status != c.status || got.Code != code || got.Type != "about:blank" ||
			got.Title != http.StatusText(c.status) {
			t.Errorf("%s: got %d %s", code, v.Status, v.Body)
		}
		if !strings.Contains(got.Detail, c.detail) || !strings.Contains(got.Remedy, c.remedy) {
			t.Errorf("%s: %s says too little", code, v.Body)
		}
	}
}

func TestTheLogSaysWhereACookieMayBeDeleted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := open(t, func(w http.ResponseWriter, _ *http.Request) { edge.ClearHandle(w) }, func(c *edge.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	s.call(t, "GET", "/sign-in", "").want(t, 200)
	if log.Len() > 0 {
		t.Errorf("where it may, the log says %s", &log)
	}
	s.call(t, "GET", "/sign-out", "").want(t, 200)
	if got := log.String(); !strings.Contains(got, "--sign-in") || !strings.Contains(got, "path=/sign-out") {
		t.Errorf("the log says %q, want the path and the flag", got)
	}
}
