// SPDX-License-Identifier: Apache-2.0

// Claims from JSON: known claims of the right type, once each.

package passport

import (
	"time"
	"unicode/utf8"
)

// read is what a payload says, before anyone believes it.
type read struct {
	Claims
	issued, expires, notBefore int64  // seconds
	methods                    []byte // amr as it stands
}

// The claims of a passport, as bits.
const (
	hasIss = 1 << iota
	hasAud
	hasIat
	hasExp
	hasTxn
	hasSub
	hasScope
	hasReqWl
	hasVid
	required = 1<<iota - 1
)

// parse reads a payload. What it returns aliases the payload, which must not be written to again.
func parse(payload []byte) (r read, err *InvalidError) {
	if !utf8.Valid(payload) {
		return r, &InvalidError{"payload", "is not valid UTF-8"}
	}
	s := scanner{text: payload}
	var seen names
	var has int
	claim := ""
	s.begin('{')
	for n := 0; s.more(n, '}'); n++ {
		name := s.name()
		seen.add(&s, n)
		if s.problem != "" {
			break
		}
		known, bit := r.claim(&s, name)
		if s.problem != "" {
			claim = known
		}
		has |= bit
	}
	if s.peek(); s.problem == "" && s.at < len(payload) {
		s.fail("goes on after its end")
	}
	switch {
	case s.problem != "" && claim != "":
		return r, &InvalidError{claim, s.problem}
	case s.problem != "":
		return r, &InvalidError{"payload", s.problem}
	case has&required != required:
		return r, &InvalidError{missing(has), "is missing"}
	}
	r.IssuedAt, r.ExpiresAt = time.Unix(r.issued, 0).UTC(), time.Unix(r.expires, 0).UTC()
	return r, nil
}

// claim reads the value of one claim. It returns the claim's name if it is a known one, and its bit if it is
// required.
func (r *read) claim(s *scanner, name []byte) (string, int) {
	switch string(name) {
	case "iss":
		r.Issuer = s.string()
		return "iss", hasIss
	case "aud":
		r.Audience = s.string()
		return "aud", hasAud
	case "iat":
		r.issued = s.integer()
		return "iat", hasIat
	case "exp":
		r.expires = s.integer()
		return "exp", hasExp
	case "txn":
		r.Txn = s.string()
		return "txn", hasTxn
	case "sub":
		r.Subject = s.string()
		return "sub", hasSub
	case "scope":
		r.Scope = s.string()
		return "scope", hasScope
	case "req_wl":
		r.Workload = s.string()
		return "req_wl", hasReqWl
	case "vid":
		return r.vid(s), hasVid
	}
	return r.optional(s, name), 0
}

// optional reads the value of a claim that need not be there.
func (r *read) optional(s *scanner, name []byte) string {
	switch string(name) {
	case "sid":
		r.Session = s.string()
		return "sid"
	case "tctx":
		r.State = s.raw()
		return "tctx"
	case "rctx":
		r.Request = s.raw()
		return "rctx"
	case "acr":
		r.ACR = s.string()
		return "acr"
	case "amr":
		r.methods = s.strings()
		return "amr"
	case "auth_time":
		r.AuthTime = time.Unix(s.integer(), 0).UTC()
		return "auth_time"
	case "nbf":
		r.notBefore = s.integer()
		return "nbf"
	}
	s.skip(1)
	return ""
}

// vid reads the claim vid.
func (r *read) vid(s *scanner) (claim string) {
	const hasLog, hasEpoch, hasPosition, hasAsOf, all = 1, 2, 4, 8, 15
	var seen names
	has := 0
	s.begin('{')
	for n := 0; s.more(n, '}'); n++ {
		name := s.name()
		seen.add(s, n)
		switch string(name) {
		case "log":
			r.Log, has = s.string(), has|hasLog
		case "ep":
			r.Epoch, has = s.integer(), has|hasEpoch
		case "pos":
			r.Position, has = s.integer(), has|hasPosition
		case "asof":
			r.AsOf, has = time.UnixMilli(s.integer()).UTC(), has|hasAsOf
		case "ver":
			r.Version = s.integer()
		case "sver":
			r.SubjectVersion = s.integer()
		case "sch":
			r.Schema = s.string()
		case "ten":
			r.Tenant = s.string()
		default:
			s.skip(2)
		}
	}
	if has != all || !r.Mark.Valid() {
		s.fail("names no place in a log")
	}
	return "vid"
}

// missing names the first required claim that is not there.
func missing(has int) string {
	for i, name := range [...]string{"iss", "aud", "iat", "exp", "txn", "sub", "scope", "req_wl", "vid"} {
		if has&(1<<i) == 0 {
			return name
		}
	}
	return ""
}

// methods reads the texts of amr, which strings has checked.
func methods(raw []byte) []string {
	s := scanner{text: append([]byte(nil), raw...)}
	var list []string
	s.begin('[')
	for n := 0; s.more(n, ']'); n++ {
		list = append(list, s.string())
	}
	return list
}
