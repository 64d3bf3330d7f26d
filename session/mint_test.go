// SPDX-License-Identifier: Apache-2.0

// Minting, replacing and introspecting: who gets what, and who is refused.

package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

func TestBadAsksAreRefused(t *testing.T) {
	t.Parallel()
	h := open(t, mem.Open(), nil)
	st := h.start(t)
	handle := func(cell, sid string, generation int64) func(*passport.Ask) {
		return func(a *passport.Ask) { a.Handle = h.keys.Handle(cell, sid, generation) }
	}
	for name, c := range map[string]struct {
		spoil func(*passport.Ask)
		want  error
		field string
	}{
		"a scope it does not have": {func(a *passport.Ask) { a.Scope = "read admin" }, passport.ErrScope, ""},
		"half a scope":             {func(a *passport.Ask) { a.Scope = "rea" }, passport.ErrScope, ""},
		"spaces for a scope":       {func(a *passport.Ask) { a.Scope = " " }, passport.ErrScope, ""},
		"too long a life":          {func(a *passport.Ask) { a.Life = time.Hour }, journal.ErrInvalid, "Ask.Life"},
		"a life in the past":       {func(a *passport.Ask) { a.Life = -time.Second }, journal.ErrInvalid, "Ask.Life"},
		"nobody who asks":          {func(a *passport.Ask) { a.Workload = "" }, journal.ErrInvalid, "Ask.Workload"},
		"a huge request":           {func(a *passport.Ask) { a.Request = huge() }, journal.ErrInvalid, "Ask.Request"},
		"a request that is none":   {func(a *passport.Ask) { a.Request = huge()[:9] }, journal.ErrInvalid, "Ask.Request"},
		"a huge txn":               {func(a *passport.Ask) { a.Txn = long(65) }, journal.ErrInvalid, "Ask.Txn"},
		"a forged handle":          {func(a *passport.Ask) { a.Handle += "A" }, passport.ErrNoSession, ""},
		"no handle":                {func(a *passport.Ask) { a.Handle = "" }, passport.ErrNoSession, ""},
		"a handle of another cell": {handle("west", st.ID, 1), passport.ErrNoSession, ""},
		"a handle of no session":   {handle("main", long(22), 1), passport.ErrNoSession, ""},
		"a generation to come":     {handle("main", st.ID, 2), passport.ErrNoSession, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := ask(st.Handle)
			c.spoil(&a)
			g, err := h.Mint(context.Background(), a)
			if !errors.Is(err, c.want) || c.field != "" && fieldOf(err) != c.field || g.Token != "" {
				t.Errorf("Mint = %+v, %v, want %v %s", g, err, c.want, c.field)
			}
		})
	}
}

func huge() json.RawMessage { return json.RawMessage(`{"x":"` + long(300) + `"}`) }

// fieldOf returns the field that an error is about.
func fieldOf(err error) string {
	if invalid := (*journal.InvalidError)(nil); errors.As(err, &invalid) {
		return invalid.Field
	}
	return ""
}

func TestAnAskIsAnsweredAsAsked(t *testing.T) {
	t.Parallel()
	h := open(t, mem.Open(), nil)
	st := h.start(t)
	g, err := h.Mint(context.Background(), passport.Ask{
		Handle: st.Handle, Scope: "buy", Workload: "gate-7", Txn: "t-1", Request: json.RawMessage(`{"req_ip":"192.0.2.1"}`),
		Life: 5 * time.Second, AtLeast: passport.Mark{Log: "elsewhere", Epoch: 9, Position: 1 << 40},
	})
	c := g.Claims
	if err != nil || c.Scope != "buy" || c.Workload != "gate-7" || c.Txn != "t-1."+st.ID ||
		c.ExpiresAt.Sub(c.IssuedAt) != 5*time.Second || string(c.Request) != `{"req_ip":"192.0.2.1"}` {
		t.Errorf("Mint = %+v, %v", g.Claims, err)
	}
	if a, b := h.mint(t, st.Handle).Claims.Txn, h.mint(t, st.Handle).Claims.Txn; a == b || a == "" {
		t.Errorf("transactions get the names %q and %q", a, b)
	}
}

// Whatever is accepted at the start and by changes can be minted.
func TestTheLargestSessionCanBeMinted(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), func(c *session.Config) {
		c.Public.Session["big"] = session.Attribute{}
	})
	full := func(name string) session.State {
		return state(name, `"`+strings.Repeat("x", session.MaxState-len(`{"":""}`)-len(name))+`"`)
	}
	var scopes []string
	for range 16 {
		scopes = append(scopes, long(15))
	}
	st, err := h.Start(ctx, session.Start{
		Tenant: long(64), Subject: long(128), Scopes: scopes, State: full("big"),
		SubjectState: full("extra"), ACR: long(32), AMR: []string{long(60)},
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.Mint(ctx, passport.Ask{
		Handle: st.Handle, Workload: long(64), Txn: long(64), Request: json.RawMessage(`{"x":"` + long(248) + `"}`),
	})
	if err != nil || len(g.Token) > passport.MaxToken {
		t.Fatalf("a passport of %d bytes: %v", len(g.Token), err)
	}
	one := session.Change{Expect: journal.Any, Set: state("tab", "1")}
	if _, err := h.Change(ctx, st.ID, one); fieldOf(err) != "Change.Set" {
		t.Errorf("one attribute too many: %v, want an InvalidError of Change.Set", err)
	}
	more := session.Change{Expect: journal.Any, Set: state("limit", "1")}
	if _, err := h.ChangeSubject(ctx, long(64), long(128), more); fieldOf(err) != "Change.Set" {
		t.Errorf("one attribute of the subject too many: %v, want an InvalidError of Change.Set", err)
	}
}

func TestAReplacementNeverWidens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, h := context.Background(), open(t, mem.Open(), nil)
		st := h.start(t)
		g, err := h.Mint(ctx, passport.Ask{Handle: st.Handle, Scope: "read", Workload: "edge"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.StepUp(ctx, st.ID, session.StepUp{Expect: 1, ACR: "9", Scopes: []string{"admin"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Change(ctx, st.ID, session.Change{Expect: 2, Set: state("tab", "2")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		r, err := h.Replace(ctx, g.Token, passport.Mark{})
		if err != nil {
			t.Fatal(err)
		}
		was, is := g.Claims, r.Claims
		if is.Txn != was.Txn || is.Subject != was.Subject || is.Audience != was.Audience || is.Workload != was.Workload ||
			is.Scope != "read" || is.ACR != was.ACR || !is.ExpiresAt.Equal(was.ExpiresAt) {
			t.Errorf("the replacement says %+v, the passport %+v", is, was)
		}
		if is.Version != 3 || is.Position <= was.Position || !strings.Contains(string(is.State), `"tab":2`) {
			t.Errorf("the replacement is of version %d at %d with %s", is.Version, is.Position, is.State)
		}
		time.Sleep(30 * time.Second)
		if _, err := h.Replace(ctx, r.Token, passport.Mark{}); !errors.Is(err, passport.ErrExpired) {
			t.Errorf("Replace after its end: %v, want ErrExpired", err)
		}
		if _, err := h.Replace(ctx, r.Token[:len(r.Token)-2], passport.Mark{}); !errors.Is(err, passport.ErrInvalid) {
			t.Errorf("Replace of a forgery: %v, want ErrInvalid", err)
		}
	})
}

func TestARevokedPassportIsNotReplaced(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	for _, scope := range []heartbeat.Scope{
		heartbeat.Token, heartbeat.Session, heartbeat.Subject, heartbeat.Tenant, heartbeat.All, heartbeat.Key,
	} {
		st := h.start(t)
		g := h.mint(t, st.Handle)
		key := map[heartbeat.Scope]string{
			heartbeat.Token: g.Claims.Txn, heartbeat.Session: st.ID, heartbeat.Tenant: "acme", heartbeat.Key: g.Claims.KeyID,
			heartbeat.Subject: passport.SubjectKey("acme", "ada"),
		}[scope]
		if _, err := h.Revoke(ctx, session.Target{Scope: scope, Key: key}, "ops", ""); err != nil {
			t.Fatal(err)
		}
		want := passport.ErrRevoked
		if scope == heartbeat.Key {
			want = passport.ErrInvalid // nobody knows its key any more
		}
		if _, err := h.Replace(ctx, g.Token, passport.Mark{}); !errors.Is(err, want) {
			t.Errorf("%s: Replace says %v, want %v", scope, err, want)
		}
		_, err := h.Mint(ctx, ask(st.Handle))
		if alone := scope == heartbeat.Token || scope == heartbeat.Key; alone != (err == nil) {
			t.Errorf("%s: Mint says %v", scope, err)
		}
	}
}

func TestAnAuthorityWithoutAJournalSaysSo(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	h := open(t, log, nil)
	st := h.start(t)
	g := h.mint(t, st.Handle)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, minted := h.Mint(ctx, ask(st.Handle))
	_, replaced := h.Replace(ctx, g.Token, passport.Mark{})
	for what, err := range map[string]error{"Mint": minted, "Replace": replaced} {
		if !errors.Is(err, passport.ErrUnavailable) {
			t.Errorf("%s says %v, want ErrUnavailable", what, err)
		}
	}
}

func TestWhatIsNoLongerDeclaredDoesNotTravel(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	h := open(t, log, nil)
	st, err := h.Start(ctx, session.Start{
		Tenant: "acme", Subject: "ada", State: state("tab", "1", "cart", `{}`),
		SubjectState: state("permit", `"NV"`, "limit", "1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	next := open(t, log, func(c *session.Config) {
		c.Public.Subject = map[string]session.Attribute{"limit": {Type: "string"}, "permit": {Type: "string"}}
		delete(c.Public.Session, "cart")
	})
	if got := string(next.mint(t, st.Handle).Claims.State); got != `{"subject":{"permit":"NV"},"session":{"tab":1}}` {
		t.Errorf("the passport says %s", got)
	}
}
