// SPDX-License-Identifier: Apache-2.0

// What is known of a request from its transport.

package door

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"example.com/vidimus/internal/clock"
)

// Times within which a peer must do its part.
const (
	bodyTimeout = 30 * time.Second
	sendTimeout = 30 * time.Second
	callTimeout = 90 * time.Second
)

// call is what is known of a request from its transport.
type call struct {
	control *http.ResponseController
	// open: without a token, the caller may do everything.
	open bool
	body *body
	// leave gives back what the call took of a limit; nil when it took nothing.
	leave func()
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// received ends the time limit for reading the request.
func (c *call) received() {
	_ = c.control.SetReadDeadline(time.Time{}) // a transport without deadlines has none to end
}

// sending limits the time for what is sent next, until the returned function is called.
func (c *call) sending() (sent func()) {
	_ = c.control.SetWriteDeadline(clock.Now().Add(sendTimeout)) // a transport without deadlines bounds itself
	return func() { _ = c.control.SetWriteDeadline(time.Time{}) }
}

// Admit looks at a request before anything else does. It returns the request to go on with and what to call when it is
// done, or an error that is fit to be told. A request that another door has admitted is as open as that one found it.
func (d *Door) Admit(w http.ResponseWriter, r *http.Request) (*http.Request, func(), error) {
	c := &call{control: http.NewResponseController(w), open: d.config.Open}
	if outer := callOf(r.Context()); outer != nil {
		c.open = outer.open
	} else if c.open {
		if err := direct(r); err != nil {
			return nil, nil, err
		}
	}
	if err := d.origin.Check(r); err != nil {
		return nil, nil, fmt.Errorf("refused: a page of another site sent this request (%w)", err)
	}
	_ = c.control.SetReadDeadline(clock.Now().Add(bodyTimeout))
	_ = c.control.SetWriteDeadline(time.Time{})
	admitted := r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.body = &body{ReadCloser: r.Body, ration: &d.bytes}
	admitted.Body = c.body
	return admitted, func() {
		c.body.done()
		if c.leave != nil {
			c.leave()
		}
	}, nil
}

// direct makes sure that a request to an open server came from a program on this machine, not through a proxy and not
// from a page in a browser, whose requests can be made to look local by a name that points to 127.0.0.1.
func direct(r *http.Request) error {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if addr == nil || !Local(addr) {
		return errors.New("refused: without tokens this node serves its own machine alone; create a token and " +
			"start it with authentication")
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return fmt.Errorf("refused: the request came through a proxy (%s), and without tokens this node cannot tell "+
				"who sent it; create a token and start it with authentication", header)
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errors.New("refused: a page of another site sent this request")
	}
	if addr.Network() == "unix" || loopbackName(r.Host) {
		return nil
	}
	return fmt.Errorf("refused: the request names the host %q; without tokens use localhost or 127.0.0.1", r.Host)
}

// loopbackName reports whether the host of a request, with or without a port, is this machine by its own name.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// Local reports whether an address can be reached from this machine alone.
func Local(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
