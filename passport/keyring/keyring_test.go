// SPDX-License-Identifier: Apache-2.0

// The ring: opening, rotating, revoking, several nodes, wrong seals and changed records.

package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
)

const kind = "keyring"

func seal(fill byte) []byte { return bytes.Repeat([]byte{fill}, keyring.SealSize) }

func mustOpen(t *testing.T, log *journal.Log, cfg keyring.Config) *keyring.Ring {
	t.Helper()
	cfg.Log = log
	if cfg.Seal == nil {
		cfg.Seal = seal(1)
	}
	r, err := keyring.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func claims() *passport.Claims {
	now := clock.Now()
	return &passport.Claims{
		Issuer: "https://vidimus.test", Audience: "shop", IssuedAt: now, ExpiresAt: now.Add(time.Minute), Txn: "t1",
		Subject: "ada", Scope: "read", Workload: "edge", Session: strings.Repeat("s", 22), Tenant: "acme", AsOf: now,
		Mark: passport.Mark{Log: "c3", Epoch: 1, Position: 7}, Version: 1, Schema: "shop/1",
	}
}

// kid returns the key that a passport was signed with.
func kid(t *testing.T, r *keyring.Ring) string {
	t.Helper()
	token, err := r.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	return kidOf(t, token)
}

// serve runs the rings until the returned function is called.
func serve(t *testing.T, rings ...*keyring.Ring) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	for _, r := range rings {
		served.Go(func() {
			if err := r.Serve(ctx, nil); err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
	return func() { cancel(); served.Wait() }
}

func TestOpenRefusesBadConfigs(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	good := keyring.Config{Log: log, Seal: seal(1)}
	for name, spoil := range map[string]func(*keyring.Config){
		"Config.Log":         func(c *keyring.Config) { c.Log = nil },
		"Config.Seal":        func(c *keyring.Config) { c.Seal = []byte("too short") },
		"Config.OldSeals[1]": func(c *keyring.Config) { c.OldSeals = [][]byte{seal(2), nil} },
		"Config.Overlap":     func(c *keyring.Config) { c.Overlap = time.Minute },
		"Config.Rotate":      func(c *keyring.Config) { c.Rotate = time.Minute },
		"Config.HandleLife":  func(c *keyring.Config) { c.HandleLife = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			spoil(&cfg)
			_, err := keyring.Open(context.Background(), cfg)
			var invalid *journal.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != name {
				t.Errorf("Open says %v, want an InvalidError of %s", err, name)
			}
		})
	}
}

func TestKeysSurviveARestart(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	first := mustOpen(t, log, keyring.Config{})
	second := mustOpen(t, log, keyring.Config{})
	if a, b := kid(t, first), kid(t, second); a != b {
		t.Errorf("after a restart %s signs, before it was %s", b, a)
	}
	want := strings.Repeat("s", 22)
	handle := first.Handle("main", want, 3)
	if sid, generation, err := second.OpenHandle("main", handle); sid != want || generation != 3 || err != nil {
		t.Errorf("OpenHandle(%q) = %q, %d, %v", handle, sid, generation, err)
	}
}

func TestNodesThatOpenAtOnceShareOneKey(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	const nodes = 8
	rings := make([]*keyring.Ring, nodes)
	var opened sync.WaitGroup
	for i := range rings {
		opened.Go(func() { rings[i] = mustOpen(t, log, keyring.Config{}) })
	}
	opened.Wait()
	want := kid(t, rings[0])
	for i, r := range rings {
		if got := kid(t, r); got != want {
			t.Errorf("node %d signs with %s, node 0 with %s", i, got, want)
		}
		if sid, _, err := r.OpenHandle("main", rings[0].Handle("main", strings.Repeat("s", 22), 1)); err != nil {
			t.Errorf("node %d opens node 0's handle: %q, %v", i, sid, err)
		}
	}
	if got := events(t, log, "key.made"); got != 1 {
		t.Errorf("%d keys were made, want 1", got)
	}
}

func TestAVerifierWithAnOldKeySetNeverMeetsAnUnknownKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		cfg := keyring.Config{Rotate: time.Hour, Overlap: 15 * time.Minute}
		a, b := mustOpen(t, log, cfg), mustOpen(t, log, cfg)
		defer serve(t, a, b)()
		kids, sets := map[string]bool{}, []*passport.KeySet{}
		const step = 5 * time.Minute
		for range 8 * 12 {
			sets = append(sets, a.KeySet())
			for _, r := range []*keyring.Ring{a, b} {
				token, err := r.Sign(claims())
				if err != nil {
					t.Fatal(err)
				}
				kids[kidOf(t, token)] = true
				// One verifier has just fetched the keys, another did so ten minutes ago.
				for _, set := range []*passport.KeySet{sets[len(sets)-1], sets[max(0, len(sets)-3)]} {
					mustVerify(t, set, token)
				}
			}
			time.Sleep(step)
		}
		if len(kids) != 8 {
			t.Errorf("%d keys signed in 8 hours, want one an hour", len(kids))
		}
		if made := events(t, log, "key.made"); made != 9 {
			t.Errorf("%d keys were made, want those 8 and the next one: of two nodes one rotates", made)
		}
	})
}

func TestAKeyIsPublishedAsLongAsItsPassportsLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := keyring.Config{Rotate: time.Hour, Overlap: 15 * time.Minute}
		r := mustOpen(t, mem.Open(), cfg)
		defer serve(t, r)()
		first := kid(t, r)
		time.Sleep(time.Hour - time.Second)
		if got := kid(t, r); got != first {
			t.Fatalf("%s signs before the hour is over, want %s", got, first)
		}
		time.Sleep(2 * time.Second)
		if got := kid(t, r); got == first {
			t.Fatalf("%s still signs after the hour", got)
		}
		time.Sleep(13 * time.Minute)
		if !has(t, r.KeySet(), first) {
			t.Errorf("the first key is gone 13 minutes after it signed last")
		}
		time.Sleep(4 * time.Minute)
		if has(t, r.KeySet(), first) {
			t.Errorf("the first key is still there 17 minutes after it signed last")
		}
	})
}

func TestHandlesStayReadableForTheirLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const life = 24 * time.Hour
		r := mustOpen(t, mem.Open(), keyring.Config{HandleLife: life, Rotate: 12 * time.Hour})
		defer serve(t, r)()
		sid := strings.Repeat("h", 22)
		open := func(handle string) error { _, _, err := r.OpenHandle("main", handle); return err }
		for range 4 {
			handle := r.Handle("main", sid, 1)
			time.Sleep(life - time.Minute)
			if err := open(handle); err != nil {
				t.Fatalf("after its life less a minute: %v", err)
			}
			time.Sleep(2 * life)
			if err := open(handle); !errors.Is(err, passport.ErrNoSession) {
				t.Fatalf("long after its life: %v, want ErrNoSession", err)
			}
		}
	})
}

func TestARevokedKeyIsReplacedAtOnceOnAllNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, log := context.Background(), mem.Open()
		a, b := mustOpen(t, log, keyring.Config{}), mustOpen(t, log, keyring.Config{})
		stop := serve(t, a, b)
		synctest.Wait()
		bad := kid(t, a)
		for range 2 { // twice is fine
			if err := a.Revoke(ctx, bad, "ops", "laptop stolen"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // no time passes: b was woken
		for name, r := range map[string]*keyring.Ring{"the node": a, "the other node": b} {
			if got := kid(t, r); got == bad || has(t, r.KeySet(), bad) || !has(t, r.KeySet(), got) {
				t.Errorf("%s signs with %s after %s was revoked; published: %v", name, got, bad, has(t, r.KeySet(), bad))
			}
		}
		if kid(t, a) != kid(t, b) {
			t.Error("the nodes sign with different keys")
		}
		var invalid *journal.InvalidError
		if err := a.Revoke(ctx, "nosuchke", "ops", ""); !errors.As(err, &invalid) || invalid.Field != "kid" {
			t.Errorf("revoking an unknown key: %v, want an InvalidError of kid", err)
		}
		stop()
		for e := range log.ReadStream(ctx, journal.Stream("key-"+bad), &journal.StreamOptions{After: 1}) {
			want := `{"by":"ops","reason":"laptop stolen"}`
			if e.Type != "key.revoked" || string(e.Data) != want || e.Version != 2 {
				t.Errorf("event %s %s at version %d, want one key.revoked %s", e.Type, e.Data, e.Version, want)
			}
		}
	})
}

func TestRotateMakesAKeyThatSignsAfterTheOverlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		r := mustOpen(t, mem.Open(), keyring.Config{})
		defer serve(t, r)()
		next, err := r.Rotate(ctx)
		if err != nil || !has(t, r.KeySet(), next) || kid(t, r) == next {
			t.Fatalf("Rotate = %q, %v; published %v", next, err, has(t, r.KeySet(), next))
		}
		time.Sleep(keyring.DefaultOverlap)
		if got := kid(t, r); got != next {
			t.Errorf("%s signs after the overlap, want %s", got, next)
		}
		for err == nil {
			_, err = r.Rotate(ctx)
		}
		if !errors.Is(err, journal.ErrOverloaded) {
			t.Errorf("rotating without end: %v, want ErrOverloaded", err)
		}
	})
}

func TestARingThatIsNotServedStopsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		r := mustOpen(t, log, keyring.Config{})
		time.Sleep(15 * time.Minute)
		kid(t, r)
		time.Sleep(10 * time.Minute)
		if _, err := r.Sign(claims()); !errors.Is(err, keyring.ErrBehind) {
			t.Errorf("Sign after 25 minutes without a look: %v, want ErrBehind", err)
		}
		if _, _, err := r.OpenHandle("main", "v1.main.x.1.y"); !errors.Is(err, passport.ErrUnavailable) {
			t.Errorf("OpenHandle after 25 minutes without a look: %v, want ErrUnavailable", err)
		}
		defer serve(t, r)()
		synctest.Wait()
		kid(t, r) // Serve looks first of all
	})
}

// away is a store that cannot be asked where it ends while off is set.
type away struct {
	journal.Store
	off atomic.Bool
}

func (s *away) Head(ctx context.Context) (journal.Checkpoint, error) {
	if s.off.Load() {
		return journal.Checkpoint{}, journal.ErrUnavailable
	}
	return s.Store.Head(ctx)
}

// counter is a log of which only the lines that say something are counted.
type counter struct {
	of string
	n  atomic.Int64
}

func (c *counter) Write(line []byte) (int, error) {
	if strings.Contains(string(line), c.of) {
		c.n.Add(1)
	}
	return len(line), nil
}

func TestAJournalThatIsAwayIsToldOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		said := counter{of: "keyring cannot look"}
		store := &away{Store: mem.Open().Store()}
		r := mustOpen(t, journal.New(store), keyring.Config{Logger: slog.New(slog.NewTextHandler(&said, nil))})
		store.off.Store(true)
		defer serve(t, r)()
		expect := func(when string, d time.Duration, want int64) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := said.n.Swap(0); got != want {
				t.Errorf("%s: told %d times, want %d", when, got, want)
			}
		}
		expect("away", 50*time.Second, 1)
		expect("away for longer", time.Minute, 1)
		store.off.Store(false)
		expect("there again", 2*time.Minute, 0)
		store.off.Store(true)
		expect("away again", 50*time.Second, 1)
	})
}

func TestAnotherSealKeyIsRefusedByName(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	want := kid(t, mustOpen(t, log, keyring.Config{Seal: seal(1)}))
	_, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: seal(2)})
	if !errors.Is(err, keyring.ErrSeal) || !strings.Contains(err.Error(), "OldSeals") {
		t.Fatalf("Open with another seal key: %v, want ErrSeal and the remedy", err)
	}
	if got := kid(t, mustOpen(t, log, keyring.Config{Seal: seal(2), OldSeals: [][]byte{seal(1)}})); got != want {
		t.Errorf("%s signs after the change of the seal key, want %s", got, want)
	}
	if got := kid(t, mustOpen(t, log, keyring.Config{Seal: seal(2)})); got != want {
		t.Errorf("%s signs without the old seal key, want %s", got, want)
	}
	if _, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: seal(1)}); !errors.Is(err, keyring.ErrSeal) {
		t.Errorf("Open with the old seal key: %v, want ErrSeal", err)
	}
}

func TestAChangedRecordIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		key    string
		change func(map[string]any)
	}{
		"another name":         {"signing", func(k map[string]any) { k["id"] = "aaaaaaaa" }},
		"an earlier beginning": {"signing", func(k map[string]any) { k["from"] = "2001-01-01T00:00:00Z" }},
		"another box":          {"signing", func(k map[string]any) { k["box"].(map[string]any)["sealed"] = "AAAA" }},
		"a short nonce":        {"signing", func(k map[string]any) { k["box"].(map[string]any)["nonce"] = "AAAA" }},
		"a handle key's name":  {"handles", func(k map[string]any) { k["id"] = "aaaaaaaa" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := mem.Open()
			mustOpen(t, log, keyring.Config{})
			record, err := log.Record(ctx, kind, c.key)
			if err != nil {
				t.Fatal(err)
			}
			var v map[string]any
			if err := json.Unmarshal(record.Value, &v); err != nil {
				t.Fatal(err)
			}
			c.change(v["keys"].([]any)[0].(map[string]any))
			mustPut(t, log, c.key, v)
			_, err = keyring.Open(ctx, keyring.Config{Log: log, Seal: seal(1)})
			if !errors.Is(err, keyring.ErrSeal) || !strings.Contains(err.Error(), "changed by something else") {
				t.Errorf("Open says %v, want ErrSeal", err)
			}
		})
	}
	log := mem.Open()
	mustPut(t, log, "signing", map[string]any{"keys": []any{}})
	if _, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: seal(1)}); err == nil {
		t.Error("a ring without keys was opened")
	}
}

func TestSecretsStandNowhere(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := mem.Open()
	r := mustOpen(t, log, keyring.Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	_, err := keyring.Open(context.Background(), keyring.Config{Log: log, Seal: seal('S')})
	fmt.Fprintf(&out, "%v %+v", err, err)
	if strings.Contains(out.String(), "SSSS") || strings.Contains(out.String(), "\\x01\\x01") {
		t.Errorf("a seal key is in: %s", out.String())
	}
	set, err := json.Marshal(r.KeySet())
	if err != nil || bytes.Contains(set, []byte(`"d"`)) {
		t.Errorf("the key set is %s, %v", set, err)
	}
}
