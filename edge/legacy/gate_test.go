// SPDX-License-Identifier: Apache-2.0

// The stages of a migration, against a journal in memory.

package legacy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
)

// shelf is a [Journal] in memory.
type shelf struct {
	mu       sync.Mutex
	handles  map[[32]byte]string // by key of the sign-in; empty once its session has ended
	subjects map[string]Known
	started  []SignIn
	err      error
	hang     bool
	fits     func(SignIn) error // nil for all
}

func newShelf() *shelf {
	return &shelf{handles: map[[32]byte]string{}, subjects: map[string]Known{}}
}

func (s *shelf) Find(ctx context.Context, tenant, subject string) (Known, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang {
		<-ctx.Done()
		return Known{}, ctx.Err()
	}
	return s.subjects[tenant+"/"+subject], s.err
}

func (s *shelf) Foretell(ctx context.Context, in SignIn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.judge(in)
}

func (s *shelf) judge(in SignIn) error {
	handle, ok := s.handles[in.Key]
	switch {
	case s.err != nil:
		return s.err
	case ok && handle == "":
		return fmt.Errorf("session of %x: %w", in.Key[:4], ErrSpent)
	case s.fits != nil:
		return s.fits(in)
	}
	return nil
}

func (s *shelf) Start(_ context.Context, in SignIn) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.judge(in); err != nil {
		return "", err
	}
	handle, ok := s.handles[in.Key]
	if !ok {
		s.started = append(s.started, in)
		handle = fmt.Sprintf("v1.shop.%d", len(s.started))
		s.handles[in.Key] = handle
	}
	return handle, nil
}

func (s *shelf) logout() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.handles {
		s.handles[key] = ""
	}
}

func mustGate(t testing.TB, cfg GateConfig) *Gate {
	t.Helper()
	if cfg.Reader == nil {
		cfg.Reader = mustReader(t, joseCookie())
	}
	g, err := NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestACookieIsImportedOnce(t *testing.T) {
	t.Parallel()
	s := newShelf()
	g := mustGate(t, GateConfig{Journal: s, Stage: Import})
	req := request("session", jose(claims()))
	req.Header.Set("User-Agent", strings.Repeat("a", 1000))
	var wg sync.WaitGroup
	for range 16 { // tabs that see it first at once
		wg.Go(func() {
			handle, ok, err := g.Import(t.Context(), req)
			if handle != "v1.shop.1" || !ok || err != nil {
				t.Errorf("got %q, %v, %v; want the one session", handle, ok, err)
			}
		})
	}
	wg.Wait()
	if len(s.started) != 1 {
		t.Fatalf("%d sessions, want 1", len(s.started))
	}
	got := s.started[0]
	if got.Subject != "ada" || got.Issued.IsZero() || got.Expires.IsZero() || len(got.UserAgent) != 1000 {
		t.Errorf("started with %+v", got)
	}
	s.logout()
	if handle, ok, err := g.Import(t.Context(), req); ok || err != nil || handle != "" {
		t.Errorf("a cookie undid a logout: %q, %v, %v", handle, ok, err)
	}
	stats := g.Stats()
	if stats.Imported != 16 || stats.Refused[spent] != 1 || stats.Shadow != nil {
		t.Errorf("counted %+v", stats)
	}
}

func TestBadCookiesSignNobodyIn(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g := mustGate(t, GateConfig{Journal: newShelf(), Stage: Import, Logger: logger})
	token := jose(claims("exp", 1))
	for _, req := range []*http.Request{request("session", token), request("other", "x"), request()} {
		if handle, ok, err := g.Import(t.Context(), req); handle != "" || ok || err != nil {
			t.Errorf("got %q, %v, %v; want nobody", handle, ok, err)
		}
	}
	if got := g.Stats(); got.Refused[expired] != 1 || len(got.Refused) != 1 {
		t.Errorf("counted %v, want one that expired", got.Refused)
	}
	reason := "reason.cookie=session reason.why=expired"
	if !strings.Contains(log.String(), reason) || strings.Contains(log.String(), token) {
		t.Errorf("the log says %q", log.String())
	}
}

func TestAJournalThatIsDownIsNoRefusal(t *testing.T) {
	t.Parallel()
	s, down := newShelf(), errors.New("down")
	s.err = down
	g := mustGate(t, GateConfig{Journal: s, Stage: Import})
	if _, ok, err := g.Import(t.Context(), request("session", jose(claims()))); ok || !errors.Is(err, down) {
		t.Errorf("got %v, %v; want the journal's error", ok, err)
	}
	if got := g.Stats(); got.Failed != 1 || len(got.Refused) != 0 {
		t.Errorf("counted %+v", got)
	}
}

func TestStateThatDoesNotFitSignsNobodyIn(t *testing.T) {
	t.Parallel()
	s := newShelf()
	s.err = fmt.Errorf("limit: is no number: %w", ErrUnfit)
	g := mustGate(t, GateConfig{Journal: s, Stage: Import})
	if _, ok, err := g.Import(t.Context(), request("session", jose(claims()))); ok || err != nil {
		t.Errorf("got %v, %v; want nobody", ok, err)
	}
	if got := g.Status().(Stats); got.Failed != 0 || got.Refused[unfit] != 1 {
		t.Errorf("counted %+v", got)
	}
}

func TestTheCutOverTakesOlderCookiesAlone(t *testing.T) {
	t.Parallel()
	moment := clock.Now().Add(-time.Hour).Truncate(time.Second)
	made := func(at time.Time) string { return jose(claims("iat", at.Unix())) }
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"made before", made(moment.Add(-time.Second)), true},
		{"made at the moment", made(moment), false},
		{"made after", made(moment.Add(time.Second)), false},
		{"made nobody knows when", jose(claims("iat", nil)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := mustGate(t, GateConfig{Journal: newShelf(), Stage: CutOver, Before: moment})
			if _, ok, err := g.Import(t.Context(), request("session", c.value)); ok != c.ok || err != nil {
				t.Errorf("got %v, %v; want %v", ok, err, c.ok)
			}
			if got := g.Stats().Refused[late]; c.ok == (got == 1) {
				t.Errorf("counted %d as too late", got)
			}
		})
	}
}

func TestRefusedCookiesAreNotLookedAt(t *testing.T) {
	t.Parallel()
	g := mustGate(t, GateConfig{Stage: Refuse})
	for range 2 {
		if _, ok, err := g.Import(t.Context(), request("session", jose(claims()))); ok || err != nil {
			t.Errorf("got %v, %v; want nobody", ok, err)
		}
	}
	if _, ok, err := g.Import(t.Context(), request()); ok || err != nil {
		t.Errorf("got %v, %v; want nobody", ok, err)
	}
	if got := g.Stats().Refused; got[closed] != 2 || len(got) != 1 {
		t.Errorf("counted %v, want two", got)
	}
}

func TestServicesSeeLegacyCookiesInShadowAlone(t *testing.T) {
	t.Parallel()
	c := joseCookie()
	c.Name, c.Path, c.Domain = "__Secure-session", "/app", "shop.test"
	for _, stage := range []Stage{Shadow, Import, CutOver, Refuse} {
		cfg := GateConfig{Reader: mustReader(t, c), Journal: newShelf(), Stage: stage}
		if stage == CutOver {
			cfg.Before = clock.Now()
		}
		g := mustGate(t, cfg)
		for _, name := range []string{c.Name, c.Name + ".0", c.Name + ".7"} {
			if !g.Knows(name) {
				t.Errorf("%s does not know %s", stage, name)
			}
			got := g.Delete(name)
			if stage == Shadow {
				if got != nil {
					t.Errorf("shadow deletes %s", name)
				}
				continue
			}
			const want = "; Path=/app; Domain=shop.test; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
			if got == nil || got.String() != name+"="+want {
				t.Errorf("%s deletes %s by %v", stage, name, got)
			}
		}
		for _, name := range []string{"other", c.Name + ".8", c.Name + ".00", c.Name + "x", "session"} {
			if g.Knows(name) || g.Delete(name) != nil {
				t.Errorf("%s takes %s for its own", stage, name)
			}
		}
	}
}

// state reads cookies whose claims hold what the subject's sessions share, under "state".
func state(tok Token) (id Identity, err error) {
	id, _ = bySub(tok)
	return id, json.Unmarshal(tok.Claims["state"], &id.SubjectState)
}

func TestShadowMeasuresHowFarCookiesAreOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, err := NewReader(Config{Cookies: []Cookie{joseCookie()}, Map: state})
		if err != nil {
			t.Fatal(err)
		}
		s := newShelf()
		g := mustGate(t, GateConfig{Reader: reader, Journal: s, Stage: Shadow})
		now := clock.Now()
		s.subjects["/ada"] = Known{
			Found: true, Changed: now.Add(-10 * time.Minute),
			State: map[string]json.RawMessage{"limit": []byte(`100`), "permit": []byte(`{"a":1,"b":[2]}`), "x": []byte(`"x"`)},
		}
		look := func(subject, state string, age time.Duration) {
			t.Helper()
			token := jose(claims("sub", subject, "state", json.RawMessage(state), "iat", now.Add(-age).Unix()))
			if _, ok, err := g.Import(t.Context(), request("session", token)); ok || err != nil {
				t.Errorf("shadow answered %v, %v", ok, err)
			}
		}
		look("ada", `{"limit":100,"permit":{"b":[2], "a":1}}`, time.Minute)
		look("ada", `{"limit":100.0,"gone":null}`, time.Minute)
		look("ada", `{"limit":50,"permit":{"a":1,"b":[2]}}`, time.Hour)
		look("ada", `{"limit":50,"permit":null}`, time.Minute)
		look("ada", `{"limit":10}`, time.Hour)
		look("eve", `{"limit":1}`, time.Minute)
		look("ada", `"no object"`, time.Minute)
		got := g.Stats()
		d := got.Shadow
		if d == nil || got.Refused[unmapped] != 1 || got.Stage != Shadow || !got.Since.Equal(now) {
			t.Fatalf("counted %+v", got)
		}
		want := Disagreement{
			Compared: 6, Unknown: 1, Agree: 2, Differ: 3, Stale: 2, Contrary: 1, Attributes: d.Attributes,
			Age: d.Age, DifferAge: d.DifferAge,
		}
		if fmt.Sprint(*d) != fmt.Sprint(want) || fmt.Sprint(d.Attributes) != "map[limit:3 permit:1]" {
			t.Errorf("counted %+v, want %+v", *d, want)
		}
		old := Quantiles{Count: 3, P50: 3600, P90: 3600, P99: 3600, Max: 3600}
		if d.Age.Count != 6 || d.Age.P50 < 60 || d.Age.P50 > 72 || d.Age.Max != 3600 || d.DifferAge != old {
			t.Errorf("ages are %+v and %+v", d.Age, d.DifferAge)
		}
	})
}

func TestShadowCountsAsRefusedWhatImportRefuses(t *testing.T) {
	t.Parallel()
	reader, err := NewReader(Config{Cookies: []Cookie{joseCookie()}, Map: state})
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	s.subjects["/ada"] = Known{Found: true, State: map[string]json.RawMessage{"limit": []byte(`5`)}}
	s.fits = func(in SignIn) error {
		for name, value := range in.SubjectState {
			if text := string(value); name != "limit" || text != "5" && text != "1" {
				return fmt.Errorf("%s: %w", name, ErrUnfit)
			}
		}
		return nil
	}
	shadow := mustGate(t, GateConfig{Reader: reader, Journal: s, Stage: Shadow})
	imports := mustGate(t, GateConfig{Reader: reader, Journal: s, Stage: Import})
	visit := func(g *Gate, sub, state string) {
		t.Helper()
		token := jose(claims("sub", sub, "state", json.RawMessage(state), "jti", sub+state))
		if _, _, err := g.Import(t.Context(), request("session", token)); err != nil {
			t.Error(err)
		}
	}
	states := []string{`{}`, `{"limit":5}`, `{"limit":1}`, `{"limit":"abc"}`, `{"permit":1}`, `{"limit":null}`, `"none"`}
	for _, text := range states {
		visit(shadow, "ada", text)
	}
	foretold := shadow.Stats()
	if len(s.started) != 0 {
		t.Errorf("shadow started %+v", s.started)
	}
	for _, text := range states {
		visit(imports, "ada", text)
	}
	got := imports.Stats()
	if fmt.Sprint(foretold.Refused) != fmt.Sprint(got.Refused) || got.Refused[unfit] != 2 || got.Refused[unmapped] != 1 {
		t.Errorf("foretold %v, refused %v; want two that do not fit and one for nobody", foretold.Refused, got.Refused)
	}
	if foretold.Shadow.Compared != got.Imported || foretold.Shadow.Agree != 2 || foretold.Shadow.Differ != 2 {
		t.Errorf("compared %+v, imported %d", *foretold.Shadow, got.Imported)
	}
	s.logout()
	visit(shadow, "ada", `{}`)
	if got := shadow.Stats().Refused[spent]; got != 1 {
		t.Errorf("foretold %d as imported before, want 1", got)
	}
}

func TestShadowHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.hang = true
		g := mustGate(t, GateConfig{Journal: s, Stage: Shadow})
		began := clock.Now()
		if _, ok, err := g.Import(t.Context(), request("session", jose(claims()))); ok || err != nil {
			t.Errorf("got %v, %v; want the request to go on", ok, err)
		}
		if got := clock.Since(began); got != DefaultPatience {
			t.Errorf("waited %v, want %v", got, DefaultPatience)
		}
		if got := g.Stats(); got.Failed != 1 || got.Shadow.Compared != 0 {
			t.Errorf("counted %+v", got)
		}
	})
}

func TestShadowTakesSamples(t *testing.T) {
	t.Parallel()
	g := mustGate(t, GateConfig{Journal: newShelf(), Stage: Shadow, Sample: 10})
	for range 100 {
		if _, _, err := g.Import(t.Context(), request("session", jose(claims()))); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.Stats().Shadow.Compared; got != 10 {
		t.Errorf("compared %d of 100, want 10", got)
	}
}

func TestStatsStaySmall(t *testing.T) {
	t.Parallel()
	var c counter
	c.start(Shadow)
	for i := range 10 * maxAttributes {
		f := Found{Identity: Identity{SubjectState: map[string]json.RawMessage{fmt.Sprint("a", i): []byte(`1`)}}}
		c.compared(&f, &Known{Found: true})
	}
	got := c.stats().Shadow.Attributes
	if len(got) != maxAttributes+1 || got["(others)"] != 9*maxAttributes {
		t.Errorf("kept %d names and %d others", len(got), got["(others)"])
	}
	got["a0"] = 1000
	if c.stats().Shadow.Attributes["a0"] != 1 {
		t.Error("statistics are handed out without a copy")
	}
}

func TestQuantilesAreNearlyRight(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantiles(); got != (Quantiles{}) {
		t.Errorf("nothing has quantiles %+v", got)
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Minute)
	}
	h.add(-time.Hour)
	got := h.quantiles()
	near := func(got, want float64) bool { return got >= want && got <= want*1.2 }
	right := near(got.P50, 500*60) && near(got.P90, 900*60) && near(got.P99, 990*60)
	if !right || got.Max != 60_000 || got.Count != 1001 {
		t.Errorf("got %+v", got)
	}
	h.add(1 << 62) // longer than anything
	if got := h.quantiles(); got.P99 > got.Max {
		t.Errorf("got %+v", got)
	}
}

func TestGatesAreChecked(t *testing.T) {
	t.Parallel()
	r, s, now := mustReader(t, joseCookie()), newShelf(), clock.Now()
	for _, c := range []struct {
		name string
		cfg  GateConfig
		want string
	}{
		{"no reader", GateConfig{Journal: s, Stage: Import}, "legacy: Reader is missing"},
		{"no stage", GateConfig{Reader: r, Journal: s}, `Stage "" is unknown: use one of ["shadow"`},
		{"no journal", GateConfig{Reader: r, Stage: Import}, "Journal is missing"},
		{"a cut-over without a moment", GateConfig{Reader: r, Journal: s, Stage: CutOver}, "Before belongs to"},
		{"a moment without a cut-over", GateConfig{Reader: r, Journal: s, Stage: Import, Before: now}, "Before belongs to"},
		{"a negative sample", GateConfig{Reader: r, Journal: s, Stage: Shadow, Sample: -1}, "Sample or Patience is below 0"},
		{"negative patience", GateConfig{Reader: r, Journal: s, Stage: Shadow, Patience: -1}, "Patience"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewGate(c.cfg)
			if _, ok := errors.AsType[*InvalidError](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
