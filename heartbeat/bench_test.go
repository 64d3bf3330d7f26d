// SPDX-License-Identifier: Apache-2.0

// What it costs to ask a view.

package heartbeat

import (
	"fmt"
	"testing"

	"example.com/vidimus/passport"
)

// filledView has floors of so many sessions, and half as many subjects, and is dated.
func filledView(tb testing.TB, sessions int) *View {
	tb.Helper()
	v := NewView(nil)
	tail := NewTail(mark(0), 0)
	for i := range sessions {
		changes := []Change{ended(int64(2*i+1), fmt.Sprintf("session-%d", i))}
		if i%2 == 0 {
			key := passport.SubjectKey("ten", fmt.Sprintf("subject-%d", i))
			changes = append(changes, Change{Position: int64(2*i + 2), Scope: Subject, Key: key, Effect: Superseded})
		}
		if err := tail.Add(int64(2*i+2), changes...); err != nil {
			tb.Fatal(err)
		}
	}
	for f, news := tail.Next(v.Through()); news; f, news = tail.Next(v.Through()) {
		if err := v.Apply(f); err != nil {
			tb.Fatal(err)
		}
	}
	if err := v.PingAnswered(v.PingSent(), v.Through()); err != nil {
		tb.Fatal(err)
	}
	return v
}

// BenchmarkView asks a view that knows 30,000 sessions and 15,000 subjects: /cached what every request asks, /judge
// what is asked again when something changed.
func BenchmarkView(b *testing.B) {
	v := filledView(b, 30_000)
	claims := make([]*passport.Claims, 1024)
	for i := range claims {
		claims[i] = of(1<<20, fmt.Sprintf("session-%d", i*31))
		claims[i].Tenant, claims[i].Subject = "ten", fmt.Sprintf("subject-%d", i*29)
	}
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v.Staleness() == passport.Unknown || v.Generation() == 0 {
				b.Fatal("not dated")
			}
		}
	})
	b.Run("judge", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			if err := v.Judge(claims[i%len(claims)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("judge-parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if err := v.Judge(claims[i%len(claims)]); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
