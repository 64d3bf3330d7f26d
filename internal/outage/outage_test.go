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
	fmt.Println(o.Failures(), "failures")
	// Output:
	// told of the first failure alone
	// 3 failures
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
	})
}

func TestAnOutageIsOverOnceItWorksSteadily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage.Outage
		expect := func(when string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %v, want %v; %d failures", when, got, want, o.Failures())
			}
		}
		expect("well, is it over", o.Works(), false)
		expect("the first failure, is it told", o.Failed(""), true)
		for range 5 {
			expect("works for a moment, is it over", o.Works(), false)
			time.Sleep(outage.Steady - time.Nanosecond)
			expect("works for a little longer, is it over", o.Works(), false)
			expect("the next failure, is it told", o.Failed(""), false)
		}
		o.Works()
		time.Sleep(outage.Steady)
		expect("works steadily, is it over", o.Works(), true)
		expect("asked again, is it over", o.Works(), false)
		expect("another outage, is it told", o.Failed(""), true)
		o.Works()
		time.Sleep(outage.Steady)
		expect("another one after steady work that nobody looked at, is it told", o.Failed(""), true)
		if o.Failures() != 1 {
			t.Errorf("%d failures, want 1", o.Failures())
		}
	})
}
