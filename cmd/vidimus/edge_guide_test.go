// SPDX-License-Identifier: Apache-2.0

// The guide says what an edge can be told.

package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestTheGuideNamesEveryFlagOfAnEdge(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	flags := reflect.TypeFor[edgeCmd]()
	for i := range flags.NumField() {
		field := flags.Field(i)
		name := field.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		if !strings.Contains(string(page), "`--"+name+"`") {
			t.Errorf("docs/edge.md does not describe --%s", name)
		}
	}
}
