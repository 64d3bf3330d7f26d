// SPDX-License-Identifier: Apache-2.0

// Cookies are read as servers read them, and none is left that one of them could take for ours.

package edge

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzNoHandleReachesAService takes cookies out and reads what is left as net/http does.
func FuzzNoHandleReachesAService(f *testing.F) {
	for _, seed := range []string{
		"__Host-vid=a", "a=1; __Host-vid=a; b=2", " __host-VID = a;x", `x="__Host-vid=a; y"`, ";;=;", "__Host-vid",
		"a=1;\t__Host-vid=x",
		"a=1, __Host-vid=2", "__Host-vid==", "=__Host-vid=1",
	} {
		f.Add(seed, "")
		f.Add("a=b", seed)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		h := http.Header{"Cookie": {one, two}}
		j := openJar(h, nil)
		left := without(h, isOurs)
		for _, c := range (&http.Request{Header: http.Header{"Cookie": {left}}}).Cookies() {
			if strings.EqualFold(c.Name, CookieName) {
				t.Fatalf("of %q and %q is left %q", one, two, left)
			}
		}
		all := 0
		for _, c := range (&http.Request{Header: h}).Cookies() {
			if c.Name == CookieName {
				all++
			}
		}
		if all > j.count {
			t.Fatalf("%q and %q hold %d handles, and %d are seen", one, two, all, j.count)
		}
		if all > 0 && !j.ours {
			t.Fatalf("%q and %q hold one of ours that is not seen", one, two)
		}
	})
}
