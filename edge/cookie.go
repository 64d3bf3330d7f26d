// SPDX-License-Identifier: Apache-2.0

// The cookie that holds a handle, and the cookies that services see.

package edge

import (
	"net/http"
	"strings"

	"example.com/vidimus/passport/header"
)

// CookieName is the name of the session's cookie. Its prefix makes browsers refuse it from other hosts and without
// TLS.
const CookieName = "__Host-vid"

// space is what servers trim from the pairs of a cookie.
const space = " \t\r\n"

// attributes are those of the cookie, always the same.
const attributes = "; Path=/; Secure; HttpOnly; SameSite=Lax"

// SetHandle sets the session's cookie on the answer of a service that signs people in: give it the handle that the
// authority answered with, before the answer is written. It replaces a cookie of this name that the answer already
// sets. It returns an [InvalidError] for what is no handle.
func SetHandle(w http.ResponseWriter, handle string) error {
	if !wellFormed(handle) {
		return invalid("handle", "is none: give what the authority answered with, as it is")
	}
	dropCookies(w.Header(), isOurs)
	w.Header().Add("Set-Cookie", CookieName+"="+handle+attributes)
	return nil
}

// ClearHandle deletes the session's cookie on the answer of a service that signs people out. The session itself is
// ended at the authority: do that first.
func ClearHandle(w http.ResponseWriter) {
	dropCookies(w.Header(), isOurs)
	w.Header().Add("Set-Cookie", CookieName+"="+attributes+"; Max-Age=0")
}

// wellFormed reports whether a value has the form of a handle. Only the authority knows whether it is genuine.
func wellFormed(handle string) bool {
	_, ok := header.HandleCell(handle)
	return ok
}

// cellOf returns the cell of a well-formed handle.
func cellOf(handle string) string {
	cell, _ := header.HandleCell(handle)
	return cell
}

// eachCookie calls yield for each pair of a request's Cookie fields, with the pair as it stands, until yield
// returns false.
func eachCookie(h http.Header, yield func(name, value, pair string) bool) {
	for _, line := range h["Cookie"] {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			pair = strings.Trim(pair, space)
			name, value, _ := strings.Cut(pair, "=")
			if pair != "" && !yield(strings.TrimRight(name, space), strings.TrimLeft(value, space), pair) {
				return
			}
		}
	}
}

// jar is what the cookies of a request say.
type jar struct {
	handle string
	count  int  // of cookies with our name
	old    bool // whether there is a cookie of an older system
	ours   bool // whether there is one that a server could take for ours
}

func openJar(h http.Header, legacy Importer) jar {
	var j jar
	eachCookie(h, func(name, value, _ string) bool {
		if name == CookieName {
			j.handle = value
			j.count++
		}
		j.ours = j.ours || isOurs(name)
		j.old = j.old || legacy != nil && legacy.Knows(name)
		return true
	})
	return j
}

// isOurs reports whether a server could take a cookie for ours.
func isOurs(name string) bool { return strings.EqualFold(name, CookieName) }

// without returns the Cookie field that is left when the cookies that hide reports are taken out.
func without(h http.Header, hide func(name string) bool) string {
	var left []string
	eachCookie(h, func(name, _, pair string) bool {
		if !hide(name) {
			left = append(left, pair)
		}
		return true
	})
	return strings.Join(left, "; ")
}

// dropCookies takes the Set-Cookie fields out whose name is reported, and returns the first value.
func dropCookies(h http.Header, hide func(name string) bool) (value string, found bool) {
	all := h["Set-Cookie"]
	kept := all[:0]
	for _, line := range all {
		pair, _, _ := strings.Cut(line, ";")
		name, v, _ := strings.Cut(pair, "=")
		switch {
		case !hide(strings.Trim(name, space)):
			kept = append(kept, line)
		case !found:
			value, found = strings.Trim(v, space), true
		}
	}
	if len(kept) == 0 {
		h.Del("Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
	return value, found
}
