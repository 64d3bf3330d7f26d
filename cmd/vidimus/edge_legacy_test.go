// SPDX-License-Identifier: Apache-2.0

// Files that say how older cookies are taken over: read, or refused; and what the operator is told.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/journal"
	"example.com/vidimus/session"
)

// secret is a key that nothing may show.
const secret = "not-to-be-shown-in-any-error-or-log"

// reads reads a file of --legacy and everything that it names.
func reads(t *testing.T, text string) (*legacyFile, *legacy.Reader, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"legacy.json": text, "key": secret + "\r\n", "none": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := readLegacy(filepath.Join(dir, "legacy.json"))
	if err != nil {
		return f, nil, err
	}
	environment := map[string]string{
		"KEY": secret, "SHORT": "short", "HEX": strings.Repeat("0f", 32), "BASE64": strings.Repeat("-_-_", 10) + "-_4=",
	}
	quiet := &seldom{logger: slog.New(slog.DiscardHandler)}
	r, err := f.reader(func(name string) string { return environment[name] }, quiet)
	return f, r, err
}

// described is a file with one cookie, whose description begins well and ends with some fields.
func described(fields string) string {
	return `{"stage": "import", "cookies": [{"name": "shop", "subject": "sub", ` + fields + `}]}`
}

func TestFilesThatSayHowToTakeCookiesOverAreRead(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a key in the environment": described(`"format": "next-auth", "keys": [{"env": "KEY"}]`),
		"a key in a file":          described(`"format": "authjs", "keys": [{"file": "key"}]`),
		"keys with ids": described(
			`"format": "iron-session", "life": "24h", "keys": [{"id": "2", "env": "KEY"}, {"file": "key"}]`),
		"a key in hex":               described(`"format": "jose-dir", "keys": [{"env": "HEX", "encoding": "hex"}]`),
		"a key in base64":            described(`"format": "jose-a256kw", "keys": [{"env": "BASE64", "encoding": "base64"}]`),
		"a key that is a plain text": described(`"format": "authjs", "keys": [{"env": "HEX", "encoding": "text"}]`),
		"all there is": `{
			"stage": "cut-over", "before": "2026-12-01T06:00:00Z", "sample": 10, "patience": "1s",
			"cookies": [
				{
					"name": "a", "format": "authjs", "keys": [{"env": "KEY"}], "endless": true, "domain": "shop.example",
					"path": "/shop", "tenant": "acme", "subject": "sub", "sign_in": "signin",
					"subject_state": {"limit": "/user/limit"}, "session_state": {"theme": "theme"}
				},
				{"name": "b", "format": "next-auth", "keys": [{"env": "KEY"}], "tenant_claim": "org", "subject": "sub"}
			]
		}`,
		"no keys, where cookies are refused unread": `{"stage": "refuse", "cookies": [{"name": "a", "format": "jose-dir"}]}`,
		"keys that are not there any more": `{"stage": "refuse", "cookies": [
			{"name": "a", "format": "iron-session", "keys": [{"env": "GONE"}, {"file": "gone"}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := reads(t, text); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheFileOfTheGuideIsRead(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "migration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```json\n")
	text, _, found := strings.Cut(text, "```")
	if _, _, err := reads(t, strings.ReplaceAll(text, "NEXTAUTH_SECRET", "KEY")); err != nil || !found {
		t.Errorf("%v\n%s", err, text)
	}
}

// refused checks that a file is refused, and that no secret is shown.
func refused(t *testing.T, text, want string) {
	t.Helper()
	_, _, err := reads(t, text)
	if err == nil {
		t.Fatalf("was read; want %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("shows a secret: %v", err)
	}
}

func TestBadFilesAreRefusedByFieldAndRemedy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":                 {``, "line 1 is no JSON: unexpected end of JSON input"},
		"no JSON":                 {"{\n\"stage\": shadow}", "line 2 is no JSON: invalid character 's'"},
		"two objects":             {`{} {}`, "line 1 is no JSON"},
		"no object":               {`[]`, "is no object; write {...}"},
		"too much":                {`{"stage": "` + strings.Repeat("x", settingsMax) + `"}`, "is longer than 65536 bytes"},
		"a field nobody knows":    {`{"stages": "shadow"}`, "stages is no field; use before, cookies, patience, "},
		"another case":            {`{"Stage": "shadow"}`, "Stage is no field"},
		"a field twice":           {`{"stage": "import", "stage": "shadow"}`, "stage is there twice; give it once"},
		"no stage":                {`{}`, `stage is missing; begin with "shadow"`},
		"an empty stage":          {`{"stage": ""}`, `stage is empty; leave it out, or write it as "shadow"`},
		"null":                    {`{"stage": null}`, `stage is no text; write it as "shadow"`},
		"a stage nobody knows":    {`{"stage": "` + secret + `"}`, `stage is unknown; use one of ["shadow" "import" `},
		"no moment":               {`{"stage": "cut-over"}`, "before is missing"},
		"a moment too early":      {`{"stage": "import", "before": "2026-12-01T06:00:00Z"}`, `before belongs to the stage`},
		"a moment that is none":   {`{"stage": "cut-over", "before": "soon"}`, `before is no time; write it as "2026-12-01`},
		"a sample that is none":   {`{"stage": "shadow", "sample": "10"}`, "sample is no number"},
		"a sample below 0":        {`{"stage": "shadow", "sample": -1}`, "sample is below 0"},
		"patience without a unit": {`{"stage": "shadow", "patience": 100}`, `patience is no duration above 0; write it `},
		"no cookies":              {`{"stage": "shadow", "cookies": []}`, "cookies has 0; describe 1 to 4"},
		"no list of cookies":      {`{"stage": "shadow", "cookies": {}}`, "cookies is no list"},
		"a cookie that is none":   {`{"stage": "shadow", "cookies": ["shop"]}`, "cookies[0] is no object"},
		"no name":                 {`{"stage": "shadow", "cookies": [{}]}`, "cookies[0].name is missing"},
		"a name that is none": {
			`{"stage": "refuse", "cookies": [{"name": "a b", "format": "authjs"}]}`, "cookies[0].name is none",
		},
		"no subject": {
			`{"stage": "import", "cookies": [{"name": "a", "format": "authjs", "keys": [{"env": "KEY"}]}]}`,
			"cookies[0].subject is missing",
		},
		"one cookie twice": {
			`{"stage": "refuse", "cookies": [{"name": "a", "format": "authjs"}, {"name": "a", "format": "authjs"}]}`,
			"cookies[1].name ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, tt.text, tt.want)
		})
	}
}

func TestBadCookiesInFilesAreRefusedByFieldAndRemedy(t *testing.T) {
	t.Parallel()
	const authjs = `"format": "authjs", "keys": [{"env": "KEY"}], `
	for name, tt := range map[string]struct{ fields, want string }{
		"no format":                {`"keys": [{"env": "KEY"}]`, `.format is missing or unknown; use one of ["authjs" `},
		"a format nobody knows":    {`"format": "nextauth"`, ".format is missing or unknown"},
		"a field nobody knows":     {`"formt": "authjs"`, ".formt is no field; use domain, endless, format, keys"},
		"no keys":                  {`"format": "authjs"`, `.keys has 0; name 1 to 4, as [{"env": "AUTH_SECRET"}]`},
		"a claim that is none":     {authjs + `"sign_in": 1`, `.sign_in is no text; write it as "sub"`},
		"an attribute without one": {authjs + `"subject_state": {"limit": {}}`, ".subject_state.limit is no text"},
		"an attribute twice":       {authjs + `"session_state": {"a": "b", "a": "c"}`, ".session_state.a is there twice"},
		"both tenants":             {authjs + `"tenant": "a", "tenant_claim": "b"`, ".tenant cannot be joined with "},
		"endless in words":         {authjs + `"endless": "yes"`, ".endless is no yes or no; write true or false"},
		"a life of what says it":   {authjs + `"life": "1h"`, `.life belongs to the format "iron-session"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, described(tt.fields), "cookies[0]"+tt.want)
		})
	}
}

func TestBadKeysInFilesAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ format, key, want string }{
		"in the file":           {"authjs", `{"secret": "` + secret + `"}`, ".secret is no field; use encoding, env, file"},
		"as it stands":          {"authjs", `"` + secret + `"`, " is no object"},
		"for a variable":        {"authjs", `{"env": "` + secret + `"}`, ".env names no variable that is set"},
		"for a file":            {"authjs", `{"file": "` + secret + `"}`, ".file cannot be read: no such file"},
		"for an encoding":       {"authjs", `{"env": "KEY", "encoding": "` + secret + `"}`, `.encoding is unknown; use "`},
		"in another encoding":   {"authjs", `{"env": "KEY", "encoding": "hex"}`, " holds what is no hex; name another"},
		"in both places":        {"authjs", `{"env": "KEY", "file": "key"}`, " needs env or file, and not both"},
		"in no place":           {"authjs", `{"id": "1"}`, " needs env or file"},
		"in an empty file":      {"authjs", `{"file": "none"}`, " has 0 bytes; name a key of 1 to 4096"},
		"by an absolute path":   {"authjs", `{"file": "/dev/null"}`, " has 0 bytes"},
		"too short":             {"iron-session", `{"env": "SHORT"}`, " has 5 bytes: iron takes 32"},
		"of the wrong length":   {"jose-dir", `{"env": "KEY"}`, " has 35 bytes"},
		"with an id that is no": {"iron-session", `{"id": "*", "env": "KEY"}`, ".id "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, described(`"format": "`+tt.format+`", "keys": [`+tt.key+`]`), "cookies[0].keys[0]"+tt.want)
		})
	}
}

func TestClaimsBecomeAnIdentity(t *testing.T) {
	t.Parallel()
	f, _, err := reads(t, described(`"format": "authjs", "keys": [{"env": "KEY"}], "tenant_claim": "/org/a~1b",
		"sign_in": "signin", "subject_state": {"limit": "limit", "gone": "gone"}, "session_state": {"theme": "/look/theme"}`))
	if err != nil {
		t.Fatal(err)
	}
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	type state = map[string]json.RawMessage
	for name, tt := range map[string]struct {
		claims string
		want   legacy.Identity // the zero one for an error
	}{
		"all": {
			claims: `{"sub": "ada", "org": {"a/b": "acme"}, "signin": "s", "limit": 1.50, "gone": {"x": [null]},
				"look": {"theme": "dark"}}`,
			want: legacy.Identity{
				Tenant: "acme", Subject: "ada", SignIn: "s", State: state{"theme": raw(`"dark"`)},
				SubjectState: state{"limit": raw(`1.50`), "gone": raw(`{"x": [null]}`)},
			},
		},
		"ids of a database": {
			claims: `{"sub": 42, "org": {"a/b": 9007199254740991}, "signin": 7}`,
			want: legacy.Identity{
				Tenant: "9007199254740991", Subject: "42", SignIn: "7", State: state{}, SubjectState: state{},
			},
		},
		"null": {
			claims: `{"sub": "ada", "org": {"a/b": "acme"}, "limit": null, "look": null}`,
			want:   legacy.Identity{Tenant: "acme", Subject: "ada", State: state{}, SubjectState: state{"limit": raw(`null`)}},
		},
		"a text where an object should be": {
			claims: `{"sub": "ada", "org": {"a/b": "acme"}, "look": "dark"}`,
			want:   legacy.Identity{Tenant: "acme", Subject: "ada", State: state{}, SubjectState: state{}},
		},
		"no subject":          {claims: `{"org": {"a/b": "acme"}}`},
		"an empty subject":    {claims: `{"sub": "", "org": {"a/b": "acme"}}`},
		"a fraction":          {claims: `{"sub": 1.0, "org": {"a/b": "acme"}}`},
		"an exponent":         {claims: `{"sub": 1e3, "org": {"a/b": "acme"}}`},
		"a negative id":       {claims: `{"sub": -1, "org": {"a/b": "acme"}}`},
		"an id that is lossy": {claims: `{"sub": 9007199254740992, "org": {"a/b": "acme"}}`},
		"an object":           {claims: `{"sub": {"id": 1}, "org": {"a/b": "acme"}}`},
		"no tenant":           {claims: `{"sub": "ada", "org": "acme"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var token legacy.Token
			if err := json.Unmarshal([]byte(tt.claims), &token.Claims); err != nil {
				t.Fatal(err)
			}
			got, err := f.cookies[0].identify(&token)
			if (err != nil) != (tt.want.Subject == "") {
				t.Fatalf("got %+v, %v", got, err)
			}
			if err == nil && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestTheOperatorIsToldHowTheMigrationGoes(t *testing.T) {
	t.Parallel()
	shadow := legacy.Stats{
		Stage: legacy.Shadow, Failed: 2, Refused: map[string]uint64{"malformed": 1, "expired": 1200},
		Shadow: &legacy.Disagreement{
			Compared: 48211, Unknown: 20, Agree: 46970, Differ: 1221, Stale: 1208, Contrary: 13,
			Attributes: map[string]uint64{"limit": 1221, "permit": 4},
		},
	}
	want := "shadow: 48,211 compared; 46,970 agree; 1,221 differ (1,221 limit, 4 permit), 1,208 stale and 13 contrary; " +
		"20 unknown; 1,201 would be refused (1,200 expired, 1 malformed); 2 without an answer"
	if got := legacyLine(&shadow); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := handled(&shadow); got != 48211+1201+2 {
		t.Errorf("counts %d cookies", got)
	}
	imported := legacy.Stats{Stage: legacy.Import, Imported: 3}
	if got, want := legacyLine(&imported), "import: 3 imported; 0 refused; 0 without an answer"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheReportIsWrittenWhenThereIsNews(t *testing.T) {
	t.Parallel()
	_, reader, err := reads(t, `{"stage": "refuse", "cookies": [{"name": "shop", "format": "authjs"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		gate, err := legacy.NewGate(legacy.GateConfig{Reader: reader, Stage: legacy.Refuse})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		g := &legacyGate{Gate: gate, logger: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, stop := context.WithCancel(t.Context())
		go g.report(ctx)
		visit := func() {
			_, _, err := g.Import(ctx, &http.Request{Header: http.Header{"Cookie": {"shop=x"}}})
			if err != nil {
				t.Error(err)
			}
		}
		look := func(lines int, last string) {
			t.Helper()
			synctest.Wait()
			if got := strings.Count(log.String(), "legacy refuse"); got != lines || !strings.Contains(log.String(), last) {
				t.Errorf("wrote %d lines, want %d, the last with %q:\n%s", got, lines, last, log.String())
			}
		}
		time.Sleep(2 * legacyEvery)
		look(0, "")
		visit()
		time.Sleep(3 * legacyEvery)
		look(1, "1 refused")
		visit()
		look(1, "1 refused")
		stop()
		look(2, "2 refused")
	})
}

// failing is a journal without an answer.
type failing struct{ err error }

func (f *failing) Find(context.Context, string, string) (legacy.Known, error) {
	return legacy.Known{}, f.err
}
func (f *failing) Foretell(context.Context, legacy.SignIn) error        { return f.err }
func (f *failing) Start(context.Context, legacy.SignIn) (string, error) { return "", f.err }

func TestWhatIsInTheWayIsToldOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		behind := &failing{errors.New("no right")}
		j := &legacyJournal{behind, &seldom{logger: slog.New(slog.NewTextHandler(&log, nil))}}
		try := func(want int) {
			t.Helper()
			_, _ = j.Find(t.Context(), "", "ada")
			_ = j.Foretell(t.Context(), legacy.SignIn{})
			_, _ = j.Start(t.Context(), legacy.SignIn{})
			if got := strings.Count(log.String(), "no right"); got != want {
				t.Errorf("was told %d times, want %d:\n%s", got, want, log.String())
			}
		}
		try(1)
		time.Sleep(seldomEvery - time.Nanosecond)
		try(1)
		time.Sleep(time.Nanosecond)
		try(2)
		time.Sleep(seldomEvery)
		for _, usual := range []error{legacy.ErrSpent, context.Canceled} {
			behind.err = usual
			_ = j.Foretell(t.Context(), legacy.SignIn{})
			_, _ = j.Start(t.Context(), legacy.SignIn{})
		}
		if strings.Contains(log.String(), "spent") || strings.Contains(log.String(), "canceled") {
			t.Errorf("was told of what is usual:\n%s", log.String())
		}
	})
}

func TestWhatDoesNotFitIsToldInTheWordsOfTheFile(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"Start.SubjectState.limit": "error=\"subject_state.limit is no number\"",
		"Start.State":              "error=\"session_state is no number\"",
		"Start.Subject":            "error=\"legacy cookie does not fit: invalid Start.Subject: is no number\"",
	} {
		var log bytes.Buffer
		bad := &journal.InvalidError{Field: field, Problem: "is no number"}
		behind := &failing{fmt.Errorf("%w: %w", legacy.ErrUnfit, bad)}
		j := &legacyJournal{behind, &seldom{logger: slog.New(slog.NewTextHandler(&log, nil))}}
		if err := j.Foretell(t.Context(), legacy.SignIn{}); !errors.Is(err, legacy.ErrUnfit) {
			t.Errorf("%s: got %v", field, err)
		}
		if got := log.String(); !strings.Contains(got, want) || !strings.Contains(got, "would not be imported") {
			t.Errorf("%s: was told %s, want %s", field, got, want)
		}
	}
}

func TestAttributesThatAreNotDeclaredAreNamed(t *testing.T) {
	t.Parallel()
	f, _, err := reads(t, described(`"format": "authjs", "keys": [{"env": "KEY"}],
		"subject_state": {"limit": "limit", "permit": "permit"}, "session_state": {"theme": "theme"}`))
	if err != nil {
		t.Fatal(err)
	}
	declared := func(names ...string) map[string]session.Attribute {
		all := map[string]session.Attribute{}
		for _, name := range names {
			all[name] = session.Attribute{}
		}
		return all
	}
	for want, public := range map[string]session.Public{
		"":                                {Subject: declared("limit", "permit", "more"), Session: declared("theme")},
		"cookies[0].subject_state.permit": {Subject: declared("limit"), Session: declared("theme", "permit")},
		"cookies[0].session_state.theme":  {Subject: declared("limit", "permit")},
	} {
		err := f.undeclared(public)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want+": the authority's public") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
