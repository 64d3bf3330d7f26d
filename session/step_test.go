// SPDX-License-Identifier: Apache-2.0

// Two commands at once, at each interleaving: one is held up before its first, second, third call of the store and so
// on, while another node carries the other one out.

package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// stepping is a store that does something else before its n-th call.
type stepping struct {
	journal.Store
	calls, at int
	meanwhile func()
}

func (s *stepping) step() {
	s.calls++
	if s.calls == s.at {
		s.meanwhile()
	}
}

func (s *stepping) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	s.step()
	return s.Store.Commit(ctx, units)
}

func (s *stepping) Head(ctx context.Context) (journal.Checkpoint, error) {
	s.step()
	return s.Store.Head(ctx)
}

func (s *stepping) ReadStream(ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
	s.step()
	return s.Store.ReadStream(ctx, q)
}

func (s *stepping) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	s.step()
	return s.Store.Record(ctx, kind, key)
}

func (s *stepping) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	s.step()
	return s.Store.Records(ctx, q)
}

// dying is a store that fails after some commits.
type dying struct {
	journal.Store
	left int
}

func (s *dying) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if s.left--; s.left < 0 {
		return nil, journal.ErrUnavailable
	}
	return s.Store.Commit(ctx, units)
}

// race is what two nodes have of one session, and what came of their commands.
type race struct {
	log        *journal.Log
	alter      func(*session.Config)
	slow, fast *house
	st         session.Started
	slowErr    error
	grant      passport.Grant
	handles    [2]string
	begun      session.Started
	at         journal.Position // of what the fast one did
	ctx        context.Context
}

// interleave runs slow at each interleaving with fast, each time with a new session, and has the outcome checked.
func interleave(t *testing.T, alter func(*session.Config), slow, fast, check func(*testing.T, *race)) {
	t.Helper()
	for name, openLog := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := openLog(t)
			store := &stepping{Store: log.Store()}
			slowHouse, fastHouse := open(t, journal.New(store), alter), open(t, log, alter)
			steps, stride := 0, 1
			if name == "postgres" {
				stride = 3 // its commits wait for the disk each; the other stores try every step
			}
			for at := 1; ; at += stride {
				r := &race{log: log, alter: alter, slow: slowHouse, fast: fastHouse, ctx: context.Background()}
				st, err := fastHouse.Start(r.ctx, session.Start{Tenant: "acme", Subject: fmt.Sprint("ada ", at)})
				if err != nil {
					t.Fatal(err)
				}
				if r.st = st; at%2 == 0 { // every other time the slow node knows the session already
					slowHouse.mint(t, st.Handle)
				}
				met := false
				store.calls, store.at = 0, at
				store.meanwhile = func() { met = true; fast(t, r) }
				slow(t, r)
				store.at = 0
				if !met {
					break
				}
				steps++
				check(t, r)
				if t.Failed() {
					t.Fatalf("with the other command before call %d", at)
				}
			}
			if steps < 2 {
				t.Errorf("only %d interleavings were tried", steps)
			}
		})
	}
}

// logOut ends the session on the fast node.
func logOut(t *testing.T, r *race) {
	of, err := r.fast.End(r.ctx, r.st.ID, session.Ended{})
	if err != nil {
		t.Error(err)
	}
	r.at = of.Position
}

// A rolling session that is saved by a slow request must not bring a session back that was logged out meanwhile.
func TestALogoutIsNotUndoneByASlowerRequest(t *testing.T) {
	t.Parallel()
	requests := map[string]func(*race) error{
		"save": func(r *race) error {
			_, err := r.slow.Change(r.ctx, r.st.ID, session.Change{Expect: journal.Any, Set: state("tab", "7")})
			return err
		},
		"step-up": func(r *race) error {
			_, err := r.slow.StepUp(r.ctx, r.st.ID, session.StepUp{Expect: journal.Any, ACR: "2"})
			return err
		},
		"rotation": func(r *race) error {
			_, err := r.slow.Rotate(r.ctx, r.st.Handle)
			return err
		},
	}
	for name, end := range ends() {
		for what, request := range requests {
			t.Run(name+" during a "+what, func(t *testing.T) {
				t.Parallel()
				interleave(t, nil, func(_ *testing.T, r *race) { r.slowErr = request(r) }, end, staysOver)
			})
		}
	}
}

// staysOver makes sure that nothing happened to the session after it was over, and that the slow one was told so or
// came earlier.
func staysOver(t *testing.T, r *race) {
	if err := r.slowErr; err != nil && !errors.Is(err, session.ErrEnded) {
		t.Errorf("the slower request was told %v, want nil or ErrEnded", err)
	}
	for e, err := range r.fast.History(r.ctx, r.st.ID) {
		if err != nil || e.Position > r.at && e.Type != "session.ended" {
			t.Errorf("%s at %d, after the end at %d; %v", e.Type, e.Position, r.at, err)
		}
	}
	for _, h := range []*house{r.slow, r.fast} {
		if _, err := h.Mint(r.ctx, ask(r.st.Handle)); !errors.Is(err, passport.ErrNoSession) {
			t.Errorf("Mint after the end: %v, want ErrNoSession", err)
		}
	}
}

func TestNothingIsSavedForASubjectByASessionThatEnded(t *testing.T) {
	t.Parallel()
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interleave(t, nil, func(_ *testing.T, r *race) {
				_, r.slowErr = r.slow.ChangeSubject(r.ctx, "acme", r.st.Subject,
					session.Change{Expect: journal.Any, Set: state("limit", "7"), Via: r.st.ID})
			}, end, func(t *testing.T, r *race) {
				if r.slowErr != nil && !errors.Is(r.slowErr, session.ErrEnded) {
					t.Errorf("the change was told %v, want nil or ErrEnded", r.slowErr)
				}
				for e, err := range r.fast.SubjectHistory(r.ctx, "acme", r.st.Subject) {
					if err != nil || e.Type == "subject.changed" && e.Position > r.at {
						t.Errorf("%s at %d, after the end at %d; %v", e.Type, e.Position, r.at, err)
					}
				}
			})
		})
	}
}

// ends are the ways for a session to end.
func ends() map[string]func(*testing.T, *race) {
	revoke := func(target func(r *race) session.Target) func(*testing.T, *race) {
		return func(t *testing.T, r *race) {
			var err error
			if r.at, err = r.fast.Revoke(r.ctx, target(r), "ops", ""); err != nil {
				t.Error(err)
			}
		}
	}
	return map[string]func(*testing.T, *race){
		"logged out": logOut,
		"subject revoked by a node that dies then": func(t *testing.T, r *race) {
			store := &dying{Store: r.log.Store(), left: 1000}
			node := open(t, journal.New(store), r.alter)
			store.left = 1
			var err error
			target := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: r.st.Subject}
			if r.at, err = node.Revoke(r.ctx, target, "ops", ""); err != nil {
				t.Error(err)
			}
		},
		"subject revoked": revoke(func(r *race) session.Target {
			return session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: r.st.Subject}
		}),
		"tenant revoked": revoke(func(*race) session.Target {
			return session.Target{Scope: heartbeat.Tenant, Key: "acme"}
		}),
		"all revoked": revoke(func(*race) session.Target { return session.Target{Scope: heartbeat.All} }),
	}
}

// A passport that was minted while its session was revoked is dated below the revocation, so that verifiers refuse it.
func TestNoPassportIsDatedBehindARevocationThatItDoesNotObey(t *testing.T) {
	t.Parallel()
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interleave(t, nil, func(_ *testing.T, r *race) {
				r.grant, r.slowErr = r.slow.Mint(r.ctx, ask(r.st.Handle))
			}, end, func(t *testing.T, r *race) {
				switch {
				case r.slowErr == nil && r.grant.Claims.Position >= int64(r.at):
					t.Errorf("a passport at %d was minted, the session ended at %d", r.grant.Claims.Position, r.at)
				case r.slowErr != nil && !errors.Is(r.slowErr, passport.ErrNoSession):
					t.Error(r.slowErr)
				}
			})
		})
	}
}

func TestAPassportHoldsEveryChangeUpToItsPosition(t *testing.T) {
	t.Parallel()
	interleave(t, nil, func(_ *testing.T, r *race) {
		r.grant, r.slowErr = r.slow.Mint(r.ctx, ask(r.st.Handle))
	}, func(t *testing.T, r *race) {
		of, err := r.fast.Change(r.ctx, r.st.ID, session.Change{Expect: journal.Any, Set: state("tab", "7")})
		if err != nil {
			t.Error(err)
		}
		limit := session.Change{Expect: journal.Any, Set: state("limit", "7")}
		sub, err := r.fast.ChangeSubject(r.ctx, "acme", r.st.Subject, limit)
		if err != nil || sub.Position <= of.Position {
			t.Error(sub, err)
		}
		r.at = sub.Position
	}, func(t *testing.T, r *race) {
		const all = `{"subject":{"limit":7},"session":{"tab":7}}`
		if c := r.grant.Claims; r.slowErr != nil || c.Position >= int64(r.at) && string(c.State) != all {
			t.Errorf("a passport at %d says %s, both were changed at %d; %v", c.Position, c.State, r.at, r.slowErr)
		}
	})
}

// Two tabs come with one handle at once; both go on with one successor.
func TestARefreshRaceHasOneWinnerAndNoLoser(t *testing.T) {
	t.Parallel()
	interleave(t, nil, func(t *testing.T, r *race) {
		got, err := r.slow.Rotate(r.ctx, r.st.Handle)
		r.handles[0], r.slowErr = got.Handle, err
	}, func(t *testing.T, r *race) {
		got, err := r.fast.Rotate(r.ctx, r.st.Handle)
		if err != nil {
			t.Error(err)
		}
		r.handles[1] = got.Handle
	}, func(t *testing.T, r *race) {
		if r.slowErr != nil || r.handles[0] != r.handles[1] {
			t.Errorf("the tabs go on with %q and %q; %v", r.handles[0], r.handles[1], r.slowErr)
		}
		if of, err := r.fast.Resolve(r.ctx, r.handles[0]); err != nil || of.Generation != 2 {
			t.Errorf("their session is %+v, %v", of, err)
		}
	})
}

func TestOfTwoStartsAtOnceOneGetsTheLastPlace(t *testing.T) {
	t.Parallel()
	two := func(c *session.Config) { c.Concurrent = 2 }
	start := func(h *house, r *race) (session.Started, error) {
		return h.Start(r.ctx, session.Start{Tenant: "acme", Subject: r.st.Subject})
	}
	interleave(t, two, func(_ *testing.T, r *race) {
		r.begun, r.slowErr = start(r.slow, r)
	}, func(t *testing.T, r *race) {
		if _, err := start(r.fast, r); err != nil {
			t.Error(err)
		}
	}, func(t *testing.T, r *race) {
		list, err := r.fast.List(r.ctx, "acme", r.st.Subject)
		if err != nil || len(list) != 2 || !errors.Is(r.slowErr, session.ErrTooMany) {
			t.Errorf("%d sessions live, the slower start was told %v; %v", len(list), r.slowErr, err)
		}
	})
}

func TestASignInIsOnOneSideOfARevocation(t *testing.T) {
	t.Parallel()
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interleave(t, nil, func(_ *testing.T, r *race) {
				r.begun, r.slowErr = r.slow.Start(r.ctx, session.Start{Tenant: "acme", Subject: r.st.Subject})
			}, end, func(t *testing.T, r *race) {
				if r.slowErr != nil {
					t.Fatal(r.slowErr)
				}
				_, err := r.fast.Mint(r.ctx, ask(r.begun.Handle))
				before := r.begun.Position < r.at && name != "logged out"
				if before != errors.Is(err, passport.ErrNoSession) {
					t.Errorf("begun at %d, revoked at %d: Mint says %v", r.begun.Position, r.at, err)
				}
			})
		})
	}
}
