// SPDX-License-Identifier: Apache-2.0

// Bodies that arrive slowly.

package edge

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.com/vidimus/passport"
)

// deadlines is a connection that notes until when is read.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// SetWriteDeadline notes until when is written.
func (d *deadlines) SetWriteDeadline(t time.Time) error { return d.SetReadDeadline(t) }

func TestAClientThatStopsReadingIsBounded(t *testing.T) {
	t.Parallel()
	e, err := Open(Config{Authority: noAuthority{}, Routes: []Route{{
		Path: "/", Public: true, Upstream: "http://service.example",
	}}, Transport: says("hello")})
	if err != nil {
		t.Fatal(err)
	}
	for major, want := range map[int]int{1: 2, 2: 0} {
		d := &deadlines{ResponseWriter: httptest.NewRecorder()}
		r := httptest.NewRequest("GET", "/", nil)
		r.ProtoMajor = major
		e.ServeHTTP(d, r)
		switch {
		case len(d.set) != want:
			t.Errorf("in HTTP/%d, the deadlines are %v, want %d", major, d.set, want)
		case want > 0 && (time.Until(d.set[0]) > bodyIdle || time.Until(d.set[0]) < bodyIdle/2 || !d.set[1].IsZero()):
			t.Errorf("in HTTP/%d, the deadlines are %v, want one of %v, and then none", major, d.set, bodyIdle)
		}
	}
}

// says is a service that says one thing.
type says string

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, Header: http.Header{}, ContentLength: int64(len(s)),
		Body: io.NopCloser(strings.NewReader(string(s))),
	}, nil
}

// noAuthority is never asked.
type noAuthority struct{ passport.Authority }

func TestASilentSenderIsBoundedAndASlowServiceIsNot(t *testing.T) {
	t.Parallel()
	d := &deadlines{ResponseWriter: httptest.NewRecorder()}
	body := io.NopCloser(iotest.OneByteReader(strings.NewReader("body")))
	p := &patient{ReadCloser: body, control: http.NewResponseController(d), ctx: t.Context()}
	if got, err := io.ReadAll(p); err != nil || string(got) != "body" {
		t.Fatalf("got %q, %v", got, err)
	}
	if len(d.set) != 2 || time.Until(d.set[0]) > bodyIdle || time.Until(d.set[0]) < bodyIdle/2 {
		t.Fatalf("the deadlines are %v", d.set)
	}
	if !d.set[1].IsZero() {
		t.Errorf("after the body, the connection ends at %v: with it would end an answer that takes long", d.set[1])
	}
	p.ReadCloser = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, errBody) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that breaks off is %v", err)
	}
}
