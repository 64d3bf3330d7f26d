// SPDX-License-Identifier: Apache-2.0

// Tests of what people see on a terminal.

package screen_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
)

func TestNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 12: "12"} {
		if got := screen.Number(n); got != want {
			t.Errorf("Number(%d): got %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 3 << 30: "3.0 GiB"} {
		if got := screen.Bytes(n); got != want {
			t.Errorf("Bytes(%d): got %s, want %s", n, got, want)
		}
	}
	if got := screen.Rate(3000, 1500*time.Millisecond); got != "2,000" {
		t.Errorf("Rate: got %s, want 2,000", got)
	}
	if got := screen.Plural(1, "event") + ", " + screen.Plural(2000, "event"); got != "1 event, 2,000 events" {
		t.Errorf("Plural: got %s", got)
	}
}

func TestTableCutsLinesAndHidesControlCharacters(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	table := screen.NewTable(&b, screen.Style{Width: 14},
		screen.Column{Title: "n", Right: true}, screen.Column{Title: "data"})
	for _, cells := range [][]string{{"1", "a\x1b[31m\nb"}, {"100", "long long long"}} {
		if err := table.Row(cells...); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "  n  data\n  1  a?[31m?b\n100  long lon…\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestColourOnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	if got := (screen.Style{}).Bad("no"); got != "no" {
		t.Errorf("plain: got %q", got)
	}
	if got := (screen.Style{Colour: true}).Bad("no"); got != "\x1b[31mno\x1b[0m" {
		t.Errorf("colour: got %q", got)
	}
}

func Example() {
	style := screen.Style{UTC: true}
	table := screen.NewTable(os.Stdout, style,
		screen.Column{Title: "position", Right: true}, screen.Column{Title: "stream"}, screen.Column{Title: "time"})
	placed := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	_ = table.Row(screen.Number(7), "order-1", style.Time(placed))
	_ = table.Row(screen.Number(1234), "order-1001", style.Time(placed))
	fmt.Println(table.Flush())
	// Output:
	// position  stream      time
	//        7  order-1     2026-01-31 12:00:00.000Z
	//    1,234  order-1001  2026-01-31 12:00:00.000Z
	// <nil>
}
