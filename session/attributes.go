// SPDX-License-Identifier: Apache-2.0

// Checking input: attributes by the public schema, names by their form, and everything by its size, so that a passport
// can be minted of whatever was accepted.

package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// Limits of what a passport carries beside the state, in bytes of JSON.
const (
	maxTenant   = 64
	maxSubject  = 128
	maxScopes   = 256 // all of them, with a space between
	maxWorkload = 64
	maxAskedTxn = 64
	maxTxn      = maxAskedTxn + 1 + sidSize // see txnOf
	maxRequest  = 256
	maxACR      = 32
	maxAMR      = 64 // all of them, with quotes and commas
	// Not in passports:
	maxDevice = 256
	maxBy     = 128
	maxReason = 512
)

// kindOf returns the JSON type of a value, by its first byte.
func kindOf(value json.RawMessage) string {
	switch value[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

func (p *Public) validate() error {
	for part, attributes := range map[string]map[string]Attribute{"Subject": p.Subject, "Session": p.Session} {
		field := "Config.Public." + part
		if n := len(attributes); n > MaxAttributes {
			return &journal.InvalidError{Field: field, Problem: fmt.Sprintf(
				"has %d attributes: %d are the limit", n, MaxAttributes)}
		}
		for _, name := range slices.Sorted(maps.Keys(attributes)) {
			kinds := []string{"", "string", "number", "boolean", "object", "array"}
			switch {
			case !isWord(name):
				return &journal.InvalidError{Field: field, Problem: fmt.Sprintf("names %q: use letters, digits and \"._-\"", name)}
			case !slices.Contains(kinds, attributes[name].Type):
				return &journal.InvalidError{Field: field + "." + name + ".Type", Problem: fmt.Sprintf(
					"is %q: give one of %s, or none for any", attributes[name].Type, strings.Join(kinds[1:], ", "))}
			}
		}
	}
	return nil
}

// accept returns attributes in compact form, or says which is not declared, or of another type.
func accept(field string, declared map[string]Attribute, state State) (State, error) {
	if state == nil {
		return nil, nil
	}
	compact := make(State, len(state))
	for _, name := range slices.Sorted(maps.Keys(state)) {
		at := field + "." + name
		want, ok := declared[name]
		if !ok {
			return nil, &journal.InvalidError{Field: at, Problem: "is not in the public schema: declare it there, or keep " +
				"it where it does not travel"}
		}
		var text bytes.Buffer
		if err := json.Compact(&text, state[name]); err != nil || text.Len() == 0 || !utf8.Valid(state[name]) {
			return nil, &journal.InvalidError{Field: at, Problem: "is not JSON in UTF-8"}
		}
		value := json.RawMessage(text.Bytes())
		if got := kindOf(value); want.Type != "" && got != want.Type || got == "null" {
			return nil, &journal.InvalidError{Field: at, Problem: fmt.Sprintf("is of the type %s, the public schema wants %s",
				got, orAny(want.Type))}
		}
		compact[name] = value
	}
	return compact, nil
}

func orAny(kind string) string {
	if kind == "" {
		return "any but null; to remove it, unset it"
	}
	return kind
}

// only returns what is declared of a state that was accepted under this schema or an earlier one.
func only(declared map[string]Attribute, state State) State {
	private := func(name string, value json.RawMessage) bool {
		want, ok := declared[name]
		return !ok || want.Type != "" && want.Type != kindOf(value)
	}
	for name, value := range state {
		if private(name, value) {
			public := maps.Clone(state)
			maps.DeleteFunc(public, private)
			return public
		}
	}
	return state
}

// fits makes sure that a passport with these states can be minted, whatever else stands in it. Where one is not known,
// give [full]. Field is what to blame.
func (s *Sessions) fits(field string, subject, session State) error {
	for _, state := range []State{subject, session} {
		size, err := json.Marshal(state)
		if err != nil {
			return &journal.InvalidError{Field: field, Problem: err.Error()}
		}
		if len(size) > MaxState {
			return &journal.InvalidError{Field: field, Problem: fmt.Sprintf(
				"makes the state %d bytes of JSON: %d are the limit, keep what services need", len(size), MaxState)}
		}
	}
	c, err := s.largest(subject, session)
	if err != nil {
		return err
	}
	_, err = s.scratch.Sign(&c)
	if refused := (*passport.InvalidError)(nil); errors.As(err, &refused) {
		return &journal.InvalidError{Field: field, Problem: refused.Problem}
	}
	return err
}

// full returns a state that is as large as any.
func full() State {
	return State{"x": json.RawMessage(`"` + strings.Repeat("x", MaxState-len(`{"x":""}`)) + `"`)}
}

// largest returns the claims of a passport that is as large as any.
func (s *Sessions) largest(subject, session State) (passport.Claims, error) {
	state, err := stateOf(subject, session)
	long := func(n int) string { return strings.Repeat("x", n) }
	now := time.Unix(1<<33, 0)
	return passport.Claims{
		Issuer: s.cfg.Issuer, Audience: s.cfg.TrustDomain, IssuedAt: now, ExpiresAt: now.Add(time.Second),
		Txn: long(maxTxn), Subject: long(maxSubject), Scope: long(maxScopes), Workload: long(maxWorkload), Session: long(22),
		State: state, Request: json.RawMessage(`{"x":"` + long(maxRequest-len(`{"x":""}`)) + `"}`),
		ACR: long(maxACR), AMR: []string{long(maxAMR - len(`[""]`))}, AuthTime: now,
		Mark:   passport.Mark{Log: long(16), Epoch: 1 << 30, Position: 1 << 52},
		Tenant: long(maxTenant), Version: entityMax, SubjectVersion: entityMax, AsOf: now, Schema: s.cfg.Schema,
	}, err
}

const entityMax = 1 << 20

// stateOf returns the claim tctx.
func stateOf(subject, session State) (json.RawMessage, error) {
	if subject == nil {
		subject = State{}
	}
	if session == nil {
		session = State{}
	}
	return json.Marshal(struct {
		Subject State `json:"subject"`
		Session State `json:"session"`
	}{subject, session})
}

// text checks a name or a word: it has at most so many bytes of JSON, is printable, and is there if it must be.
func text(field, value string, most int, must bool) error {
	switch {
	case value == "" && must:
		return &journal.InvalidError{Field: field, Problem: "is missing"}
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return &journal.InvalidError{Field: field, Problem: "has control characters, or is not UTF-8"}
	case len(value)+strings.Count(value, `"`)+strings.Count(value, `\`) > most:
		return &journal.InvalidError{Field: field, Problem: fmt.Sprintf("has %d bytes: %d are the limit", len(value), most)}
	}
	return nil
}

// Clean returns the device as a session keeps it. It is for people to read, and what a client says of itself is no
// reason to refuse anybody: control characters become spaces, what is not UTF-8 is left out, and each text is cut
// behind 256 bytes of JSON at most.
func (d Device) Clean() Device {
	return Device{legible(d.Name, maxDevice), legible(d.UserAgent, maxDevice), legible(d.Address, maxDevice)}
}

// legible returns as much of a text as passes the check of text.
func legible(value string, most int) string {
	var b strings.Builder
	size := 0
	for _, r := range strings.ToValidUTF8(value[:min(len(value), 4*most)], "") {
		if unicode.IsControl(r) {
			r = ' '
		}
		if size += utf8.RuneLen(r); r == '"' || r == '\\' {
			size++
		}
		if size > most {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// validScopes checks names of scopes, as RFC 6749 section 3.3 has them.
func validScopes(field string, scopes []string) error {
	for i, scope := range scopes {
		at := fmt.Sprintf("%s[%d]", field, i)
		if err := text(at, scope, maxScopes, true); err != nil {
			return err
		}
		if strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return &journal.InvalidError{Field: at, Problem: "has a character that a scope may not have (RFC 6749, section 3.3)"}
		}
	}
	if n := len(strings.Join(scopes, " ")); n > maxScopes {
		return &journal.InvalidError{Field: field, Problem: fmt.Sprintf(
			"have %d bytes together: %d are the limit", n, maxScopes)}
	}
	return nil
}

// validMethods checks how somebody was recognised.
func validMethods(prefix, acr string, amr []string) error {
	if err := text(prefix+"ACR", acr, maxACR, false); err != nil {
		return err
	}
	list, err := json.Marshal(amr)
	if err != nil || len(list) > maxAMR || len(amr) > 8 {
		return &journal.InvalidError{Field: prefix + "AMR", Problem: fmt.Sprintf(
			"has %d entries and %d bytes of JSON: 8 and %d are the limits", len(amr), len(list), maxAMR)}
	}
	for i, method := range amr {
		if err := text(fmt.Sprintf("%sAMR[%d]", prefix, i), method, maxAMR, true); err != nil {
			return err
		}
	}
	return nil
}

// recognised checks when somebody was recognised, and returns it as sessions keep it; now for the zero time.
func recognised(field string, at, now time.Time) (time.Time, error) {
	if at.IsZero() {
		at = now
	}
	if at.After(now.Add(time.Minute)) || at.Before(time.Unix(0, 0)) {
		return at, &journal.InvalidError{Field: field, Problem: "is not in the past"}
	}
	return second(at), nil
}

// validExpect checks what a command was decided on.
func validExpect(field string, e journal.Expect) error {
	if e < journal.Exists {
		return &journal.InvalidError{Field: field, Problem: "is no version: give journal.Any for any"}
	}
	return nil
}
