// SPDX-License-Identifier: Apache-2.0

// vidimus passport: what passports say, whether they are good, and the keys they are signed with.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
)

type passportCmd struct {
	where

	Mint    passportMintCmd    `cmd:"" help:"Exchange a handle for a passport."`
	Inspect passportInspectCmd `cmd:"" help:"Show what a passport says, without finding out whether it is true."`
	Verify  passportVerifyCmd  `cmd:"" help:"Find out whether a passport is genuine, for this audience and in time."`
	Keys    passportKeysCmd    `cmd:"" help:"Show the public keys that passports are verified with."`
	Rotate  passportRotateCmd  `cmd:"" help:"Make a new key to sign passports with."`
	SealKey passportSealKeyCmd `cmd:"" name:"seal-key" help:"Make the key that signing keys are sealed with at rest."`
}

// tokenText returns the passport that an argument means: itself, or what comes through the standard input.
func (a *app) tokenText(text string) (string, error) {
	if text != "-" {
		return text, nil
	}
	const most = 64 << 10
	all, err := io.ReadAll(io.LimitReader(a.in, most))
	return strings.TrimSpace(string(all)), err
}

// claimsAnswer is the answer to --json.
type claimsAnswer struct {
	Issuer     string          `json:"iss"`
	Audience   string          `json:"aud"`
	IssuedAt   time.Time       `json:"issued_at"`
	ExpiresAt  time.Time       `json:"expires_at"`
	Txn        string          `json:"txn"`
	Subject    string          `json:"sub"`
	Tenant     string          `json:"tenant,omitempty"`
	Session    string          `json:"sid,omitempty"`
	Scope      string          `json:"scope"`
	Workload   string          `json:"req_wl"`
	State      json.RawMessage `json:"tctx,omitempty"`
	Request    json.RawMessage `json:"rctx,omitempty"`
	ACR        string          `json:"acr,omitempty"`
	AMR        []string        `json:"amr,omitempty"`
	Position   string          `json:"position"`
	Version    int64           `json:"version"`
	SubjectVer int64           `json:"subject_version"`
	AsOf       time.Time       `json:"as_of"`
	Schema     string          `json:"schema,omitempty"`
	Key        string          `json:"kid"`
}

// showClaims writes what a passport says.
func (a *app) showClaims(c *passport.Claims) error {
	if a.json {
		return a.object(claimsAnswer{
			c.Issuer, c.Audience, c.IssuedAt, c.ExpiresAt, c.Txn, c.Subject, c.Tenant, c.Session, c.Scope, c.Workload, c.State,
			c.Request, c.ACR, c.AMR, c.Mark.String(), c.Version, c.SubjectVersion, c.AsOf, c.Schema, c.KeyID,
		})
	}
	life := "expires in " + c.ExpiresAt.Sub(clock.Now()).Round(time.Second).String()
	if ago := clock.Since(c.ExpiresAt); ago > 0 {
		life = "expired " + age(c.ExpiresAt) + " ago"
	}
	who := c.Subject
	if c.Tenant != "" {
		who += " of " + c.Tenant
	}
	for _, line := range [][2]string{
		{"subject", a.style.Name(screen.Printable(who))},
		{"session", screen.Printable(c.Session)},
		{"scope", screen.Printable(c.Scope)},
		{"state", screen.Printable(string(c.State))},
		{"request", screen.Printable(string(c.Request))},
		{"issuer", screen.Printable(c.Issuer) + ", key " + screen.Printable(c.KeyID)},
		{"audience", screen.Printable(c.Audience) + ", asked for by " + screen.Printable(c.Workload)},
		{"txn", screen.Printable(c.Txn)},
		{"position", screen.Printable(c.Mark.String())},
		{"version", screen.Number(c.Version) + " of the session, " + screen.Number(c.SubjectVersion) + " of the subject"},
		{"issued", a.style.Time(c.IssuedAt) + ", " + life},
	} {
		if line[1] == "" {
			continue
		}
		if err := a.tell("%-8s %s", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

type passportInspectCmd struct {
	Passport string `arg:"" help:"The passport, or - to read it from the standard input."`
}

// Run shows the claims.
func (c *passportInspectCmd) Run(a *app) error {
	text, err := a.tokenText(c.Passport)
	if err != nil {
		return err
	}
	claims, err := passport.Peek(text)
	if err != nil {
		return usage("passport", "%v", err)
	}
	a.say("not verified: anybody may have written this")
	return a.showClaims(&claims)
}

type passportVerifyCmd struct {
	Passport string `arg:"" help:"The passport, or - to read it from the standard input."`
	Issuer   string `placeholder:"URL" help:"Who must have issued it; without it the node of --server."`
	Audience string `required:"" placeholder:"NAME" help:"The trust domain it must be for."`
	Keys     string `placeholder:"URL|FILE" help:"The keys; without it those of the issuer."`
}

// Help is shown by --help.
func (c *passportVerifyCmd) Help() string {
	return `This looks at the signature, the names and the times, as a service does that has no view of changes: whether anything
was changed or revoked since, only a service that follows the feed can say, or the authority itself.

Example:

    vidimus passport verify - --issuer https://id.example --audience shop.example`
}

// Run verifies the passport.
func (c *passportVerifyCmd) Run(ctx context.Context, a *app, p *passportCmd) error {
	text, err := a.tokenText(c.Passport)
	if err != nil {
		return err
	}
	if c.Issuer == "" {
		if err := p.settle(a); err != nil {
			return err
		}
		if c.Issuer = strings.TrimRight(p.Server, "/"); c.Issuer == "" {
			return usage("--issuer", "is missing; name who must have issued the passport")
		}
	}
	config := passport.Config{Issuer: c.Issuer, Audience: c.Audience, Remember: -1}
	if keys := c.Keys; keys == "" || isHTTP(keys) {
		if config.KeysURL = keys; keys == "" {
			config.KeysURL = strings.TrimRight(c.Issuer, "/") + jwksPath
		}
	} else {
		text, err := os.ReadFile(keys)
		if err != nil {
			return usage("--keys", "%v", err)
		}
		if config.Keys, err = passport.ParseKeySet(text); err != nil {
			return usage("--keys", "%s: %v", keys, err)
		}
	}
	verifier, err := passport.New(config)
	if err != nil {
		return usage("--issuer", "%v", err)
	}
	claims, err := verifier.Verify(ctx, text)
	switch {
	case errors.Is(err, passport.ErrInvalid), errors.Is(err, passport.ErrExpired):
		return &brokenError{err.Error()}
	case err != nil:
		return err
	}
	if !a.json {
		err = a.tell("genuine: signed by a key of the issuer, for %s, in time. Whether anything changed since, only "+
			"the feed or the authority can say.\n", screen.Printable(c.Audience))
	}
	return errors.Join(err, a.showClaims(&claims))
}

const jwksPath = "/.well-known/jwks.json"

func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

type passportMintCmd struct {
	Handle   string `arg:"" help:"The handle, as it stands in the cookie."`
	Audience string `default:"dev" placeholder:"NAME" help:"The trust domain that the passport is for (${default})."`
	Scope    string `placeholder:"NAMES" help:"What it is to allow, names apart by blanks; without it all that the session may do."`
}

// Run mints a passport.
func (c *passportMintCmd) Run(ctx context.Context, a *app, p *passportCmd) error {
	log, err := p.node(a) // checks the flags as every verb does
	if err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	authority, err := remote.NewAuthority(remote.AuthorityConfig{
		URL: p.Server, Token: p.Token, Audience: c.Audience, Plain: p.Plain,
	})
	if err != nil {
		return err
	}
	grant, err := authority.Mint(ctx, passport.Ask{Handle: c.Handle, Scope: c.Scope})
	if err = errors.Join(p.reached(err), authority.Close()); err != nil {
		return err
	}
	if a.json {
		return a.object(map[string]any{
			"passport": grant.Token, "handle": grant.Handle, "expires_at": grant.Claims.ExpiresAt,
			"position": grant.Claims.Mark.String(),
		})
	}
	if grant.Handle != "" {
		a.say("the handle was rotated, its successor is %s", grant.Handle)
	}
	return a.tell("%s", grant.Token)
}

type passportKeysCmd struct{}

// Help is shown by --help.
func (c *passportKeysCmd) Help() string {
	return "A key that got into wrong hands is revoked by `vidimus session revoke key KEY`: what it\n" +
		"signed is refused at once."
}

// Run shows the keys.
func (c *passportKeysCmd) Run(ctx context.Context, a *app, p *passportCmd) error {
	log, err := p.node(a)
	if err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	set, err := fetchKeys(ctx, strings.TrimRight(p.Server, "/")+jwksPath)
	if err != nil {
		return p.reached(err)
	}
	if a.json {
		return a.object(set)
	}
	table := screen.NewTable(a.out, a.style, screen.Column{Title: "key", Paint: a.style.Name},
		screen.Column{Title: "signs", Paint: a.style.Dim})
	for _, k := range set.Keys() {
		signs := "since " + a.style.Time(k.NotBefore)
		switch {
		case k.NotBefore.IsZero():
			signs = ""
		case k.NotBefore.After(clock.Now()):
			signs = "from " + a.style.Time(k.NotBefore)
		}
		if err := table.Row(k.ID, signs); err != nil {
			return err
		}
	}
	return table.Flush()
}

// fetchKeys reads the keys that a node publishes.
func fetchKeys(ctx context.Context, address string) (*passport.KeySet, error) {
	const wait, most = 10 * time.Second, 1 << 20
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, usage("--server", "%v", err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", passport.ErrUnavailable, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", passport.ErrUnavailable, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s; is it an authority?", address, res.Status)
	}
	return passport.ParseKeySet(text)
}

type passportRotateCmd struct{}

// Help is shown by --help.
func (c *passportRotateCmd) Help() string {
	return `Keys rotate by themselves once a day. The new one signs when every verifier can have it; the old one stays published
until the last passport that it signed has expired.`
}

// Run makes a key.
func (c *passportRotateCmd) Run(ctx context.Context, a *app, p *passportCmd) error {
	log, err := p.node(a)
	if err != nil {
		return err
	}
	kid, err := log.Sessions().RotateKey(ctx)
	if err = errors.Join(p.reached(err), log.Close()); err != nil {
		return err
	}
	if a.json {
		return a.object(map[string]string{"kid": kid})
	}
	return a.tell("key %s is published, and signs soon", a.style.Name(kid))
}

type passportSealKeyCmd struct {
	File string `arg:"" help:"Where to write it; the file must not exist."`
}

// Help is shown by --help.
func (c *passportSealKeyCmd) Help() string {
	return `Every node of a cell needs the same seal key. Keep a copy apart from the journal: without it the signing keys are lost,
and with it and the journal anybody can mint passports.`
}

// Run makes the file.
func (c *passportSealKeyCmd) Run(a *app) error {
	err := makeSeal(c.File)
	switch {
	case errors.Is(err, fs.ErrExist):
		return usage("file", "%s is there already; name a new file", screen.Printable(c.File))
	case err != nil:
		return usage("file", "%v", err)
	}
	if a.json {
		return a.object(map[string]string{"file": c.File})
	}
	return a.tell("%s is made; only you can read it", screen.Printable(c.File))
}
