// SPDX-License-Identifier: Apache-2.0

// Handlers beside the server's own, the place of a write in its answer, and the memory that requests may take.

package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/server"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

func TestAHandlerIsServedBesideTheServer(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	says := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	if err := n.Mount("GET /extra/", says); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "GET", "GET /extra/", "GET /extra/{"} {
		if err := n.Mount(bad, says); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("mounting %q: %v, want invalid", bad, err)
		}
	}
	if err := n.Mount("GET /nothing", nil); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("mounting nil: %v, want invalid", err)
	}
	for _, c := range []struct {
		name   string
		header [2]string
		want   int
	}{
		{"from this machine", [2]string{"Accept", "*/*"}, http.StatusOK},
		{"through a proxy", [2]string{"X-Forwarded-For", "192.0.2.1"}, http.StatusForbidden},
		{"from a page elsewhere", [2]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/extra/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(c.header[0], c.header[1])
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil || res.Body.Close() != nil || res.StatusCode != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, res.StatusCode, text, c.want)
		}
	}
}

func TestAWriteSaysWhereItStands(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	for _, c := range []struct{ call, body, want string }{
		{"Append", `{"appends":[{"stream":"a-1","events":[{"type":"x"},{"type":"y"}]}]}`, ":2"},
		{"AppendMany", `{"units":[{"appends":[{"stream":"a-2","events":[{"type":"x"}]}]}]}`, ":3"},
		{"Append", `{"appends":[{"stream":"a-1","expect":"1","events":[{"type":"x"}]}]}`, ""},
		{"Append", `{"appends":[{"stream":"a-1","expect":"any"}]}`, ""},
	} {
		res, err := http.Post(n.url+"/vidimus.v1.JournalService/"+c.call, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		head, err := n.log.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		log, _, _ := strings.Cut(head.String(), ":")
		want := ""
		if c.want != "" {
			want = log + c.want
		}
		if got := res.Header.Get("Vidimus-Position"); got != want {
			t.Errorf("%s %s: position %q, want %q", c.call, c.body, got, want)
		}
	}
}

// TestRequestsShareTheirMemory holds one request open that has sent most of what there is for all, and sends others.
func TestRequestsShareTheirMemory(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{RequestBytes: 17 << 20})
	secret := n.token(t, "admin")
	// What is written to the slow request has to be read before the others are sent, and no network between them keeps it.
	unbuffered := n.inProcess(t)
	send := func(client *http.Client, body io.Reader, encoding string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			n.url+vidimusv1connect.JournalServiceAppendProcedure, body)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("Content-Type", "application/json")
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		return client.Do(r)
	}
	said := func(client *http.Client, body io.Reader, encoding string) string {
		res, err := send(client, body, encoding)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	packed := zipped(t, `{"appends":[{"stream":"p-1","events":[{"type":"x"}]}]}`)
	slow, rest := io.Pipe()
	ended := make(chan string, 1)
	go func() { ended <- said(unbuffered, slow, "") }()
	part := bytes.Repeat([]byte(" "), 1<<20)
	for range 10 {
		if _, err := rest.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	large := bytes.NewReader(bytes.Repeat([]byte(" "), 12<<20))
	for _, c := range []struct {
		name, encoding string
		body           io.Reader
		refused        bool
	}{
		{"a small one", "", strings.NewReader(`{"appends":[{"stream":"s-1","events":[{"type":"x"}]}]}`), false},
		{"a large one", "", large, true},
		{"a small one that may unpack to a large one", "gzip", bytes.NewReader(packed), true},
	} {
		if got := said(http.DefaultClient, c.body, c.encoding); strings.Contains(got, `"LIMIT"`) != c.refused &&
			strings.Contains(got, "resource_exhausted") != c.refused {
			t.Errorf("beside a request of 10 MiB %s is answered %.300s; refused should be %t", c.name, got, c.refused)
		}
	}
	_, err := io.WriteString(rest, `{"appends":[{"stream":"l-1","events":[{"type":"x"}]}]}`)
	if err != nil || rest.Close() != nil {
		t.Fatal(err)
	}
	if got := <-ended; !strings.Contains(got, "position") {
		t.Errorf("the slow one is answered %.300s, want a position", got)
	}
	if got := said(http.DefaultClient, bytes.NewReader(packed), "gzip"); !strings.Contains(got, "position") {
		t.Errorf("when it is done, a packed one is answered %.300s, want a position", got)
	}
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// inProcess returns a client whose connections to the node hold nothing back: what is written has been read.
func (n *node) inProcess(t *testing.T) *http.Client {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx, l) }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		l.conns <- near{there}
		return here, nil
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve returned %v, want nil", err)
		}
	})
	return &http.Client{Transport: transport}
}
