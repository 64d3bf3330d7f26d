// SPDX-License-Identifier: Apache-2.0

// What is read and what is written.

package answer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/vidimus/examples/boxoffice/internal/answer"
)

func TestBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, want string }{
		{"an object", `{"limit": 5}`, ""},
		{"an unknown field", `{"limits": 5}`, "limits"},
		{"another type", `{"limit": "5"}`, "limit"},
		{"two objects", `{"limit": 5}{"limit": 6}`, "more than one"},
		{"nothing", ``, "EOF"},
		{"too much", `{"limit": 5` + strings.Repeat(" ", answer.MaxBody) + `}`, "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var into struct {
				Limit int `json:"limit"`
			}
			err := answer.Read(httptest.NewRecorder(), httptest.NewRequest("PATCH", "/", strings.NewReader(c.body)), &into)
			p := (*answer.Problem)(nil)
			switch {
			case c.want == "" && (err != nil || into.Limit != 5):
				t.Errorf("got %v, %+v", err, into)
			case c.want != "" && (!errors.As(err, &p) || p.Status != 400 || !strings.Contains(p.Detail, c.want)):
				t.Errorf("got %+v; want %q", err, c.want)
			}
		})
	}
}

func TestErrorsOfOursStayInside(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	answer.Error(w, errors.New("secret path /var/lib"))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	answer.JSON(w, http.StatusOK, func() {})
	if w.Code != http.StatusInternalServerError {
		t.Errorf("a value that JSON does not know is answered %d %s", w.Code, w.Body)
	}
}
