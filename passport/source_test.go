// SPDX-License-Identifier: Apache-2.0

// Where keys come from, how often they are fetched, and when they are no longer believed.

package passport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

// publisher answers requests for a key set.
type publisher struct {
	set     atomic.Pointer[passport.KeySet]
	down    atomic.Bool
	control string // Cache-Control
	fetches atomic.Int64
	hold    chan struct{} // answers wait for it, if not nil
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.fetches.Add(1)
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if p.down.Load() {
		return nil, errors.New("connection refused")
	}
	body, err := json.Marshal(p.set.Load())
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	if p.control != "" {
		h.Set("Cache-Control", p.control)
	}
	return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func (p *publisher) verifier(t *testing.T) *passport.Verifier {
	t.Helper()
	client := &http.Client{Transport: p}
	return verifier(t, passport.Config{KeysURL: "https://id.example/.well-known/jwks.json", Client: client})
}

func TestKeysAreFetchedWhenTheyAreNeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := signer(t, 1), signer(t, 2)
		p := &publisher{}
		p.set.Store(keySet(t, first))
		v := p.verifier(t)
		check := func(s *passport.Signer, want error, fetches int64) {
			t.Helper()
			_, err := v.Check(t.Context(), sign(t, s, claims(time.Now())), nil)
			if !errors.Is(err, want) || (err == nil) != (want == nil) || p.fetches.Load() != fetches {
				t.Errorf("got %v after %d fetches, want %v after %d", err, p.fetches.Load(), want, fetches)
			}
		}
		check(first, nil, 1)
		check(first, nil, 1)
		check(second, passport.ErrInvalid, 1) // too soon after the last one
		time.Sleep(11 * time.Second)
		check(second, passport.ErrInvalid, 2)
		p.set.Store(keySet(t, first, second))
		check(second, passport.ErrInvalid, 2)
		time.Sleep(11 * time.Second)
		check(second, nil, 3)
		for range 100 { // garbage fetches nothing
			if _, err := v.Check(t.Context(), "e30."+strings.Repeat("A", 100)+"."+strings.Repeat("A", 86), nil); err == nil {
				t.Fatal("garbage is taken")
			}
		}
		time.Sleep(11 * time.Second)
		check(first, nil, 3)
		// A key that is published no longer is believed until the set is fetched again, and then no more.
		p.set.Store(keySet(t, second))
		remembered := sign(t, first, claims(time.Now()))
		if _, err := v.Check(t.Context(), remembered, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Minute)
		check(second, nil, 4)
		check(first, passport.ErrInvalid, 4)
	})
}

func TestKeysGrowOldWhileTheMachineSleeps(t *testing.T) {
	t.Parallel()
	first, second := signer(t, 1), signer(t, 2)
	p := &publisher{}
	p.set.Store(keySet(t, first))
	v := p.verifier(t)
	check := func(s *passport.Signer) error {
		_, err := v.Verify(t.Context(), sign(t, s, claims(time.Now())))
		return err
	}
	if err := check(first); err != nil {
		t.Fatal(err)
	}
	p.set.Store(keySet(t, second))
	v.Sleep(2 * time.Hour)
	if err := check(first); !errors.Is(err, passport.ErrInvalid) || p.fetches.Load() != 2 {
		t.Errorf("after two hours asleep and %d fetches: %v", p.fetches.Load(), err)
	}
	if err := check(second); err != nil {
		t.Error(err)
	}
}

func TestARememberedPassportDiesWithItsKey(t *testing.T) {
	t.Parallel()
	first, second := signer(t, 1), signer(t, 2)
	var now atomic.Pointer[passport.KeySet]
	v := verifier(t, passport.Config{KeysNow: now.Load})
	token := sign(t, first, claims(time.Now()))
	for _, c := range []struct {
		keys *passport.KeySet
		want error
	}{
		{nil, passport.ErrUnavailable},
		{keySet(t, first), nil},
		{keySet(t, first, second), nil},
		{keySet(t, second), passport.ErrInvalid},
		{keySet(t, first), nil},
	} {
		now.Store(c.keys)
		for range 2 {
			if _, err := v.Check(t.Context(), token, nil); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		}
	}
}

func TestOneFetchesForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signer(t, 1)
		p := &publisher{hold: make(chan struct{})}
		p.set.Store(keySet(t, s))
		v := p.verifier(t)
		token := sign(t, s, claims(time.Now()))
		leaves, leave := context.WithCancel(t.Context())
		answers := make(chan error, 20)
		for i := range cap(answers) {
			ctx := t.Context()
			if i == 0 {
				ctx = leaves // the one that fetches leaves before there is an answer
			}
			go func() { _, err := v.Verify(ctx, token); answers <- err }()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		close(p.hold)
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if n := p.fetches.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestKeysOutliveAnAuthorityThatIsDownForADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signer(t, 1)
		p := &publisher{}
		p.down.Store(true)
		p.set.Store(keySet(t, s))
		v := p.verifier(t)
		verify := func() error { _, err := v.Verify(t.Context(), sign(t, s, claims(time.Now()))); return err }
		if err := verify(); !errors.Is(err, passport.ErrUnavailable) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("without any keys: %v", err)
		}
		p.down.Store(false)
		time.Sleep(2 * time.Second)
		if err := verify(); err != nil {
			t.Error(err)
		}
		p.down.Store(true)
		time.Sleep(23 * time.Hour)
		if err := verify(); err != nil {
			t.Errorf("after 23 hours: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if err := verify(); !errors.Is(err, passport.ErrUnavailable) {
			t.Errorf("after 25 hours: %v", err)
		}
	})
}

func TestRunKeepsKeysFresh(t *testing.T) {
	t.Parallel()
	for control, want := range map[string]int64{ // fetches in an hour
		"":                                     16, // each 3/4 of 5 min
		"max-age=600, public":                  8,
		"public, MAX-AGE=99999999999999999999": 80,
		"max-age=86400":                        2,  // at most an hour
		"max-age=0":                            80, // at least a minute
		"no-store":                             16,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := signer(t, 1)
			p := &publisher{control: control}
			p.set.Store(keySet(t, s))
			v := p.verifier(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := v.Run(ctx); err != nil {
				t.Error(err)
			}
			if n := p.fetches.Load(); n < want-want/5 || n > want+want/5 {
				t.Errorf("%q: %d fetches in an hour, want about %d", control, n, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // keys that are given need no care
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := verifier(t, passport.Config{Keys: keySet(t, signer(t, 1))}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestBadAnswersAreNoKeys(t *testing.T) {
	t.Parallel()
	good, err := json.Marshal(keySet(t, signer(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = w.Write(good)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/other" {
				_, _ = w.Write(good)
				return
			}
			http.Redirect(w, r, "/other", http.StatusFound)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
	} {
		server := httptest.NewServer(answer)
		defer server.Close()
		v := verifier(t, passport.Config{KeysURL: server.URL + "/jwks.json"})
		_, err := v.Verify(t.Context(), sign(t, signer(t, 1), claims(time.Now())))
		if !errors.Is(err, passport.ErrUnavailable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// endless is an answer without end, which counts what is read of it.
type endless struct{ read int }

func (e *endless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(e)}, nil
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 1<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestOfAnEndlessAnswerLittleIsRead(t *testing.T) {
	t.Parallel()
	e := &endless{}
	v := verifier(t, passport.Config{KeysURL: "https://id.example/", Client: &http.Client{Transport: e}})
	_, err := v.Verify(t.Context(), sign(t, signer(t, 1), claims(time.Now())))
	if !errors.Is(err, passport.ErrUnavailable) || e.read > 128<<10 {
		t.Errorf("got %v after %d bytes", err, e.read)
	}
}

func TestConfigsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	keys := keySet(t, signer(t, 1))
	for field, cfg := range map[string]passport.Config{
		"Config.Issuer":   {Audience: "a", Keys: keys},
		"Config.Audience": {Issuer: "i", Keys: keys},
		"Config.Keys":     {Issuer: "i", Audience: "a"},
		"Config.KeysURL":  {Issuer: "i", Audience: "a", KeysURL: "ftp://id.example"},
		"Config.Skew":     {Issuer: "i", Audience: "a", Keys: keys, Skew: time.Hour},
		"Config.Remember": {Issuer: "i", Audience: "a", Keys: keys, Remember: 1 << 30},
	} {
		_, err := passport.New(cfg)
		var bad *passport.InvalidError
		if !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for _, cfg := range []passport.Config{
		{Issuer: "i", Audience: "a", Keys: keys, KeysURL: "https://id.example"},
		{Issuer: "i", Audience: "a", KeysURL: "https://user:secret@id.example"},
		{Issuer: "i", Audience: "a", KeysURL: "https://"},
		{Issuer: "i", Audience: "a", Keys: keys, Skew: -1},
	} {
		if _, err := passport.New(cfg); !errors.Is(err, passport.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want a refusal that keeps secrets", err)
		}
	}
}
