// SPDX-License-Identifier: Apache-2.0

// Tokens are made, believed, refused and revoked in time.

package token_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server/token"
)

func create(t *testing.T, b *token.Book, rights ...string) (string, token.Token) {
	t.Helper()
	parsed, err := token.ParseRights(rights...)
	if err != nil {
		t.Fatal(err)
	}
	text, made, err := b.Create(t.Context(), token.Spec{Name: "shop", Rights: parsed})
	if err != nil {
		t.Fatal(err)
	}
	return text, made
}

func TestTokensAreVerified(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	b := token.NewBook(log)
	text, made := create(t, b, "read:order", "append:*")
	got, err := b.Verify(t.Context(), text)
	if err != nil || got.ID != made.ID || got.Name != "shop" || !got.Rights.Allow(token.Read, "order") {
		t.Fatalf("verified %+v, %v, want %+v", got, err, made)
	}
	if !strings.HasPrefix(text, "vid_"+made.ID+"_") || !strings.HasSuffix(text, made.Last4) {
		t.Errorf("the token %s does not hold its id %s and end with %s", text, made.ID, made.Last4)
	}
	record, err := log.Record(t.Context(), token.Kind, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if secret := strings.Split(text, "_")[2]; strings.Contains(string(record.Value), secret) {
		t.Errorf("the journal holds the secret: %s", record.Value)
	}
	other, _ := create(t, b, "admin")
	for name, bad := range map[string]string{
		"empty": "", "cut": text[:len(text)-1], "longer": text + "0", "upper case": strings.ToUpper(text),
		"another's secret": text[:15] + other[15:], "no prefix": text[4:], "id alone": text[:14],
	} {
		if _, err := b.Verify(t.Context(), bad); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("%s: %v, want unauthenticated", name, err)
		}
	}
}

func TestRevocationIsObeyedEverywhereWithinTheBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		here, there := token.NewBook(log), token.NewBook(log)
		text, made := create(t, here, "admin")
		for _, b := range []*token.Book{here, there} {
			if _, err := b.Verify(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		if err := here.Revoke(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := here.Verify(t.Context(), text); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("the node that revoked it: %v, want unauthenticated at once", err)
		}
		if err := here.Still(t.Context(), made); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("a call under way: %v, want unauthenticated at once", err)
		}
		if err := clock.Sleep(t.Context(), token.Bound); err != nil {
			t.Fatal(err)
		}
		if _, err := there.Verify(t.Context(), text); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("another node after the bound: %v, want unauthenticated", err)
		}
		if err := here.Revoke(t.Context(), made.ID); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("revoking it again: %v, want not found", err)
		}
	})
}

func TestRevocationIsObeyedAfterTheMachineSlept(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	here, there := token.NewBook(log), token.NewBook(log)
	text, made := create(t, here, "admin")
	if _, err := there.Verify(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := here.Revoke(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	there.Sleep(time.Hour)
	if err := there.Still(t.Context(), made); !errors.Is(err, token.ErrUnauthenticated) {
		t.Errorf("a call under way, after the node slept: %v, want unauthenticated", err)
	}
	if _, err := there.Verify(t.Context(), text); !errors.Is(err, token.ErrUnauthenticated) {
		t.Errorf("another call, after the node slept: %v, want unauthenticated", err)
	}
}

func TestTokensExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := token.NewBook(mem.Open())
		spec := token.Spec{
			Name: "x", Rights: token.Rights{{Verb: token.Admin}}, Expires: clock.Now().Add(100 * time.Millisecond),
		}
		text, made, err := b.Create(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if some, err := b.Any(t.Context()); !some || err != nil {
			t.Errorf("before: any %v, %v", some, err)
		}
		if _, err := b.Verify(t.Context(), text); err != nil {
			t.Errorf("before: %v", err)
		}
		if err := clock.Sleep(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Verify(t.Context(), text); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("after: %v, want unauthenticated, although the book was read a moment ago", err)
		}
		if err := b.Still(t.Context(), made); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("after, under way: %v, want unauthenticated", err)
		}
		if some, err := b.Any(t.Context()); some || err != nil {
			t.Errorf("after: any %v, %v", some, err)
		}
	})
}

// counting is a store that counts how often records are listed, and can fail or wait.
type counting struct {
	journal.Store
	lists atomic.Int64
	fail  atomic.Bool
	takes time.Duration // before it reads
	keeps time.Duration // after it has read
}

func (c *counting) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	c.lists.Add(1)
	if err := clock.Sleep(ctx, c.takes); err != nil {
		return nil, err
	}
	if c.fail.Load() {
		return nil, journal.ErrUnavailable
	}
	records, err := c.Store.Records(ctx, q)
	return records, errors.Join(err, clock.Sleep(ctx, c.keeps))
}

func TestGuessingReadsTheJournalOncePerBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: mem.Open().Store()}
		b := token.NewBook(journal.New(store))
		guess := func() {
			for i := range 100 {
				text := fmt.Sprintf("vid_%010d_%032d", i, i)
				if _, err := b.Verify(t.Context(), text); !errors.Is(err, token.ErrUnauthenticated) {
					t.Errorf("guess %s: %v", text, err)
				}
			}
		}
		guess()
		guess()
		if err := clock.Sleep(t.Context(), token.Bound); err != nil {
			t.Fatal(err)
		}
		guess()
		if got := store.lists.Load(); got != 2 {
			t.Errorf("the journal was read %d times, want 2", got)
		}
	})
}

func TestASlowJournalLetsEverybodyInOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: mem.Open().Store()}
		b := token.NewBook(journal.New(store))
		text, _ := create(t, b, "admin")
		before := store.lists.Load()
		store.takes = 2 * token.Bound // slower than what was read may be old
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := b.Verify(t.Context(), text); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := store.lists.Load() - before; got > 10 {
			t.Errorf("the journal was read %d times for 10 callers", got)
		}
	})
}

func TestNobodyJoinsAReadingThatIsTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: mem.Open().Store()}
		here, there := token.NewBook(journal.New(store)), token.NewBook(journal.New(store.Store))
		text, made := create(t, there, "admin")
		store.keeps = 3 * token.Bound
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := here.Verify(t.Context(), text); err != nil {
				t.Errorf("the one who read it: %v", err)
			}
		})
		synctest.Wait() // it has read, and is kept waiting
		if err := there.Revoke(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		if err := clock.Sleep(t.Context(), token.Bound); err != nil {
			t.Fatal(err)
		}
		if _, err := here.Verify(t.Context(), text); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("one who came after the bound: %v, want unauthenticated", err)
		}
		first.Wait()
	})
}

func TestAJournalThatFailsLetsNobodyIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: mem.Open().Store()}
		b := token.NewBook(journal.New(store))
		text, _ := create(t, b, "admin")
		if _, err := b.Verify(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		store.fail.Store(true)
		if err := clock.Sleep(t.Context(), token.Bound); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Verify(t.Context(), text); !errors.Is(err, journal.ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
		store.fail.Store(false)
		if _, err := b.Verify(t.Context(), text); err != nil {
			t.Errorf("once the journal is back: %v", err)
		}
	})
}

func TestBadTokensAreNotMade(t *testing.T) {
	t.Parallel()
	b := token.NewBook(mem.Open())
	admin := token.Rights{{Verb: token.Admin}}
	for _, c := range []struct {
		field string
		spec  token.Spec
	}{
		{"name", token.Spec{Rights: admin}},
		{"name", token.Spec{Name: "node/1", Rights: admin}}, // would pass for owner 1 of the token node
		{"rights", token.Spec{Name: "x"}},
		{"expires", token.Spec{Name: "x", Rights: admin, Expires: clock.Now().Add(-time.Second)}},
	} {
		_, _, err := b.Create(t.Context(), c.spec)
		var bad *journal.InvalidError
		if !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("%+v: %v, want invalid %s", c.spec, err, c.field)
		}
	}
	for range token.Max {
		create(t, b, "admin")
	}
	if _, _, err := b.Create(t.Context(), token.Spec{Name: "x", Rights: admin}); !errors.Is(err, journal.ErrOverloaded) {
		t.Errorf("one too many: %v, want overloaded", err)
	}
}

func TestARecordThatIsNoTokenLetsNobodyIn(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	b := token.NewBook(log)
	good, _ := create(t, b, "admin")
	for key, value := range map[string]string{
		"0000000000": `{`, "0000000001": `{"rights":["fly:*"]}`, "0000000002": `{"rights":["admin"]}`,
	} {
		write := journal.RecordWrite{Kind: token.Kind, Key: key, Value: []byte(value)}
		if _, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{write}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Verify(t.Context(), "vid_"+key+good[14:]); !errors.Is(err, token.ErrUnauthenticated) {
			t.Errorf("%s: %v, want unauthenticated", value, err)
		}
	}
	if _, err := b.Verify(t.Context(), good); err != nil {
		t.Errorf("a good one beside them: %v", err)
	}
}
