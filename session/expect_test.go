// SPDX-License-Identifier: Apache-2.0

// Commands that were decided on a version which is not the current one any more.

package session_test

import (
	"context"
	"errors"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/session"
)

func TestAStepUpThatWasDecidedOnAnOlderVersionIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, mem.Open(), nil)
	st := h.start(t)
	seen := st.Version
	now, err := h.Change(ctx, st.ID, session.Change{Expect: journal.Exactly(seen), Set: state("tab", "1")})
	if err != nil {
		t.Fatal(err)
	}
	for name, expect := range map[string]journal.Expect{
		"an older version": journal.Exactly(seen), "a later version": journal.Exactly(now.Version + 1), "none": 0,
	} {
		_, err := h.StepUp(ctx, st.ID, session.StepUp{Expect: expect, ACR: "2", Scopes: []string{"pay"}})
		var conflict *journal.ConflictError
		if !errors.As(err, &conflict) || !errors.Is(err, journal.ErrConflict) || conflict.Actual != now.Version {
			t.Errorf("%s: got %v, want a conflict with version %d", name, err, now.Version)
		}
	}
	if c := h.mint(t, st.Handle).Claims; c.ACR == "2" || c.Scope != "read buy" {
		t.Errorf("refused step-ups left acr %q and the scope %q", c.ACR, c.Scope)
	}
	for _, expect := range []journal.Expect{journal.Exactly(now.Version), journal.Exists, journal.Any} {
		up, err := h.StepUp(ctx, st.ID, session.StepUp{Expect: expect, ACR: "2", Scopes: []string{"pay"}})
		if err != nil {
			t.Fatalf("expecting %d: %v", expect, err)
		}
		if c := h.mint(t, up.Handle).Claims; c.ACR != "2" || c.Scope != "read buy pay" {
			t.Errorf("expecting %d: the passport has acr %q and the scope %q", expect, c.ACR, c.Scope)
		}
	}
}
