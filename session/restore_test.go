// SPDX-License-Identifier: Apache-2.0

// A journal that was restored from a backup under a running node: nothing of the lost history is remembered.

package session_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// replaced is a store that is replaced by another one.
type replaced struct{ journal.Store }

// restored is a node under which a backup is put in place of its journal, which had gone on.
type restored struct {
	*house
	st, lost session.Started // a session of the backup, and one of the lost history
	before   passport.Claims // of the first one, before the backup was put in place
}

func restore(t *testing.T) restored {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	file, backup := filepath.Join(dir, "j.db"), filepath.Join(dir, "backup.db")
	mustOpen := func(path string) *journal.Log {
		log, err := sqlite.Open(ctx, sqlite.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	log := mustOpen(file)
	first := open(t, log, nil)
	r := restored{st: first.start(t)}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(backup, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	store := &replaced{mustOpen(file).Store()}
	r.house = open(t, journal.New(store), nil)
	if _, err := r.Change(ctx, r.st.ID, session.Change{Expect: 1, Set: state("tab", "7")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ChangeSubject(ctx, "acme", "ada", session.Change{Set: state("limit", "7")}); err != nil {
		t.Fatal(err)
	}
	r.lost = r.start(t)
	r.before = r.mint(t, r.st.Handle).Claims
	r.mint(t, r.lost.Handle)

	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(backup)
	t.Cleanup(func() { _ = again.Close() })
	if _, err := again.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	store.Store = again.Store()
	return r
}

func TestNothingIsRememberedOfALostHistory(t *testing.T) {
	t.Parallel()
	r := restore(t)
	c := r.mint(t, r.st.Handle).Claims
	if c.Epoch <= r.before.Epoch || c.Version != 1 || string(c.State) != `{"subject":{},"session":{}}` {
		t.Errorf("after the restore a passport of epoch %d says version %d, %s", c.Epoch, c.Version, c.State)
	}
	if _, err := r.Mint(context.Background(), ask(r.lost.Handle)); !errors.Is(err, passport.ErrNoSession) {
		t.Errorf("a session of the lost history: %v, want ErrNoSession", err)
	}
}

// TestNoCallAnswersOfALostHistory makes each call the first one that meets the backup.
func TestNoCallAnswersOfALostHistory(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	gone := func(err error) error {
		if !errors.Is(err, passport.ErrNoSession) {
			return fmt.Errorf("a session of the lost history: %w", cmp.Or(err, errors.New("is there")))
		}
		return nil
	}
	for name, call := range map[string]func(restored) error{
		"Resolve": func(r restored) error { _, err := r.Resolve(ctx, r.lost.Handle); return gone(err) },
		"Get":     func(r restored) error { _, err := r.Get(ctx, r.lost.ID); return gone(err) },
		"Rotate":  func(r restored) error { _, err := r.Rotate(ctx, r.lost.Handle); return gone(err) },
		"StepUp": func(r restored) error {
			_, err := r.StepUp(ctx, r.lost.ID, session.StepUp{Expect: journal.Any, ACR: "2"})
			return gone(err)
		},
		"Change": func(r restored) error {
			_, err := r.Change(ctx, r.lost.ID, session.Change{Expect: journal.Any, Set: state("tab", "1")})
			return gone(err)
		},
		"ChangeSubject": func(r restored) error {
			_, err := r.ChangeSubject(ctx, "acme", "ada", session.Change{Via: r.lost.ID, Set: state("limit", "1")})
			return gone(err)
		},
		"Foretell": func(r restored) error {
			s, err := r.Foretell(ctx, session.Start{Tenant: "acme", Subject: "ada"})
			if err != nil || s.ID != "" {
				return fmt.Errorf("is %v, %w", s, err)
			}
			return nil
		},
		"Subject": func(r restored) error {
			p, err := r.Subject(ctx, "acme", "ada")
			if err != nil || p.Version != 0 {
				return fmt.Errorf("the subject is at version %d, %w", p.Version, err)
			}
			return nil
		},
		"List": func(r restored) error {
			list, err := r.List(ctx, "acme", "ada")
			if err != nil || len(list) != 1 || list[0].Version != 1 {
				return fmt.Errorf("the sessions are %v, %w", list, err)
			}
			return nil
		},
		"Start": func(r restored) error {
			_, err := r.Start(ctx, session.Start{Tenant: "acme", Subject: "ada"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := call(restore(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNothingIsRememberedOfALogThatWasReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	at := journal.Checkpoint{Log: "a", Epoch: 1, Position: 7}
	for name, c := range map[string]struct {
		after journal.Checkpoint
		want  bool
	}{
		"the same, later": {journal.Checkpoint{Log: "a", Epoch: 1, Position: 9}, true},
		"another epoch":   {journal.Checkpoint{Log: "a", Epoch: 2, Position: 7}, false},
		"another log":     {journal.Checkpoint{Log: "b", Epoch: 1, Position: 7}, false},
	} {
		if got := session.RemembersAcross(at, c.after); got != c.want {
			t.Errorf("%s: remembered is %t, want %t", name, got, c.want)
		}
	}
}
