// SPDX-License-Identifier: Apache-2.0

// Bad input: each is refused with the field that is to blame.

package session_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

func TestADeviceIsNoReasonToRefuseAnybody(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	long := strings.Repeat("x", 255)
	for agent, want := range map[string]string{
		"":                                      "",
		"Firefox \"on\"\tLinux\n":               `Firefox "on" Linux`,
		long + "é":                              long,
		long + "yz":                             long + "y",
		(long + "é")[:256]:                      long,
		`"` + strings.Repeat("x", 300):          `"` + long[:254],
		"Firefox\xff\xfe 3":                     "Firefox 3",
		strings.Repeat(`"`, 1<<20):              strings.Repeat(`"`, 128),
		strings.Repeat("\U0001f98a", 1<<18):     strings.Repeat("\U0001f98a", 64),
		strings.Repeat("\x00", 400) + "Firefox": "",
	} {
		device := session.Device{Name: agent, UserAgent: agent, Address: agent}
		st, err := h.Start(ctx, session.Start{Subject: "ada", Device: device})
		if want := (session.Device{Name: want, UserAgent: want, Address: want}); err != nil || st.Device != want {
			t.Errorf("%.40q is kept as %q, %v; want %q", agent, st.Device.UserAgent, err, want.UserAgent)
		}
		if again := st.Device.Clean(); again != st.Device {
			t.Errorf("%.40q cleaned twice is %q, once %q", agent, again, st.Device)
		}
	}
}

func TestBadConfigsAreRefused(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	c, err := cell.Open(ctx, cell.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: bytes.Repeat([]byte{7}, keyring.SealSize)})
	if err != nil {
		t.Fatal(err)
	}
	good := session.Config{Cell: c, Keys: keys, Issuer: "https://id.test", TrustDomain: "shop", Scopes: []string{"read"}}
	if _, err := session.Open(ctx, good); err != nil {
		t.Fatal(err)
	}
	declare := func(name, kind string) session.Public {
		return session.Public{Subject: map[string]session.Attribute{name: {Type: kind}}}
	}
	for field, spoil := range map[string]func(*session.Config){
		"Config.Cell":        func(c *session.Config) { c.Cell = nil },
		"Config.Keys":        func(c *session.Config) { c.Keys = nil },
		"Config.Issuer":      func(c *session.Config) { c.Issuer = "" },
		"Config":             func(c *session.Config) { c.Issuer = long(1000) },
		"Config.TrustDomain": func(c *session.Config) { c.TrustDomain = "" },
		"Config.Schema":      func(c *session.Config) { c.Public = declare("limit", "number") },
		"Config.Life":        func(c *session.Config) { c.Life = time.Hour },
		"Config.Concurrent":  func(c *session.Config) { c.Concurrent = session.MaxConcurrent + 1 },
		"Config.Idle":        func(c *session.Config) { c.Idle = time.Millisecond },
		"Config.Absolute":    func(c *session.Config) { c.Absolute = 366 * 24 * time.Hour },
		"Config.Scopes":      func(c *session.Config) { c.Scopes = nil },
		"Config.Scopes[1]":   func(c *session.Config) { c.Scopes = []string{"read", "b uy"} },
		"Config.Public.Subject": func(c *session.Config) {
			c.Schema, c.Public = "shop/1", declare("a b", "number")
		},
		"Config.Public.Subject.limit.Type": func(c *session.Config) {
			c.Schema, c.Public = "shop/1", declare("limit", "integer")
		},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			cfg := good
			spoil(&cfg)
			if _, err := session.Open(ctx, cfg); fieldOf(err) != field {
				t.Errorf("Open says %v, want an InvalidError of %s", err, field)
			}
		})
	}
}

type start = session.Start

func TestBadStartsAreRefused(t *testing.T) {
	t.Parallel()
	h := open(t, mem.Open(), nil)
	for name, c := range map[string]struct {
		field string
		spoil func(*start)
	}{
		"nobody":             {"Start.Subject", func(s *start) { s.Subject = "" }},
		"a huge name":        {"Start.Subject", func(s *start) { s.Subject = long(129) }},
		"a name of quotes":   {"Start.Subject", func(s *start) { s.Subject = strings.Repeat(`"`, 65) }},
		"a broken name":      {"Start.Subject", func(s *start) { s.Subject = "a\xff" }},
		"two lines":          {"Start.Tenant", func(s *start) { s.Tenant = "a\nb" }},
		"an undeclared name": {"Start.State.secret", func(s *start) { s.State = state("secret", "1") }},
		"the other's name":   {"Start.State.permit", func(s *start) { s.State = state("permit", `"NV"`) }},
		"another type":       {"Start.SubjectState.limit", func(s *start) { s.SubjectState = state("limit", `"100"`) }},
		"null":               {"Start.SubjectState.extra", func(s *start) { s.SubjectState = state("extra", `null`) }},
		"no JSON":            {"Start.State.cart", func(s *start) { s.State = state("cart", `{`) }},
		"nothing":            {"Start.State.cart", func(s *start) { s.State = state("cart", "") }},
		"a member twice":     {"Start.State", func(s *start) { s.State = state("cart", `{"a":1,"a":2}`) }},
		"too deep":           {"Start.SubjectState", func(s *start) { s.SubjectState = state("extra", deep(20)) }},
		"too much":           {"Start.State", func(s *start) { s.State = state("cart", `{"`+long(800)+`":1}`) }},
		"a bad scope":        {"Start.Scopes[0]", func(s *start) { s.Scopes = []string{`re"ad`} }},
		"no scopes":          {"Start.Scopes", func(s *start) { s.Scopes = []string{} }},
		"many methods":       {"Start.AMR", func(s *start) { s.AMR = strings.Split(long(9), "") }},
		"the future":         {"Start.AuthTime", func(s *start) { s.AuthTime = time.Now().Add(time.Hour) }},
		"a long life":        {"Start.Absolute", func(s *start) { s.Absolute = 1000 * 24 * time.Hour }},
		"no time":            {"Start.Idle", func(s *start) { s.Idle = time.Nanosecond }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := session.Start{Tenant: "acme", Subject: "ada"}
			c.spoil(&st)
			if _, err := h.Start(context.Background(), st); fieldOf(err) != c.field {
				t.Errorf("Start says %v, want an InvalidError of %s", err, c.field)
			}
		})
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestBadCommandsAreRefused(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	id := h.start(t).ID
	bob, err := h.Start(ctx, session.Start{Tenant: "acme", Subject: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	change := func(c session.Change) error { _, err := h.Change(ctx, id, c); return err }
	up := func(u session.StepUp) error { _, err := h.StepUp(ctx, id, u); return err }
	revoke := func(x session.Target) error { _, err := h.Revoke(ctx, x, "", ""); return err }
	any1 := journal.Any
	_, via := h.ChangeSubject(ctx, "acme", "ada", session.Change{Expect: any1, Set: state("limit", "1"), Via: bob.ID})
	_, subject := h.Subject(ctx, "acme", "")
	twoSubjects := session.Target{
		Scope: heartbeat.Subject, Key: passport.SubjectKey("acme", "ada"), Tenant: "acme", Subject: "bob",
	}
	_, end := h.End(ctx, id, session.Ended{Reason: long(1000)})
	for field, err := range map[string]error{
		"Change.Set.secret": change(session.Change{Expect: any1, Set: state("secret", "1")}),
		"Change.Unset[0]":   change(session.Change{Expect: any1, Set: state("tab", "1"), Unset: []string{"tab"}}),
		"Change.Expect":     change(session.Change{Expect: -9}),
		"Change.By":         change(session.Change{Expect: any1, By: long(1000)}),
		"Change.Via":        via,
		"StepUp.ACR":        up(session.StepUp{Expect: any1, ACR: long(100)}),
		"StepUp.Scopes":     up(session.StepUp{Expect: any1, Scopes: []string{long(250)}}),
		"StepUp.AuthTime":   up(session.StepUp{Expect: any1, AuthTime: time.Now().Add(time.Hour)}),
		"StepUp.Expect":     up(session.StepUp{Expect: -9}),
		"Target.Scope":      revoke(session.Target{Scope: "world"}),
		"Target.Key":        revoke(session.Target{Scope: heartbeat.Subject, Key: "ada"}),
		"Target.Subject":    revoke(twoSubjects),
		"kid":               revoke(session.Target{Scope: heartbeat.Key, Key: "nosuchke"}),
		"subject":           subject,
		"Ended.Reason":      end,
	} {
		if fieldOf(err) != field {
			t.Errorf("%s: got %v, want an InvalidError of it", field, err)
		}
	}
}
