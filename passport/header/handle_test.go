// SPDX-License-Identifier: Apache-2.0

// Handles have one form, and whoever reads it reads the same.

package header_test

import (
	"fmt"
	"strings"
	"testing"

	"example.com/vidimus/passport/header"
)

func TestHandlesHaveOneForm(t *testing.T) {
	t.Parallel()
	sid, mac := strings.Repeat("A", 22), strings.Repeat("b", 22)
	for handle, cell := range map[string]string{
		"v1.main." + sid + ".1." + mac:                                             "main",
		"v1.eu.west-1_a." + sid + ".9223372036854775807." + mac:                    "eu.west-1_a",
		"v1.main." + sid + "..":                                                    "",
		"v1.." + sid + ".1." + mac:                                                 "",
		"v1." + sid + ".1." + mac:                                                  "",
		"v2.main." + sid + ".1." + mac:                                             "",
		"v1.main." + sid + ".-1." + mac:                                            "",
		"v1.main." + sid + "." + strings.Repeat("1", 20) + "." + mac:               "",
		"v1.main." + sid[1:] + ".1." + mac:                                         "",
		"v1.main." + sid + ".1." + mac + "=":                                       "",
		"v1.ma in." + sid + ".1." + mac:                                            "",
		"v1." + strings.Repeat("c", header.HandleMax-50) + "." + sid + ".1." + mac: "",
		"": "",
	} {
		if got, ok := header.HandleCell(handle); got != cell || ok != (cell != "") {
			t.Errorf("the cell of %q is %q, %v, want %q", handle, got, ok, cell)
		}
	}
}

// FuzzHandles puts together again what is taken for a handle.
func FuzzHandles(f *testing.F) {
	part := strings.Repeat("A", 22)
	for _, seed := range []string{"v1.main." + part + ".1." + part, "v1..." + part + ".1." + part, "v1.main", "....", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cell, ok := header.HandleCell(text)
		if !ok {
			return
		}
		rest := strings.TrimPrefix(text, header.HandlePrefix+cell+".")
		var parts [3]string
		if n := copy(parts[:], strings.Split(rest, ".")); n != 3 || rest == text || len(text) > header.HandleMax ||
			strings.ContainsAny(text, "\r\n\";,= ") {
			t.Fatalf("%q is taken for a handle of %q, with %q", text, cell, fmt.Sprint(parts))
		}
	})
}

func ExampleHandleCell() {
	cell, ok := header.HandleCell("v1.main.AAAAAAAAAAAAAAAAAAAAAA.1.BBBBBBBBBBBBBBBBBBBBBB")
	fmt.Println(cell, ok)
	// Output: main true
}
