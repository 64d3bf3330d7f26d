// SPDX-License-Identifier: Apache-2.0

// Cookies of a request: whole or in chunks, and how a browser is told to delete them.

package legacy

import (
	"net/http"
	"strings"
)

// owns reports whether a name is the cookie's, or that of one of its chunks.
func (c *reading) owns(name string) bool {
	rest, ok := strings.CutPrefix(name, c.Name)
	return ok && (rest == "" || chunkNumber(rest) >= 0)
}

// chunkNumber reads ".0" to ".7"; anything else is -1.
func chunkNumber(rest string) int {
	if len(rest) != 2 || rest[0] != '.' || rest[1] < '0' || rest[1] >= '0'+maxChunks {
		return -1
	}
	return int(rest[1] - '0')
}

// collect joins the cookie from those of a request. A name that comes twice, a gap between chunks, or chunks beside a
// whole cookie could be read in two ways, and are refused. [absent] means that there is none.
func (c *reading) collect(brought []*http.Cookie) (string, string) {
	var whole string
	var chunks [maxChunks]string
	for _, cookie := range brought {
		if !c.owns(cookie.Name) || cookie.Value == "" {
			continue
		}
		place := &whole
		if cookie.Name != c.Name {
			place = &chunks[chunkNumber(cookie.Name[len(c.Name):])]
		}
		if *place != "" {
			return "", twice
		}
		if cookie.Quoted {
			return "", malformed
		}
		*place = cookie.Value
	}
	joined := strings.Join(chunks[:], "")
	switch {
	case whole == "" && joined == "":
		return "", absent
	case whole != "" && joined != "":
		return "", twice
	case len(whole)+len(joined) > MaxSize:
		return "", tooLong
	}
	for i := 1; i < len(chunks); i++ {
		if chunks[i] != "" && chunks[i-1] == "" {
			return "", gap
		}
	}
	return whole + joined, ""
}

// owner returns the cookie that a name, or the name of a chunk, belongs to; nil if none does.
func (r *Reader) owner(name string) *reading {
	for i := range r.cookies {
		if r.cookies[i].owns(name) {
			return &r.cookies[i]
		}
	}
	return nil
}

// brought reports whether a request has a legacy cookie, good or bad.
func (r *Reader) brought(req *http.Request) bool {
	for _, cookie := range req.Cookies() {
		if cookie.Value != "" && r.owner(cookie.Name) != nil {
			return true
		}
	}
	return false
}

// deletion is the cookie that makes a browser forget one of this name.
func (c *reading) deletion(name string) *http.Cookie {
	return &http.Cookie{
		Name: name, Path: c.Path, Domain: c.Domain, MaxAge: -1,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		// Browsers ignore what sets a prefixed cookie without it.
		Secure: strings.HasPrefix(name, "__Secure-") || strings.HasPrefix(name, "__Host-"),
	}
}
