// SPDX-License-Identifier: Apache-2.0

// Passports by example.

package passport_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"example.com/vidimus/passport"
)

// A service lets requests through whose passport is good, and finds who asks and with what state.
func ExampleVerifier_Require() {
	now := time.Unix(1_800_000_000, 0)
	signer, err := passport.NewSigner(ed25519.NewKeyFromSeed(make([]byte, 32)), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := passport.NewKeySet(signer.Public())
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := passport.New(passport.Config{
		Issuer: "https://id.example", Audience: "shop", Keys: keys,
		Now: func() time.Time { return now },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	type account struct {
		Subject struct {
			Limit int `json:"limit"`
		} `json:"subject"`
	}
	buy := verifier.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := passport.FromContext(r.Context())
		state, err := passport.StateOf[account](claims)
		fmt.Fprintln(w, claims.Subject, "may spend", state.Subject.Limit, err)
	}), &passport.Rule{Scopes: []string{"seats.buy"}})

	token, err := signer.Sign(&passport.Claims{
		Issuer: "https://id.example", Audience: "shop", IssuedAt: now, ExpiresAt: now.Add(time.Minute),
		Txn: "t1", Subject: "alice", Scope: "seats.hold seats.buy", Workload: "edge",
		State: json.RawMessage(`{"subject":{"limit":300}}`), Schema: "shop/1",
		Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 184467}, AsOf: now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("POST", "/seats/12", nil)
	r.Header.Set("Txn-Token", token)
	w := httptest.NewRecorder()
	buy.ServeHTTP(w, r)
	fmt.Print(w.Body)
	fmt.Println(w.Header().Get("Vidimus-Position"))

	now = now.Add(time.Hour)
	w = httptest.NewRecorder()
	buy.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// alice may spend 300 <nil>
	// c3.7:184467
	// 401 Txn-Token error="expired"
}

// A verifier says which claim of a passport it does not believe, and what would be right.
func ExampleInvalidError() {
	keys, err := passport.ParseKeySet([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"kPrK_qmx",
		"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := passport.New(passport.Config{Issuer: "https://id.example", Audience: "shop", Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Verify(context.Background(), "eyJhbGciOiJub25lIn0.e30.")
	fmt.Println(errors.Is(err, passport.ErrInvalid), err)
	// Output: true invalid token: is no JWS of at most 8 kB in compact form
}

// What a rule says of a route, in words.
func ExampleRule() {
	rules := map[string]passport.Rule{
		"GET /seats":    {Scopes: []string{"seats.view"}, MaxStale: 10 * time.Second, WhenStale: passport.ReadOnly},
		"POST /seats":   {Scopes: []string{"seats.buy"}, MaxStale: 2 * time.Second, WhenStale: passport.AskAuthority},
		"POST /account": {Scopes: []string{"account"}, MaxStale: time.Second}, // fails closed
	}
	fmt.Println(rules["POST /account"].WhenStale == passport.FailClosed)
	// Output: true
}
