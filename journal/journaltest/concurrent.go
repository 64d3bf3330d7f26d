// SPDX-License-Identifier: Apache-2.0

// Cases about many who write at once.

package journaltest

import (
	"fmt"
	"sync"

	"example.com/vidimus/journal"
)

// writers is how many goroutines write at once in most cases.
const writers = 8

// crowd runs fn on several goroutines, spread over all nodes, and waits for them.
func (k *kit) crowd(n int, fn func(i int, log *journal.Log)) {
	k.Helper()
	spread(k.logs(), n, fn)
	if k.Failed() {
		k.FailNow()
	}
}

// spread runs fn on several goroutines, each with one of the logs, and waits for them.
func spread(logs []*journal.Log, n int, fn func(i int, log *journal.Log)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i, logs[i%len(logs)]) })
	}
	wg.Wait()
}

func unitsAreContiguous(k *kit) {
	const units, perStream = 12, 3
	k.crowd(writers, func(i int, log *journal.Log) {
		for n := range units {
			mark := fmt.Sprintf("unit:%d.%d", i, n)
			u := journal.Unit{}
			for s := range 3 {
				name := journal.Stream(fmt.Sprintf("order-%d", (i+n+s)%5))
				a := to(name, journal.Any)
				for range perStream {
					a.Events = append(a.Events, event("test.part", mark))
				}
				u.Appends = append(u.Appends, a)
			}
			if _, err := log.Commit(k.ctx, u); err != nil {
				k.Errorf("commit: %v", err)
				return
			}
		}
	})
	all := k.read(journal.ReadOptions{})
	same(k, "events", len(all), writers*units*3*perStream)
	ended := map[string]bool{}
	for i, e := range all {
		mark := e.Tags[0]
		if i == 0 || all[i-1].Tags[0] != mark {
			if ended[mark] {
				k.Fatalf("the events of %s are torn apart at position %d", mark, e.Position)
			}
			ended[mark] = true
		}
	}
	k.sound()
}
