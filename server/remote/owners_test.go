// SPDX-License-Identifier: Apache-2.0

// Leases on another node.

package remote_test

import (
	"testing"

	"example.com/vidimus/lease"
)

func TestALeaseKeepsWhoTookItFromItsHolder(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	leases := o.dial(t, "admin").Leases()
	s, err := leases.Start(t.Context(), lease.Session{Owner: "worker"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Acquire(t.Context(), lease.Claim{Name: "invoices", Session: s.ID, Ticket: "1"}); err != nil {
		t.Fatal(err)
	}
	epoch, err := leases.ForceRelease(t.Context(), "invoices", "ops@example.com")
	if err != nil || epoch != 2 {
		t.Fatalf("epoch %d, %v, want 2", epoch, err)
	}
	list, err := leases.List(t.Context(), "invoices", "", 1)
	if err != nil || len(list) != 1 || list[0].Forced != "login/ops@example.com" {
		t.Errorf("the lease is %+v, %v, want it released by the token's name and whom its holder names", list, err)
	}
}
