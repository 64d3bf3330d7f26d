// SPDX-License-Identifier: Apache-2.0

// Cookies become sessions of a real journal, once, and never undo what happened to those.

package sessionlegacy_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/edge/legacy/sessionlegacy"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

// shop is a cell with sessions.
type shop struct {
	*session.Sessions
	log *journal.Log
}

func openShop(t *testing.T, log *journal.Log) shop {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Name: "shop", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), keyring.Config{Log: log, Seal: make([]byte, keyring.SealSize)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.Open(t.Context(), session.Config{
		Cell: c, Keys: ring, Issuer: "https://id.test", TrustDomain: "shop", Scopes: []string{"buy"}, Schema: "shop/1",
		Public: session.Public{
			Subject: map[string]session.Attribute{"limit": {Type: "number"}},
			Session: map[string]session.Attribute{"theme": {Type: "string"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return shop{s, log}
}

func inMemory(t *testing.T) shop { return openShop(t, mem.Open()) }

func onSQLite(t *testing.T) shop {
	t.Helper()
	log, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "shop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return openShop(t, log)
}

// cookie is a sign-in of ada's by a cookie that was made so long ago.
func cookie(n byte, age time.Duration) legacy.SignIn {
	now := time.Now()
	return legacy.SignIn{
		Key: [32]byte{n}, Issued: now.Add(-age), Expires: now.Add(time.Hour), UserAgent: "Browser/1",
		Identity: legacy.Identity{
			Tenant: "acme", Subject: "ada", ACR: "2", AMR: []string{"pwd"},
			State:        map[string]json.RawMessage{"theme": []byte(`"dark"`)},
			SubjectState: map[string]json.RawMessage{"limit": []byte(`100`)},
		},
	}
}

func TestOneCookieMakesOneSession(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) shop{"in memory": inMemory, "on SQLite": onSQLite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			edges := []*sessionlegacy.Journal{sessionlegacy.New(s.Sessions, s.log), sessionlegacy.New(s.Sessions, s.log)}
			in := cookie(1, time.Minute)
			handles := make([]string, 16)
			var wg sync.WaitGroup
			for i := range handles {
				wg.Go(func() {
					var err error
					if handles[i], err = edges[i%2].Start(t.Context(), in); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for _, h := range handles {
				if h == "" || h != handles[0] {
					t.Fatalf("one cookie has the handles %q", handles)
				}
			}
			all, err := s.List(t.Context(), "acme", "ada")
			if err != nil || len(all) != 1 {
				t.Fatalf("%d sessions, %v; want one", len(all), err)
			}
			got := all[0]
			if string(got.State["theme"]) != `"dark"` || got.ACR != "2" || got.Device.UserAgent != "Browser/1" ||
				got.AuthTime.Unix() != in.Issued.Unix() {
				t.Errorf("began as %+v", got)
			}
			grant, err := s.Mint(t.Context(), passport.Ask{Handle: handles[0], Workload: "edge"})
			if err != nil || grant.Claims.Subject != "ada" {
				t.Errorf("its handle mints %+v, %v", grant.Claims, err)
			}
		})
	}
}

func TestACookieNeverUndoesALogout(t *testing.T) {
	t.Parallel()
	s := inMemory(t)
	j := sessionlegacy.New(s.Sessions, s.log)
	in := cookie(1, time.Minute)
	handle, err := j.Start(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	of, err := s.Resolve(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	// Slow requests with the cookie go on while somebody signs out.
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for after := false; !after; {
				select {
				case <-ended:
					after = true // what begins now, begins after the logout was acknowledged
				default:
				}
				_, err := j.Start(t.Context(), in)
				if after && !errors.Is(err, legacy.ErrSpent) || err != nil && !errors.Is(err, legacy.ErrSpent) {
					t.Errorf("after the logout: %v, that got %v", after, err)
				}
			}
		})
	}
	if _, err := s.End(t.Context(), of.ID, session.Ended{Why: session.LoggedOut, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	close(ended)
	wg.Wait()
	if all, err := s.List(t.Context(), "acme", "ada"); err != nil || len(all) != 0 {
		t.Errorf("%d sessions live, %v", len(all), err)
	}
	if _, err := j.Start(t.Context(), cookie(2, time.Minute)); err != nil {
		t.Errorf("another sign-in is refused: %v", err)
	}
}

func TestACookieGainsNothingFromAStepUp(t *testing.T) {
	t.Parallel()
	s := inMemory(t)
	j := sessionlegacy.New(s.Sessions, s.log)
	in := cookie(1, time.Minute)
	handle, err := j.Start(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	of, err := s.Resolve(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	up := session.StepUp{Expect: journal.Any, ACR: "3", AMR: []string{"otp"}, Scopes: []string{"refund"}}
	if _, err := s.StepUp(t.Context(), of.ID, up); err != nil {
		t.Fatal(err)
	}
	if got, err := j.Start(t.Context(), in); !errors.Is(err, legacy.ErrSpent) || got != "" {
		t.Errorf("the cookie gives %q, %v; want that it is spent", got, err)
	}
}

func TestRolledCookiesOfOneSignInAreOneSession(t *testing.T) {
	t.Parallel()
	s := inMemory(t)
	j := sessionlegacy.New(s.Sessions, s.log)
	first, rolled := cookie(1, time.Hour), cookie(1, time.Minute) // one key, as Identity.SignIn gives it
	rolled.State, rolled.SubjectState = nil, nil
	a, errA := j.Start(t.Context(), first)
	b, errB := j.Start(t.Context(), rolled)
	if a == "" || a != b || errA != nil || errB != nil {
		t.Errorf("got %q and %q, %v and %v", a, b, errA, errB)
	}
}

func TestRevocationsHoldForCookiesMadeBefore(t *testing.T) {
	t.Parallel()
	for scope, target := range map[string]session.Target{
		"subject": {Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"},
		"tenant":  {Scope: heartbeat.Tenant, Key: "acme"},
		"all":     {Scope: heartbeat.All},
	} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			s := inMemory(t)
			j := sessionlegacy.New(s.Sessions, s.log)
			if _, err := j.Start(t.Context(), cookie(1, time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Revoke(t.Context(), target, "admin", "lost phone"); err != nil {
				t.Fatal(err)
			}
			unknown := cookie(5, 0)
			unknown.Issued = time.Time{}
			for name, in := range map[string]legacy.SignIn{
				"imported before": cookie(1, time.Minute), "never seen": cookie(2, time.Hour),
				"within the skew": cookie(3, -sessionlegacy.Skew/2), "made nobody knows when": unknown,
			} {
				if got, err := j.Start(t.Context(), in); !errors.Is(err, legacy.ErrSpent) || got != "" {
					t.Errorf("%s: got %q, %v; want that it is spent", name, got, err)
				}
			}
			if _, err := j.Start(t.Context(), cookie(4, -sessionlegacy.Skew)); err != nil {
				t.Errorf("made after it: %v", err)
			}
		})
	}
}

func TestWithoutARevocationAnUndatedCookieIsGood(t *testing.T) {
	t.Parallel()
	s := inMemory(t)
	in := cookie(1, 0)
	in.Issued, in.Expires = time.Time{}, time.Time{}
	if _, err := sessionlegacy.New(s.Sessions, s.log).Start(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	// It counts as old as can be, so that any revocation that comes is later.
	all, err := s.List(t.Context(), "acme", "ada")
	if err != nil || len(all) != 1 || all[0].AuthTime.Unix() != 0 {
		t.Errorf("got %+v, %v; want one session that was proved in 1970", all, err)
	}
}

func TestACookieIsForetoldWhatItsImportIsAnsweredWith(t *testing.T) {
	t.Parallel()
	s := inMemory(t)
	j := sessionlegacy.New(s.Sessions, s.log)
	for key, after := range map[byte]func(id string) error{
		10: func(string) error { return nil },
		11: func(id string) error {
			_, err := s.End(t.Context(), id, session.Ended{})
			return err
		},
		12: func(id string) error {
			_, err := s.StepUp(t.Context(), id, session.StepUp{Expect: journal.Any, ACR: "3"})
			return err
		},
	} {
		handle, err := j.Start(t.Context(), cookie(key, time.Minute))
		of, resolveErr := s.Resolve(t.Context(), handle)
		if err := errors.Join(err, resolveErr, after(of.ID)); err != nil {
			t.Fatal(err)
		}
	}
	target := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "eve"}
	if _, err := s.Revoke(t.Context(), target, "admin", ""); err != nil {
		t.Fatal(err)
	}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for name, tt := range map[string]struct {
		key    byte
		change func(*legacy.SignIn)
		want   error
	}{
		"new":                {1, func(*legacy.SignIn) {}, nil},
		"unknown attribute":  {2, func(in *legacy.SignIn) { in.State["secret"] = raw(`1`) }, legacy.ErrUnfit},
		"of another type":    {3, func(in *legacy.SignIn) { in.SubjectState["limit"] = raw(`"100"`) }, legacy.ErrUnfit},
		"too large":          {4, func(in *legacy.SignIn) { in.State["theme"] = raw(`"` + large + `"`) }, legacy.ErrUnfit},
		"an endless subject": {5, func(in *legacy.SignIn) { in.Subject = large }, legacy.ErrUnfit},
		"a tenant of two":    {6, func(in *legacy.SignIn) { in.Tenant = "a\nb" }, legacy.ErrUnfit},
		"a long method":      {7, func(in *legacy.SignIn) { in.ACR = large }, legacy.ErrUnfit},
		"made in the future": {8, func(in *legacy.SignIn) { in.Issued = time.Now().Add(time.Hour) }, legacy.ErrUnfit},
		"revoked":            {9, func(in *legacy.SignIn) { in.Subject = "eve" }, legacy.ErrSpent},
		"imported":           {10, func(*legacy.SignIn) {}, nil},
		"ended":              {11, func(*legacy.SignIn) {}, legacy.ErrSpent},
		"stepped up":         {12, func(*legacy.SignIn) {}, legacy.ErrSpent},
	} {
		in := cookie(tt.key, time.Minute)
		tt.change(&in)
		before, err := s.log.Head(t.Context())
		foretold := j.Foretell(t.Context(), in)
		after, err2 := s.log.Head(t.Context())
		if err != nil || err2 != nil || before.Position != after.Position {
			t.Errorf("%s: it wrote, from %v to %v; %v, %v", name, before, after, err, err2)
		}
		_, started := j.Start(t.Context(), in)
		for what, got := range map[string]error{"foretold": foretold, "started": started} {
			if !errors.Is(got, tt.want) {
				t.Errorf("%s: %s %v, want %v", name, what, got, tt.want)
			}
		}
	}
}

var large = strings.Repeat("x", 5000)

func TestTheJournalSaysWhatItKnowsOfASubject(t *testing.T) {
	t.Parallel()
	s := inMemory(t)
	j := sessionlegacy.New(s.Sessions, s.log)
	if got, err := j.Find(t.Context(), "acme", "ada"); err != nil || got.Found {
		t.Errorf("of a stranger it knows %+v, %v", got, err)
	}
	before := time.Now().Truncate(time.Millisecond)
	change := session.Change{Expect: journal.Any, Set: session.State{"limit": []byte(`50`)}, By: "shop"}
	if _, err := s.ChangeSubject(t.Context(), "acme", "ada", change); err != nil {
		t.Fatal(err)
	}
	target := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"}
	if _, err := s.Revoke(t.Context(), target, "admin", ""); err != nil {
		t.Fatal(err)
	}
	got, err := j.Find(t.Context(), "acme", "ada")
	if err != nil || !got.Found || string(got.State["limit"]) != "50" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got.Changed.Before(before) || got.Changed.After(time.Now()) {
		t.Errorf("changed at %v, want just now", got.Changed)
	}
	got, err = sessionlegacy.New(s.Sessions, nil).Find(t.Context(), "acme", "ada")
	if err != nil || !got.Found || !got.Changed.IsZero() {
		t.Errorf("without a log: got %+v, %v", got, err)
	}
}
