// SPDX-License-Identifier: Apache-2.0

// Refusals, and how they are said (RFC 9457).

package edge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// refusal is an answer of the edge instead of the service's.
type refusal struct {
	status int
	code   string // for programs; never changes
	detail string // for people: what was wrong, and what would be right
	retry  time.Duration
	header [2]string // one more field, such as Allow
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, detail: fmt.Sprintf(format, args...)}
}

// after says when to try again.
func (f *refusal) after(d time.Duration) *refusal {
	f.retry = d
	return f
}

// with adds a header field.
func (f *refusal) with(name, value string) *refusal {
	f.header = [2]string{name, value}
	return f
}

// fill writes the refusal's headers, and returns its body.
func (f *refusal) fill(h http.Header) []byte {
	h.Set("Cache-Control", "no-store")
	if f.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((f.retry+time.Second-1)/time.Second), 10))
	}
	if f.header[0] != "" {
		h.Set(f.header[0], f.header[1])
	}
	if f.status == http.StatusSeeOther {
		return nil
	}
	h.Set("Content-Type", "application/problem+json")
	body, err := json.Marshal(struct { // as passport.Refuse has it
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
		Remedy string `json:"remedy,omitempty"`
	}{"about:blank", http.StatusText(f.status), f.status, f.detail, f.code, f.remedy()})
	if err != nil {
		return nil
	}
	return append(body, '\n')
}

// remedy is what would be right, for refusals whose detail does not say it.
func (f *refusal) remedy() string {
	if f.retry > 0 {
		return "Wait, then try again."
	}
	switch f.code {
	case "no_session":
		return "Sign in."
	case "cross_origin":
		return "Send it from a page of this origin, or have the edge trust the other one (--trusted-origin)."
	case "two_handles":
		return "Delete the cookies of this site, and sign in again."
	case "host":
		return "Ask for a name that the edge is opened with (--host)."
	case "insufficient_scope":
		return "Sign in as somebody who may."
	case "not_trusted":
		return "Open the edge with the proxy's address (--trusted-proxy)."
	case "position":
		return "Send a position that an answer named, or none."
	case "upstream", "timeout":
		return "Try again; if it stays so, see how the service fares."
	}
	return ""
}

// answer writes the refusal as the answer.
func (f *refusal) answer(w http.ResponseWriter) {
	body := f.fill(w.Header())
	w.WriteHeader(f.status)
	_, _ = w.Write(body)
}
