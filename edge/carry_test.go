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
