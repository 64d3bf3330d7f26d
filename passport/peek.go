// SPDX-License-Identifier: Apache-2.0

// Claims of a passport that needs no proof.

package passport

import "encoding/base64"

// Peek returns what a passport says without finding out whether that is true: neither its signature nor its times are
// looked at. It is for who has just been given the passport by the authority itself; everybody else wants a
// [Verifier]. It returns an [InvalidError] for what is no passport.
func Peek(token string) (Claims, error) {
	head := head(token)
	id := kid(head)
	point := len(token) - signatureText - 1
	if id == "" || point < len(head) {
		return Claims{}, &InvalidError{"token", "is no passport of at most 8 kB in compact form"}
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(token[len(head):point])
	if err != nil {
		return Claims{}, &InvalidError{"payload", "is not in canonical base64url"}
	}
	r, bad := parse(payload)
	if bad != nil {
		return Claims{}, bad
	}
	if r.methods != nil {
		r.AMR = methods(r.methods)
	}
	r.KeyID = id
	return r.Claims, nil
}
