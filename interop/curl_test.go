// SPDX-License-Identifier: Apache-2.0

// The sample with curl: the lines that it prints work as they stand.

package interop

import (
	"os/exec"
	"strings"
	"testing"
)

func TestPrintedLinesWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("there is no curl: install it (Debian: apt-get install curl)")
	}
	office := openBoxOffice(t)
	for range 2 { // whoever pastes them again gets the same
		out, err := exec.Command("sh", "-ec", strings.Join(office.lines, "\n")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		rest := string(out)
		for _, want := range []string{
			"signed in: 303\n", `"permit":"NJ"`, `"name":"B4","is":"mine"`, `"status":412`, `"status":403`, "signed out: 303\n",
			`"code":"no_session"`, `"code":"missing"`,
		} {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Fatalf("the lines say %s; want %s in %q", out, want, rest)
			}
			rest = after
		}
	}
}
