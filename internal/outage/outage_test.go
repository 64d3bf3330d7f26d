// SPDX-License-Identifier: Apache-2.0

// When a log is told of failures.

package outage_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/outage"
)

func Example() {
	var o outage.Outage
	for range 3 {
		if o.Failed("refused") {
			fmt.Println("told of the first failure alone")
		}
	}
	fmt.Println(o.Failures(), o.Over(), o.Over())
	// Output:
	// told of the first failure alone
	// 3 true false
}

func TestAnOutageIsToldAtOnceThenOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage.Outage
		expect := func(kind string, want bool) {
			t.Helper()
			if got := o.Failed(kind); got != want {
				t.Errorf("failure %d, %q: told is %v, want %v", o.Failures(), kind, got, want)
			}
		}
		expect("down", true)
		expect("down", false)
		time.Sleep(outage.Every - time.Nanosecond)
		expect("down", false)
		time.Sleep(time.Nanosecond)
		expect("down", true)
		expect("refused", true)
		expect("refused", false)
		expect("down", true)
		if !o.Over() || o.Failures() != 0 {
			t.Errorf("over, and %d failures are left", o.Failures())
		}
		expect("down", true)
	})
}
