// SPDX-License-Identifier: Apache-2.0

// What reading a cookie costs, good and bad, side by side.

package legacy

import (
	"net/http"
	"strings"
	"testing"
)

func BenchmarkRead(b *testing.B) {
	const name = "__Secure-authjs.session-token"
	authJS := Cookie{Name: name, Format: AuthJS, Keys: []Key{{Secret: []byte(secret)}}}
	nextAuth := Cookie{Name: "n", Format: NextAuth, Keys: []Key{{Secret: []byte(secret)}}}
	four := nextAuth
	four.Keys = []Key{{Secret: []byte("1")}, {Secret: []byte("2")}, {Secret: []byte("3")}, {Secret: []byte("4")}}
	seal := Cookie{Name: "s", Format: Iron, Keys: []Key{{Secret: []byte(password)}}}
	kw := Cookie{Name: "k", Format: JoseKW, Keys: []Key{{Secret: fill(32, "kek")}}}
	token := encrypt(headerOf(encGCM), "", encGCM, nextAuthKey(secret), claims())
	forgedSeal := sealIron("1", "x"+password, inAnHour(), claims())
	cek := fill(32, "cek")
	wrapped := encrypt(`{"alg":"A256KW","enc":"A256GCM"}`, b64(wrapKey(fill(32, "kek"), cek)), encGCM, cek, claims())
	zip := encrypt(headerOf(encGCM, `"zip":"DEF"`), "", encGCM, nextAuthKey(secret), fill(1000, "b"))
	longest := encrypt(headerOf(encGCM), "", encGCM, fill(32, "x"), fill(MaxSize*3/4-200, "y"))
	for _, c := range []struct {
		name string
		of   Cookie
		req  *http.Request
	}{
		{"authjs", authJS, request(name, authJSToken(name, encCBC))},
		{"next-auth", nextAuth, request("n", token)},
		{"a256kw", kw, request("k", wrapped)},
		{"iron", seal, request("s", sealIron("1", password, inAnHour(), claims()))},
		{"bad/garbage", nextAuth, request("n", strings.Repeat("x", 1000))},
		{"bad/zip", nextAuth, request("n", zip)},
		{"bad/four-keys", four, request("n", token)},
		{"bad/seal", seal, request("s", forgedSeal)},
		{"bad/longest", four, request("n", longest)},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := mustReader(b, c.of)
			b.ReportAllocs()
			for b.Loop() {
				r.Read(c.req)
			}
		})
	}
}
