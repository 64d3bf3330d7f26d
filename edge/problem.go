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
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{http.StatusText(f.status), f.status, f.code, f.detail})
	if err != nil {
		return nil
	}
	return append(body, '\n')
}

// answer writes the refusal as the answer.
func (f *refusal) answer(w http.ResponseWriter) {
	body := f.fill(w.Header())
	w.WriteHeader(f.status)
	_, _ = w.Write(body)
}
