// SPDX-License-Identifier: Apache-2.0

// Sessions behind the network are as those at hand, and belong to the tenants that a token names.

package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"testing"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

// signIn is a command with everything in it.
func signIn() session.Start {
	return session.Start{
		ID: journal.NewID(), Tenant: "acme", Subject: "u-42", Device: session.Device{Name: "Firefox", Address: "192.0.2.1"},
		ACR: "1", AMR: []string{"pwd"}, Scopes: []string{"read"}, SubjectState: limit("500"),
		State: session.State{"theme": json.RawMessage(`"dark"`)}, Idle: time.Minute, Absolute: time.Hour,
	}
}

func TestSessionsBehindTheNetworkAreAsThoseAtHand(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	far := o.dial(t, "session:acme").Sessions()
	ctx := t.Context()
	command := signIn()
	begun, err := far.Start(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	again, err := far.Start(ctx, command)
	if err != nil || again.ID != begun.ID {
		t.Errorf("the same command again begins %s, %v, want %s", again.ID, err, begun.ID)
	}
	same := func(name string, got session.Session, err error) {
		t.Helper()
		want, wantErr := o.sessions.Get(ctx, begun.ID)
		if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v\nwant %+v, %v", name, got, err, want, wantErr)
		}
	}
	same("start", begun.Session, nil)
	got, err := far.Get(ctx, begun.ID)
	same("get", got, err)
	resolved, err := far.Resolve(ctx, begun.Handle)
	same("resolve", resolved.Session, err)
	list, err := far.List(ctx, "acme", "u-42")
	if len(list) == 1 {
		same("list", list[0], err)
	} else {
		t.Errorf("list: %d sessions, %v, want 1", len(list), err)
	}
	got, err = far.Change(ctx, begun.ID, session.Change{
		ID: journal.NewID(), Expect: journal.Exactly(begun.Version), Unset: []string{"theme"},
	})
	same("change", got, err)
	up, err := far.StepUp(ctx, begun.ID, session.StepUp{
		ID: journal.NewID(), Expect: journal.Any, ACR: "2", AMR: []string{"hwk"}, Scopes: []string{"pay"},
	})
	same("step up", up.Session, err)
	turned, err := far.Rotate(ctx, up.Handle)
	same("rotate", turned.Session, err)
	if turned.Handle == up.Handle {
		t.Error("rotate: the handle is the same")
	}
	subject, err := far.ChangeSubject(ctx, "acme", "u-42", session.Change{
		ID: journal.NewID(), Expect: journal.Any, Set: limit("5"), Via: begun.ID,
	})
	near, nearErr := o.sessions.Subject(ctx, "acme", "u-42")
	if err != nil || nearErr != nil || !reflect.DeepEqual(subject, near) {
		t.Errorf("change subject: got %+v, %v\nwant %+v, %v", subject, err, near, nearErr)
	}
	if err := revoking(far, session.Target{Scope: heartbeat.Session, Key: begun.ID})(ctx); err != nil {
		t.Errorf("revoke: %v", err)
	}
	got, err = far.Get(ctx, begun.ID)
	same("revoked", got, err)
	if got.Ended == nil || got.Ended.By != "login" {
		t.Errorf("it ended as %+v, want by the token's holder", got.Ended)
	}
	_, err = far.ChangeSubject(ctx, "acme", "u-42", session.Change{
		ID: journal.NewID(), Expect: journal.Any, Set: limit("6"), Via: begun.ID,
	})
	if !errors.Is(err, session.ErrEnded) {
		t.Errorf("a change on behalf of an ended session: %v, want ended", err)
	}
}

func TestARepeatedCommandIsToldFromAnotherOneBehindTheNetwork(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	far, ctx := o.dial(t, "session:acme").Sessions(), t.Context()
	change := session.Change{ID: journal.NewID(), Expect: journal.None, Set: limit("5")}
	first, err := far.ChangeSubject(ctx, "acme", "u-42", change)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := far.ChangeSubject(ctx, "acme", "u-42", change); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("repeated: got %+v, %v\nwant %+v", again, err, first)
	}
	change.Set = limit("6")
	if other, err := far.ChangeSubject(ctx, "acme", "u-42", change); !errors.Is(err, journal.ErrIDReused) {
		t.Errorf("another one with its ID: got %+v, %v, want ErrIDReused", other, err)
	}
}

// TestASessionOfANewerReleaseEndsBehindTheNetwork has an event in it that the node does not know.
func TestASessionOfANewerReleaseEndsBehindTheNetwork(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	far, stranger, ctx := o.dial(t, "session:acme").Sessions(), o.dial(t, "session:other").Sessions(), t.Context()
	for name, end := range map[string]func(*remote.Sessions, string) error{
		"end": func(s *remote.Sessions, id string) error {
			_, err := s.End(ctx, id, session.Ended{})
			return err
		},
		"revoke": func(s *remote.Sessions, id string) error {
			return revoking(s, session.Target{Scope: heartbeat.Session, Key: id})(ctx)
		},
	} {
		begun, err := far.Start(ctx, signIn())
		if err != nil {
			t.Fatal(err)
		}
		event := journal.EventData{Type: "session.of-tomorrow", Data: []byte(`{}`)}
		if _, err := o.log.Append(ctx, session.Stream(begun.ID), journal.Any, event); err != nil {
			t.Fatal(err)
		}
		list, err := far.List(ctx, "acme", "u-42")
		if err != nil || len(list) != 1 || list[0].ID != begun.ID || list[0].Version != 0 {
			t.Errorf("%s: listed are %+v, %v", name, list, err)
		}
		if err := end(stranger, begun.ID); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("%s by a stranger: %v, want not found", name, err)
		}
		if err := end(far, begun.ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := far.List(ctx, "acme", "u-42"); err != nil || len(list) != 0 {
			t.Errorf("%s: listed afterwards are %+v, %v", name, list, err)
		}
		if n := len(entries(t, far.History(ctx, begun.ID))); n != 3 {
			t.Errorf("%s: the history has %d entries, want 3", name, n)
		}
	}
}

func TestWhatIsForetoldBehindTheNetworkIsAsAtHand(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	far := o.dial(t, "session:acme").Sessions()
	ctx := t.Context()
	command := signIn()
	if got, err := far.Foretell(ctx, command); err != nil || got.ID != "" {
		t.Errorf("before the start: got %+v, %v; want nothing", got, err)
	}
	begun, err := far.Start(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := far.Foretell(ctx, command); err != nil || !reflect.DeepEqual(got, begun.Session) {
		t.Errorf("after it: got %+v, %v\nwant %+v", got, err, begun.Session)
	}
	for want, st := range map[error]session.Start{
		journal.ErrInvalid:   {Tenant: "acme", Subject: "u", State: limit("1")},
		remote.ErrPermission: {Tenant: "other", Subject: "u"},
	} {
		if _, err := far.Foretell(ctx, st); !errors.Is(err, want) {
			t.Errorf("of %s: got %v, want %v", st.Tenant, err, want)
		}
	}
	public, err := far.Public(ctx)
	if want, _ := o.sessions.Public(ctx); err != nil || len(want.Subject) == 0 || !reflect.DeepEqual(public, want) {
		t.Errorf("public: got %+v, %v, want %+v", public, err, want)
	}
}

func TestHistoriesComeWhole(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	far := o.dial(t, "session:*").Sessions()
	s, err := far.Start(t.Context(), session.Start{Tenant: "acme", Subject: "u-42", SubjectState: limit("0")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range journal.MaxPage + 100 { // more than one answer takes
		_, err := o.sessions.ChangeSubject(t.Context(), "acme", "u-42", session.Change{
			Expect: journal.Any, Set: limit(strconv.Itoa(i + 1)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, pair := range map[string][2][]session.Entry{
		"session": {
			entries(t, far.History(t.Context(), s.ID)), entries(t, o.sessions.History(t.Context(), s.ID)),
		},
		"subject": {
			entries(t, far.SubjectHistory(t.Context(), "acme", "u-42")),
			entries(t, o.sessions.SubjectHistory(t.Context(), "acme", "u-42")),
		},
	} {
		if got, want := pair[0], pair[1]; len(got) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("history of the %s: %d entries, want %d", name, len(got), len(want))
		}
	}
}

func entries(t *testing.T, all func(func(session.Entry, error) bool)) []session.Entry {
	t.Helper()
	var list []session.Entry
	for e, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		e.Time, e.Detail = e.Time.UTC(), compact(t, e.Detail)
		list = append(list, e)
	}
	return list
}

// compact writes JSON in one way.
func compact(t *testing.T, text json.RawMessage) json.RawMessage {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestATokenReachesItsTenantsAlone tries everything with the right to another tenant.
func TestATokenReachesItsTenantsAlone(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	s, err := o.sessions.Start(t.Context(), session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "u-42"})
	if err != nil {
		t.Fatal(err)
	}
	change := session.Change{
		ID: journal.NewID(), Expect: journal.Any, Set: session.State{"theme": json.RawMessage(`"x"`)},
	}
	for name, rights := range map[string][]string{
		"another tenant": {"session:other", "session:acme2", "session:ac"}, "no tenant": {"passport:*", "feed", "read:*"},
	} {
		far := o.dial(t, rights...).Sessions()
		for deed, do := range map[string]func(ctx context.Context) error{
			"start": func(ctx context.Context) error {
				_, err := far.Start(ctx, session.Start{Tenant: "acme", Subject: "u-42"})
				return err
			},
			"get":     func(ctx context.Context) error { _, err := far.Get(ctx, s.ID); return err },
			"resolve": func(ctx context.Context) error { _, err := far.Resolve(ctx, s.Handle); return err },
			"rotate":  func(ctx context.Context) error { _, err := far.Rotate(ctx, s.Handle); return err },
			"list":    func(ctx context.Context) error { _, err := far.List(ctx, "acme", "u-42"); return err },
			"change":  func(ctx context.Context) error { _, err := far.Change(ctx, s.ID, change); return err },
			"step up": func(ctx context.Context) error { _, err := far.StepUp(ctx, s.ID, session.StepUp{ACR: "9"}); return err },
			"subject": func(ctx context.Context) error { _, err := far.Subject(ctx, "acme", "u-42"); return err },
			"change subject": func(ctx context.Context) error {
				_, err := far.ChangeSubject(ctx, "acme", "u-42", change)
				return err
			},
			"end": func(ctx context.Context) error { _, err := far.End(ctx, s.ID, session.Ended{}); return err },
			"history": func(ctx context.Context) error {
				for _, err := range far.History(ctx, s.ID) {
					return err
				}
				return nil
			},
			"revoke session": revoking(far, session.Target{Scope: heartbeat.Session, Key: s.ID}),
			"revoke subject": revoking(far, session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "u-42"}),
			"revoke subject by key": revoking(far, session.Target{
				Scope: heartbeat.Subject, Key: passport.SubjectKey("acme", "u-42"),
			}),
			"revoke subject by key, under a name of one's own": revoking(far, session.Target{
				Scope: heartbeat.Subject, Key: passport.SubjectKey("acme", "u-42"), Tenant: "other", Subject: "u-42",
			}),
			"revoke tenant": revoking(far, session.Target{Scope: heartbeat.Tenant, Key: "acme"}),
			"revoke all":    revoking(far, session.Target{Scope: heartbeat.All}),
			"rotate key":    func(ctx context.Context) error { _, err := far.RotateKey(ctx); return err },
			"revoke key":    revoking(far, session.Target{Scope: heartbeat.Key, Key: "x"}),
		} {
			err := do(t.Context())
			hidden := errors.Is(err, journal.ErrNotFound) || errors.Is(err, passport.ErrNoSession)
			if !errors.Is(err, remote.ErrPermission) && !hidden {
				t.Errorf("%s with %s: %v, want permission denied or not found", deed, name, err)
			}
		}
	}
	if now, err := o.sessions.Get(t.Context(), s.ID); err != nil || now.Version != s.Version || now.Ended != nil {
		t.Errorf("the session is %+v, %v, want as it was", now, err)
	}
}

func revoking(far *remote.Sessions, target session.Target) func(ctx context.Context) error {
	return func(ctx context.Context) error { _, err := far.Revoke(ctx, target, "", ""); return err }
}

func TestTheFeedOverConnectIsASource(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	client, err := heartbeat.Open(heartbeat.Config{
		Sources: []heartbeat.Source{o.dial(t, "feed").Feed()}, Every: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	defer func() { cancel(); <-done }()
	s, err := o.sessions.Start(t.Context(), session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "u-42"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := client.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := passport.Claims{Session: s.ID, Tenant: "acme", Subject: "u-42", Mark: before}
	if err := client.View().Judge(&c); err != nil {
		t.Errorf("a session that lives: %v", err)
	}
	if _, err := o.sessions.End(t.Context(), s.ID, session.Ended{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.View().Judge(&c); !errors.Is(err, passport.ErrRevoked) {
		t.Errorf("a session that ended: %v, want revoked", err)
	}
	for _, err := range o.dial(t, "session:*").Feed().Subscribe(t.Context(), passport.Mark{}) {
		if !errors.Is(err, remote.ErrPermission) {
			t.Errorf("without the right: %v, want permission denied", err)
		}
	}
}

func TestBeatsFindTheNodeThatKeepsPresence(t *testing.T) {
	t.Parallel()
	first := start(t, nil, "", "n1")
	await(t, first)
	second := start(t, first.log, "", "n2")
	feed := second.dial(t, "feed").Feed()
	if err := feed.Beats(t.Context(), []presence.Beat{{ID: presence.ID{1}}}); err != nil {
		t.Errorf("by way of the other node: %v", err)
	}
	if stats, _ := first.Attendance(); stats.Unknown != 1 {
		t.Errorf("%+v arrived at the first node, want one beat of nobody", stats)
	}
	if err := second.dial(t, "read:*").Feed().Beats(t.Context(), nil); !errors.Is(err, remote.ErrPermission) {
		t.Errorf("without the right: %v, want permission denied", err)
	}
}
