// SPDX-License-Identifier: Apache-2.0

// What a token learns of leases that are not its own: nothing.

package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/server"
	"example.com/vidimus/server/remote"
)

func TestLeasesOfOthersStayUnknown(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	boss := n.dial(t, "admin")
	held, err := boss.Leases().Start(t.Context(), lease.Session{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "desk", "desk/1", "hall", "seat", "seat/1", "seat/2", "shard/00", "z"}
	for _, name := range names {
		if _, err := boss.Leases().Acquire(t.Context(), lease.Claim{Name: name, Session: held.ID}); err != nil {
			t.Fatal(err)
		}
	}
	for rights, want := range map[string]string{
		"append:*": "", "lease:nothing": "", "lease:desk": "desk", "lease:seat*+lease:desk": "desk seat seat/1 seat/2",
		"lease:seat/1+lease:seat/*+lease:seat/2+lease:z": "seat/1 seat/2 z", "lease:*": strings.Join(names, " "),
	} {
		secret := n.token(t, strings.Split(rights, "+")...)
		for _, limit := range []int{1, 2, 100} {
			var got []string
			for after, more := "", true; more; {
				status, body := n.post(t, "/vidimus.v1.LeaseService/ListLeases", secret,
					fmt.Sprintf(`{"after":%q,"limit":%d}`, after, limit))
				var page struct {
					Leases []struct{ Name string }
					More   bool
					Last   string
				}
				if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 {
					t.Fatalf("answered %d %s", status, body)
				}
				for _, l := range page.Leases {
					got = append(got, l.Name)
				}
				if more = page.More; page.Last != "" && !slices.Contains(got, page.Last) {
					t.Errorf("%s learnt of %s", rights, page.Last)
				}
				after = page.Last
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s, %d at a time: listed %q, want %q", rights, limit, got, want)
			}
		}
	}
	narrow, err := n.dial(t, "lease:seat*").Leases().List(t.Context(), "seat/2", "", 0)
	if err != nil || len(narrow) != 1 {
		t.Errorf("below seat/2: %v, %v, want one", narrow, err)
	}
}

func TestFencesTellEpochsToThoseWhoMayAcquire(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	boss := n.dial(t, "admin")
	s, err := boss.Leases().Start(t.Context(), lease.Session{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := boss.Leases().Acquire(t.Context(), lease.Claim{Name: "seat", Session: s.ID}); err != nil {
		t.Fatal(err)
	}
	for right, want := range map[string]journal.Epoch{"append:order": 0, "lease:other": 0, "lease:seat": 1} {
		l := n.dial(t, right)
		u := journal.Unit{Fences: []journal.Fence{{Lease: "seat", Epoch: 9}}}
		_, err := l.Commit(t.Context(), u)
		outcomes, errMany := l.CommitMany(t.Context(), []journal.Unit{u})
		if errMany != nil {
			t.Fatal(errMany)
		}
		for _, err := range []error{err, outcomes[0].Err} {
			var fenced *journal.FencedError
			if !errors.As(err, &fenced) || fenced.Current != want || fenced.Held != 9 {
				t.Errorf("%s: got %v, want fenced, at epoch %d", right, err, want)
			}
		}
	}
}

func TestTheWorkOfACellIsForItsNodes(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	l := n.dial(t, "lease:*").Leases()
	s, err := l.Start(t.Context(), lease.Session{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shard/00", "presence"} {
		for _, wait := range []bool{false, true} {
			_, err = l.Acquire(t.Context(), lease.Claim{Name: name, Session: s.ID, Wait: wait})
			if !errors.Is(err, remote.ErrPermission) {
				t.Errorf("acquiring the lease %s, waiting %v: %v, want permission denied", name, wait, err)
			}
		}
	}
}
