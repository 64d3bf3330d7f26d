// SPDX-License-Identifier: Apache-2.0

// Cookies made by the packages themselves, read by us.

package interop

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"example.com/vidimus/edge/legacy"
)

// npmCase is what npm/cookies.mjs prints for one cookie.
type npmCase struct {
	Name   string        `json:"name"`
	Format legacy.Format `json:"format"`
	Cookie string        `json:"cookie"`
	Keys   []struct {
		ID       string `json:"id"`
		Secret   string `json:"secret"`
		Secret64 []byte `json:"secret64"`
	} `json:"keys"`
	Header  string `json:"header"`
	Chunks  int    `json:"chunks"`
	Chunked bool   `json:"chunked"`
	Subject string `json:"subject"`
	Limit   int    `json:"limit"`
	Endless bool   `json:"endless"`
	Refused string `json:"refused"`
}

func (c *npmCase) read() (legacy.Found, error) {
	cookie := legacy.Cookie{Name: c.Cookie, Format: c.Format, Endless: c.Endless}
	for _, k := range c.Keys {
		cookie.Keys = append(cookie.Keys, legacy.Key{ID: k.ID, Secret: append(k.Secret64, k.Secret...)})
	}
	r, err := legacy.NewReader(legacy.Config{Cookies: []legacy.Cookie{cookie}})
	if err != nil {
		return legacy.Found{}, err
	}
	return r.Read(&http.Request{Header: http.Header{"Cookie": {c.Header}}})
}

func TestCookiesOfTheRealPackagesAreRead(t *testing.T) {
	t.Parallel()
	var cases []npmCase
	if err := json.Unmarshal(node(t, "cookies.mjs"), &cases); err != nil {
		t.Fatal(err)
	}
	formats := map[legacy.Format]int{}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := c.read()
			if c.Refused != "" {
				if !errors.Is(err, legacy.ErrRefused) || legacy.Why(err) != c.Refused {
					t.Fatalf("got %v because %q, want a refusal because %q", err, legacy.Why(err), c.Refused)
				}
				return
			}
			if err != nil {
				t.Fatalf("refused because %q: %v", legacy.Why(err), err)
			}
			formats[c.Format]++
			if (c.Chunks > 1) != c.Chunked {
				t.Errorf("came in %d chunks", c.Chunks)
			}
			var limit int
			err = json.Unmarshal(got.Claims["limit"], &limit)
			if got.Identity.Subject != c.Subject || limit != c.Limit || err != nil {
				t.Errorf("read %s with limit %d, want %s with %d", got.Identity.Subject, limit, c.Subject, c.Limit)
			}
			// Seals say when they end, and their default life is not that of a raw one.
			dated := !c.Endless && c.Name != "iron without an id"
			if age := time.Since(got.Issued); dated && (age < -time.Second || age > time.Minute) {
				t.Errorf("was issued %v ago, want just now", age)
			}
			if got.Expires.IsZero() != c.Endless {
				t.Errorf("expires at %v", got.Expires)
			}
		})
	}
	for _, f := range []legacy.Format{legacy.AuthJS, legacy.NextAuth, legacy.Iron, legacy.JoseDir, legacy.JoseKW} {
		if formats[f] < 2 {
			t.Errorf("%d good cookies in the format %s, want some", formats[f], f)
		}
	}
}
