// SPDX-License-Identifier: Apache-2.0

// Cases about fences: whoever lost a lease cannot write under it.

package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"example.com/vidimus/journal"
)

func fenceCases() []testCase {
	return []testCase{
		{name: "only the current epoch of a lease may write", run: fenceEpochs},
		{name: "a takeover earlier in the same batch counts", run: fenceInBatch},
		{name: "a takeover through another node counts at once", needs: needsSecond, run: fenceOnSecondNode},
		{name: "every fence of a unit counts", run: fencesAllCount},
		{name: "a holder may write and hand over in one unit", run: fenceAndHandOver},
		{name: "after renewing, leases go on above every epoch of before", run: fenceAfterRenew},
		{name: "writers that take a lease from each other never mix", run: fenceRace},
	}
}

// take raises the epoch of a lease.
func take(lease string) journal.RecordWrite {
	return journal.RecordWrite{Kind: journal.KindLease, Key: lease, Expect: journal.Any}
}

// fenced is a unit of one event written under a lease.
func fenced(lease string, epoch journal.Epoch, s journal.Stream) journal.Unit {
	return journal.Unit{
		Fences:  []journal.Fence{{Lease: lease, Epoch: epoch}},
		Appends: []journal.Append{to(s, journal.Any, event("test.fenced"))},
	}
}

func fenceEpochs(k *kit) {
	want := func(epoch, current journal.Epoch) {
		k.Helper()
		var got *journal.FencedError
		if err := k.refused(journal.ErrFenced, fenced("owner", epoch, "order-1")); !errors.As(err, &got) {
			k.Fatalf("got %v, want a FencedError", err)
		}
		same(k, "fence", *got, journal.FencedError{Lease: "owner", Held: epoch, Current: current})
	}
	want(1, 0)
	same(k, "first epoch", k.put(take("owner")), 1)
	k.commit(fenced("owner", 1, "order-1"))
	want(2, 1)
	same(k, "second epoch", k.put(take("owner")), 2)
	want(1, 2)
	k.commit(fenced("owner", 2, "order-1"))
	k.commit(fenced("owner", 2, "order-2"))
	want(3, 2)
	k.put(journal.RecordWrite{Kind: "note", Key: "owner2"})
	k.refused(journal.ErrFenced, fenced("owner2", 1, "order-1"))
	k.refused(journal.ErrFenced, fenced("Owner", 2, "order-1"))
	same(k, "events", len(k.read(journal.ReadOptions{})), 3)
	k.refused(journal.ErrFenced, journal.Unit{Fences: []journal.Fence{{Lease: "owner", Epoch: 1}}})
	k.commit(journal.Unit{Fences: []journal.Fence{{Lease: "owner", Epoch: 2}}})
	if k.h.Reopens {
		k.reopen()
		want(1, 2)
		k.commit(fenced("owner", 2, "order-1"))
	}
}

func fenceInBatch(k *kit) {
	k.put(take("owner"))
	before, over := fenced("owner", 1, "order-1"), journal.Unit{Records: []journal.RecordWrite{take("owner")}}
	late, now := fenced("owner", 1, "order-1"), fenced("owner", 2, "order-1")
	out := k.batch(&before, &over, &late, &now)
	for i, want := range []error{nil, nil, journal.ErrFenced, nil} {
		if !errors.Is(out[i].Err, want) {
			k.Fatalf("unit %d: got %v, want %v", i, out[i].Err, want)
		}
	}
	same(k, "events", len(k.stream("order-1", nil)), 2)
}

func fenceOnSecondNode(k *kit) {
	second := k.open(k.h.Second)
	for epoch := journal.Epoch(1); epoch < 20; epoch += 2 {
		k.put(take("owner"))
		k.commit(fenced("owner", epoch, "order-1"))
		if _, err := second.Commit(k.ctx, fenced("owner", epoch, "order-2")); err != nil {
			k.Fatalf("under a lease taken through the other node: %v", err)
		}
		if _, err := second.Commit(k.ctx, journal.Unit{Records: []journal.RecordWrite{take("owner")}}); err != nil {
			k.Fatal(err)
		}
		k.refused(journal.ErrFenced, fenced("owner", epoch, "order-1"))
		k.commit(fenced("owner", epoch+1, "order-1"))
	}
	k.sound()
}

func fencesAllCount(k *kit) {
	k.put(take("a"))
	k.put(take("b"))
	k.put(take("b"))
	u := fenced("a", 1, "order-1")
	for _, tt := range []struct {
		fence journal.Fence
		holds bool
	}{{journal.Fence{Lease: "b", Epoch: 1}, false}, {journal.Fence{Lease: "b", Epoch: 2}, true}} {
		for _, turned := range []bool{false, true} {
			both := u
			both.Appends = []journal.Append{to("order-1", journal.Any, event("test.both"))}
			both.Fences = []journal.Fence{u.Fences[0], tt.fence}
			if turned {
				slices.Reverse(both.Fences)
			}
			if tt.holds {
				k.commit(both)
			} else {
				k.refused(journal.ErrFenced, both)
			}
		}
	}
}

func fenceAndHandOver(k *kit) {
	k.put(take("owner"))
	u := fenced("owner", 1, "order-1")
	u.Records = []journal.RecordWrite{{Kind: journal.KindLease, Key: "owner", Expect: journal.Exactly(1)}}
	same(k, "epoch after handing over", k.commit(u).Records, []journal.Version{2})
	k.refused(journal.ErrFenced, fenced("owner", 1, "order-1"))
	k.commit(fenced("owner", 2, "order-1"))
}

func fenceAfterRenew(k *kit) {
	const apart = 1_000_000 // more than a history can have lost
	var at journal.Version
	for range 3 {
		at = k.put(take("owner"))
	}
	k.put(journal.RecordWrite{Kind: "note", Key: "n"})
	for round := range 2 {
		if _, err := k.log.Renew(k.ctx); err != nil {
			k.Fatalf("renew: %v", err)
		}
		if k.h.Reopens {
			k.reopen()
		}
		again := take("owner")
		again.Expect = journal.Exactly(at)
		now := k.put(again)
		if now < at+apart {
			k.Fatalf("after renewing, a lease goes on from epoch %d to %d", at, now)
		}
		same(k, "version of the lease", k.record(journal.KindLease, "owner").Version, now)
		for lost := journal.Epoch(at); lost < journal.Epoch(at)+5; lost++ {
			k.refused(journal.ErrFenced, fenced("owner", lost, "order-1"))
		}
		k.commit(fenced("owner", journal.Epoch(now), "order-1"))
		same(k, "the epoch after it", k.put(take("owner")), now+1)
		made := k.put(take(fmt.Sprintf("new-%d", round)))
		if made < at+apart {
			k.Fatalf("after renewing, a new lease begins at epoch %d, the lost history may have reached %d", made, at)
		}
		at = now + 1
	}
	same(k, "version of another record", k.put(journal.RecordWrite{Kind: "note", Key: "n", Expect: 1}), 2)
	k.sound()
}

func fenceRace(k *kit) {
	const rounds = 12
	var mu sync.Mutex
	accepted := 0
	k.crowd(writers, func(_ int, log *journal.Log) {
		for range rounds {
			res, err := log.Commit(k.ctx, journal.Unit{Records: []journal.RecordWrite{take("owner")}})
			if err != nil {
				k.Errorf("take: %v", err)
				return
			}
			epoch := journal.Epoch(res.Records[0])
			for range 2 {
				e := event("test.fenced", fmt.Sprintf("epoch:%08d", epoch))
				_, err = log.Commit(k.ctx, journal.Unit{
					Fences:  []journal.Fence{{Lease: "owner", Epoch: epoch}},
					Appends: []journal.Append{to("order-1", journal.Any, e)},
				})
				switch {
				case err == nil:
					mu.Lock()
					accepted++
					mu.Unlock()
				case !errors.Is(err, journal.ErrFenced):
					k.Errorf("append: %v", err)
				}
			}
		}
	})
	all := k.stream("order-1", nil)
	same(k, "events", len(all), accepted)
	for i := 1; i < len(all); i++ {
		if all[i].Tags[0] < all[i-1].Tags[0] {
			k.Fatalf("%s wrote after %s", all[i].Tags[0], all[i-1].Tags[0])
		}
	}
	same(k, "epoch", k.record(journal.KindLease, "owner").Version, writers*rounds)
}
