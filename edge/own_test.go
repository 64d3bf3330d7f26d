// SPDX-License-Identifier: Apache-2.0

// The guide says what the edge's own pages say.

package edge

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"example.com/vidimus/heartbeat/presence"
)

func TestTheGuideNamesEveryFieldOfTheEdgesPages(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Pages of the edge\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for _, said := range []reflect.Type{
		reflect.TypeFor[status](), reflect.TypeFor[presence.Answer](), reflect.TypeFor[presence.Heartbeat](),
	} {
		for i := range said.NumField() {
			name, _, _ := strings.Cut(said.Field(i).Tag.Get("json"), ",")
			if name != "tab" && !strings.Contains(text, name) { // it is for logs alone
				t.Errorf("docs/edge.md does not describe %s of %v", name, said)
			}
		}
	}
}
