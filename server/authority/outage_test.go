// SPDX-License-Identifier: Apache-2.0

// The authority when its journal is away, and on one database with another.

package authority_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/journal/postgres"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

const secret = "host db-7.internal is down"

// flaky is a store that can be away.
type flaky struct {
	journal.Store
	away atomic.Bool
}

func (f *flaky) fail() error {
	if f.away.Load() {
		return fmt.Errorf("%w: %s", journal.ErrUnavailable, secret)
	}
	return nil
}

func (f *flaky) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Store.Commit(ctx, units)
}

func (f *flaky) Head(ctx context.Context) (journal.Checkpoint, error) {
	if err := f.fail(); err != nil {
		return journal.Checkpoint{}, err
	}
	return f.Store.Head(ctx)
}

func (f *flaky) ReadStream(ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.Store.ReadStream(ctx, q)
}

func TestWithoutItsJournalTheAuthoritySaysSoAndNoMore(t *testing.T) {
	t.Parallel()
	store := &flaky{Store: mem.Open().Store()}
	o := start(t, options{log: journal.New(store)})
	bearer := o.token(t, "admin")
	s := o.signIn(t, "acme", "u-42")
	g := o.mint(t, s)
	if got := o.introspect(t, bearer, g.Token); got.body["active"] != true {
		t.Fatalf("before the outage: %s", got.text)
	}
	store.away.Store(true)
	for name, a := range map[string]ask{
		"exchange":             {path: "/oauth/token", form: exchangeForm(s.Handle)},
		"introspect":           {path: "/oauth/introspect", form: url.Values{"token": {g.Token}}},
		"introspect a handle":  {path: "/oauth/introspect", form: url.Values{"token": {s.Handle}}},
		"revoke":               {path: "/oauth/revoke", form: url.Values{"token": {g.Token}}},
		"revoke by the handle": {path: "/oauth/revoke", form: url.Values{"token": {s.Handle}}},
	} {
		a.bearer = bearer
		got := o.do(t, a)
		got.refused(t, name, http.StatusServiceUnavailable, "temporarily_unavailable", "nothing was minted")
		if got.header.Get("Retry-After") == "" || strings.Contains(got.text, "db-7") {
			t.Errorf("%s: %v %s, want Retry-After and no word of the cause", name, got.header, got.text)
		}
	}
	ping := o.do(t, ask{path: "/v1/ping", bearer: bearer})
	if ping.status != http.StatusServiceUnavailable || strings.Contains(ping.text, "db-7") {
		t.Errorf("a ping is answered %d %s", ping.status, ping.text)
	}
	if got := o.do(t, ask{method: http.MethodGet, path: "/.well-known/jwks.json"}); got.status != http.StatusOK {
		t.Errorf("the keys are answered %d, want 200: verifiers need them most now", got.status)
	}
	store.away.Store(false)
	if got := o.introspect(t, bearer, g.Token); got.body["active"] != true {
		t.Errorf("after the outage: %d %s", got.status, got.text)
	}
}

// TestTwoNodesOnOneDatabaseAreOneAuthority ends at one node what began at the other.
func TestTwoNodesOnOneDatabaseAreOneAuthority(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Open(t)
	open := func(node string) *office {
		log, err := postgres.Open(t.Context(), postgres.Config{URL: dsn})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
		return start(t, options{log: log, node: node})
	}
	first, second := open("n1"), open("n2")
	bearer := first.token(t, "passport:"+domain, "feed")
	client := second.follow(t, bearer)
	s := first.signIn(t, "acme", "u-42")
	got := second.do(t, ask{path: "/oauth/token", bearer: bearer, form: exchangeForm(s.Handle)})
	text, _ := got.body["access_token"].(string)
	claims, err := first.verifier(t).Verify(t.Context(), text)
	if err != nil {
		t.Fatalf("the second node answers %d %s, and the first one's keys say %v", got.status, got.text, err)
	}
	if at, err := client.Sync(t.Context()); err != nil || client.View().Judge(&claims) != nil {
		t.Errorf("at %v the passport is %v, %v, want good", at, client.View().Judge(&claims), err)
	}
	if _, err := first.sessions.End(t.Context(), s.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := client.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.View().Judge(&claims); !errors.Is(err, passport.ErrRevoked) {
		t.Errorf("after the logout at the first node the verifier of the second says %v, want revoked", err)
	}
	t.Logf("the second node's feed had it after %v", time.Since(began))
	second.inactive(t, bearer, "the passport at the second node", text)
}
