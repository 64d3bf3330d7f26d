// SPDX-License-Identifier: Apache-2.0

// Claims as JSON: required claims are there, and every claim has one spelling.

package passport

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// appendClaims appends claims as JSON, or returns an InvalidError. What it writes, parse reads.
func appendClaims(to []byte, c *Claims) ([]byte, error) {
	state, err := compact("tctx", c.State)
	if err != nil {
		return nil, err
	}
	request, err := compact("rctx", c.Request)
	if err != nil {
		return nil, err
	}
	w := writer{text: append(to, '{')}
	w.required("iss", c.Issuer)
	w.required("aud", c.Audience)
	w.seconds("iat", c.IssuedAt, true)
	w.seconds("exp", c.ExpiresAt, true)
	w.required("txn", c.Txn)
	w.required("sub", c.Subject)
	w.required("scope", c.Scope)
	w.required("req_wl", c.Workload)
	w.optional("sid", c.Session)
	w.raw("tctx", state)
	w.raw("rctx", request)
	w.optional("acr", c.ACR)
	w.list("amr", c.AMR)
	w.seconds("auth_time", c.AuthTime, false)
	w.mark(c)
	w.text = append(w.text, '}')
	if w.err != nil {
		return nil, w.err
	}
	return w.text, checkLimits(c)
}

// checkLimits refuses claims that a verifier would refuse.
func checkLimits(c *Claims) error {
	life := c.ExpiresAt.Unix() - c.IssuedAt.Unix()
	switch {
	case life <= 0:
		return invalid("exp", "is not after iat")
	case life > int64(MaxLife/time.Second):
		return invalid("exp", "is %d s after iat, the limit is %v", life, MaxLife)
	case !isScope(c.Scope):
		return invalid("scope", "must be names separated by one space each (RFC 6749, section 3.3)")
	case !c.Mark.Valid():
		return invalid("vid", "names no place in a log: %q", c.Mark.String())
	}
	return nil
}

// isScope reports whether a text is a scope as RFC 6749, section 3.3 has it.
func isScope(s string) bool {
	if s == "" || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == ' ' && s[i-1] == ' ' {
			return false
		}
	}
	return true
}

// compact returns a JSON object without spaces, or nil for nothing.
func compact(name string, object json.RawMessage) ([]byte, error) {
	if len(object) == 0 {
		return nil, nil
	}
	if len(object) > MaxToken {
		return nil, invalid(name, "has %d bytes, which no passport of at most %d holds", len(object), MaxToken)
	}
	if object[0] != '{' || !utf8.Valid(object) {
		return nil, invalid(name, "is not a JSON object in UTF-8")
	}
	var text bytes.Buffer
	if err := json.Compact(&text, object); err != nil {
		return nil, invalid(name, "is not JSON: %v", err)
	}
	s := scanner{text: text.Bytes()}
	if s.skip(0); s.problem != "" {
		return nil, invalid(name, "%s", s.problem)
	}
	return text.Bytes(), nil
}

// writer appends members to an object. The first error stays.
type writer struct {
	text []byte
	err  error
}

func (w *writer) fail(name, problem string) {
	if w.err == nil {
		w.err = &InvalidError{Field: name, Problem: problem}
	}
}

func (w *writer) name(name string) {
	if w.text[len(w.text)-1] != '{' {
		w.text = append(w.text, ',')
	}
	w.text = append(append(append(w.text, '"'), name...), '"', ':')
}

func (w *writer) required(name, value string) {
	if value == "" {
		w.fail(name, "is missing; a passport cannot do without it")
	}
	w.optional(name, value)
}

func (w *writer) optional(name, value string) {
	if value != "" {
		w.name(name)
		w.string(name, value)
	}
}

func (w *writer) string(name, value string) {
	if !utf8.ValidString(value) {
		w.fail(name, "is not valid UTF-8")
	}
	const hex = "0123456789abcdef"
	w.text = append(w.text, '"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			w.text = append(w.text, '\\', c)
		case c < ' ':
			w.text = append(w.text, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			w.text = append(w.text, c)
		}
	}
	w.text = append(w.text, '"')
}

func (w *writer) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	if len(values) > maxMethods {
		w.fail(name, "has more than "+strconv.Itoa(maxMethods)+" members")
	}
	w.name(name)
	w.text = append(w.text, '[')
	for i, value := range values {
		if i > 0 {
			w.text = append(w.text, ',')
		}
		w.string(name, value)
	}
	w.text = append(w.text, ']')
}

func (w *writer) number(name string, n int64) {
	if n < 0 || n > maxNumber {
		w.fail(name, "is negative, or beyond what JSON keeps exactly (2^53)")
	}
	w.name(name)
	w.text = strconv.AppendInt(w.text, n, 10)
}

func (w *writer) seconds(name string, t time.Time, required bool) {
	switch {
	case !t.IsZero():
		w.number(name, t.Unix())
	case required:
		w.fail(name, "is missing; a passport cannot do without it")
	}
}

func (w *writer) raw(name string, value []byte) {
	if len(value) > 0 {
		w.name(name)
		w.text = append(w.text, value...)
	}
}

// mark writes the claim vid.
func (w *writer) mark(c *Claims) {
	w.name("vid")
	w.text = append(w.text, '{')
	w.required("log", c.Log)
	w.number("ep", c.Epoch)
	w.number("pos", c.Position)
	if c.Version != 0 {
		w.number("ver", c.Version)
	}
	if c.SubjectVersion != 0 {
		w.number("sver", c.SubjectVersion)
	}
	if c.AsOf.IsZero() {
		w.fail("vid.asof", "is missing; read the clock before the state")
	}
	w.number("asof", c.AsOf.UnixMilli())
	w.optional("sch", c.Schema)
	w.optional("ten", c.Tenant)
	w.text = append(w.text, '}')
	if strings.ContainsAny(c.Schema, "\"\\") {
		w.fail("vid.sch", "has a character that needs an escape")
	}
}
