// SPDX-License-Identifier: Apache-2.0

// The file that says how users of older cookies are taken over, and what it makes of a cookie's claims.

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/session"
)

// legacyFile is what the file of --legacy says.
type legacyFile struct {
	dir      string // that the keys' files are relative to
	stage    legacy.Stage
	before   time.Time
	cookies  []legacyCookie
	sample   int
	patience time.Duration
}

// legacyCookie is one cookie, and what its claims stand for.
type legacyCookie struct {
	legacy.Cookie
	keys                       []legacyKey
	tenant                     string
	tenantClaim                claim
	subject, signIn            claim
	subjectState, sessionState map[string]claim // by attribute
}

// legacyKey says where a key is. The key itself stands neither in the file nor on the command line.
type legacyKey struct{ id, env, file, encoding string }

// readLegacy reads the file. The error names the field and the remedy.
func readLegacy(path string) (*legacyFile, error) {
	f := &legacyFile{dir: filepath.Dir(path)}
	err := settings{
		"stage":    text(&f.stage, "shadow"),
		"before":   value(&f.before, `time; write it as "2026-12-01T06:00:00Z"`),
		"sample":   value(&f.sample, "number; write 10 to compare one cookie of ten"),
		"patience": duration(&f.patience, "100ms"),
		"cookies": eachOf(func(at string, i int, raw json.RawMessage) error {
			f.cookies = append(f.cookies, legacyCookie{})
			return f.cookies[i].fields().read(at, raw)
		}),
	}.readFile(path)
	if err != nil {
		return nil, err
	}
	return f, f.check()
}

func (c *legacyCookie) fields() settings {
	return settings{
		"name":    text(&c.Name, "__Secure-authjs.session-token"),
		"format":  text(&c.Format, "authjs"),
		"endless": value(&c.Endless, "yes or no; write true or false"),
		"life":    duration(&c.Life, "336h"),
		"domain":  text(&c.Domain, "shop.example"),
		"path":    text(&c.Path, "/"),
		"keys": eachOf(func(at string, i int, raw json.RawMessage) error {
			c.keys = append(c.keys, legacyKey{})
			return c.keys[i].fields().read(at, raw)
		}),
		"tenant":        text(&c.tenant, "acme"),
		"tenant_claim":  c.tenantClaim.setting(),
		"subject":       c.subject.setting(),
		"sign_in":       c.signIn.setting(),
		"subject_state": attributeClaims(&c.subjectState),
		"session_state": attributeClaims(&c.sessionState),
	}
}

func (k *legacyKey) fields() settings {
	return settings{
		"env": text(&k.env, "AUTH_SECRET"), "file": text(&k.file, "auth-secret"), "id": text(&k.id, "1"),
		"encoding": text(&k.encoding, "base64"),
	}
}

// attributeClaims is a setting for an object that says which claim an attribute is read from.
func attributeClaims(to *map[string]claim) setting {
	return func(at string, raw json.RawMessage) error {
		*to = map[string]claim{}
		return eachField(at, raw, func(at, name string, raw json.RawMessage) error {
			var c claim
			err := c.setting()(at, raw)
			(*to)[name] = c
			return err
		})
	}
}

// check looks at what must be there, and at what goes with what. The rest is checked by what the file configures.
func (f *legacyFile) check() error {
	stages := []legacy.Stage{legacy.Shadow, legacy.Import, legacy.CutOver, legacy.Refuse}
	switch {
	case f.stage == "":
		return errors.New(`stage is missing; begin with "shadow"`)
	case !slices.Contains(stages, f.stage):
		return fmt.Errorf("stage is unknown; use one of %q", stages)
	case f.stage == legacy.CutOver && f.before.IsZero():
		return errors.New(`before is missing; write when the last cookie was made, as "2026-12-01T06:00:00Z"`)
	case f.stage != legacy.CutOver && !f.before.IsZero():
		return fmt.Errorf("before belongs to the stage %q; leave it out", legacy.CutOver)
	case f.sample < 0:
		return errors.New("sample is below 0; write 10 to compare one cookie of ten")
	case len(f.cookies) == 0 || len(f.cookies) > legacy.MaxCookies:
		return fmt.Errorf("cookies has %d; describe 1 to %d", len(f.cookies), legacy.MaxCookies)
	}
	for i := range f.cookies {
		if err := f.cookies[i].check(f.stage); err != nil {
			return fmt.Errorf("cookies[%d].%w", i, err)
		}
	}
	return nil
}

func (c *legacyCookie) check(stage legacy.Stage) error {
	formats := []legacy.Format{legacy.AuthJS, legacy.NextAuth, legacy.Iron, legacy.JoseDir, legacy.JoseKW}
	switch {
	case c.Name == "":
		return errors.New("name is missing; write the whole name, such as __Secure-authjs.session-token")
	case !slices.Contains(formats, c.Format):
		return fmt.Errorf("format is missing or unknown; use one of %q", formats)
	case c.Life != 0 && c.Format != legacy.Iron:
		return fmt.Errorf("life belongs to the format %q; leave it out", legacy.Iron)
	case c.tenant != "" && c.tenantClaim != nil:
		return errors.New("tenant cannot be joined with tenant_claim; leave one of them out")
	case stage == legacy.Refuse:
		return nil // nothing is read
	case c.subject == nil:
		return errors.New(`subject is missing; name the claim that says whose the cookie is, such as "sub"`)
	case len(c.keys) == 0 || len(c.keys) > legacy.MaxKeys:
		return fmt.Errorf(`keys has %d; name 1 to %d, as [{"env": "AUTH_SECRET"}]`, len(c.keys), legacy.MaxKeys)
	}
	return nil
}

// undeclared returns an error that names an attribute which the public schema does not declare: no cookie that has it
// could be imported.
func (f *legacyFile) undeclared(public session.Public) error {
	for i := range f.cookies {
		for _, part := range []struct {
			field    string
			mapped   map[string]claim
			declared map[string]session.Attribute
		}{
			{"subject_state", f.cookies[i].subjectState, public.Subject},
			{"session_state", f.cookies[i].sessionState, public.Session},
		} {
			for _, name := range slices.Sorted(maps.Keys(part.mapped)) {
				if _, ok := part.declared[name]; !ok {
					return fmt.Errorf("cookies[%d].%s.%s: the authority's public schema does not declare it; declare it in the "+
						"file of its --public, or leave it out", i, part.field, name)
				}
			}
		}
	}
	return nil
}

// cookie returns what a reader is configured with. Where every cookie is refused unread, no key is looked for: one that
// nobody knows takes its place.
func (f *legacyFile) cookie(i int, getenv func(string) string) (legacy.Cookie, error) {
	c := f.cookies[i].Cookie
	if f.stage == legacy.Refuse {
		secret := make([]byte, 32)
		chance.Fill(secret)
		c.Keys = []legacy.Key{{Secret: secret}}
		return c, nil
	}
	for j, k := range f.cookies[i].keys {
		secret, err := k.secret(f.dir, getenv)
		if err != nil {
			return c, fmt.Errorf("cookies[%d].keys[%d]%w", i, j, err)
		}
		c.Keys = append(c.Keys, legacy.Key{ID: k.id, Secret: secret})
	}
	return c, nil
}

// keyMax is how long a key may be.
const keyMax = 4 << 10

// secret reads the key. Errors quote neither it nor the name that was given for it, which might be the key itself.
func (k *legacyKey) secret(dir string, getenv func(string) string) ([]byte, error) {
	var text []byte
	switch {
	case (k.env == "") == (k.file == ""):
		return nil, errors.New(" needs env or file, and not both; the key itself does not belong here")
	case k.env != "":
		if text = []byte(getenv(k.env)); len(text) == 0 {
			return nil, errors.New(".env names no variable that is set; give the name of one that holds the key")
		}
	default:
		var err error
		if text, err = readKey(k.path(dir)); err != nil {
			return nil, fmt.Errorf(".file cannot be read: %w; name a file that holds the key", err)
		}
	}
	secret, err := text, error(nil)
	switch k.encoding {
	case "", "text":
	case "hex":
		secret, err = hex.DecodeString(string(text))
	case "base64":
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(string(text), "="))
		secret, err = base64.RawStdEncoding.DecodeString(plain)
	default:
		return nil, errors.New(`.encoding is unknown; use "text", "base64" or "hex"`)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf(" holds what is no %s; name another encoding, or none if its text is the key", k.encoding)
	case len(secret) == 0 || len(secret) > keyMax:
		return nil, fmt.Errorf(" has %d bytes; name a key of 1 to %d", len(secret), keyMax)
	}
	return secret, nil
}

func (k *legacyKey) path(dir string) string {
	if filepath.IsAbs(k.file) {
		return k.file
	}
	return filepath.Join(dir, k.file)
}

// readKey reads a key from a file, without the end of its line.
func readKey(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 2*keyMax+2))
	if err != nil {
		return nil, withoutPath(err)
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), nil
}

func withoutPath(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// claim is where a value is in the claims: a name, or the names on the way to it.
type claim []string

// setting reads the name of a claim, or a JSON Pointer (RFC 6901) to one inside another.
func (c *claim) setting() setting {
	return func(at string, raw json.RawMessage) error {
		var name string
		if err := text(&name, "sub")(at, raw); err != nil {
			return err
		}
		*c = claim{name}
		if inside, pointer := strings.CutPrefix(name, "/"); pointer {
			*c = strings.Split(inside, "/")
			for i, step := range *c {
				(*c)[i] = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
			}
		}
		return nil
	}
}

// find returns the value, or nil if there is none.
func (c claim) find(claims map[string]json.RawMessage) json.RawMessage {
	for _, step := range c[:len(c)-1] {
		var inner map[string]json.RawMessage
		if json.Unmarshal(claims[step], &inner) != nil {
			return nil
		}
		claims = inner
	}
	return claims[c[len(c)-1]]
}

// name returns a claim that names somebody or something: a text, or a number, as ids of databases are.
func (c claim) name(claims map[string]json.RawMessage) (string, error) {
	const exact = 1<<53 - 1 // the largest integer that JavaScript holds exactly
	raw := c.find(claims)
	var name string
	if json.Unmarshal(raw, &name) == nil && name != "" {
		return name, nil
	}
	number, err := strconv.ParseUint(string(raw), 10, 64)
	if err == nil && number <= exact && strconv.FormatUint(number, 10) == string(raw) {
		return string(raw), nil
	}
	return "", fmt.Errorf("the claim %s is missing, or is neither a text nor a whole number", strings.Join(c, "/"))
}

// identify says whom a cookie stands for. Attributes that the cookie does not speak of are left out.
func (c *legacyCookie) identify(t *legacy.Token) (id legacy.Identity, err error) {
	if id.Subject, err = c.subject.name(t.Claims); err != nil {
		return id, err
	}
	if id.Tenant = c.tenant; c.tenantClaim != nil {
		if id.Tenant, err = c.tenantClaim.name(t.Claims); err != nil {
			return id, err
		}
	}
	if c.signIn != nil {
		id.SignIn, _ = c.signIn.name(t.Claims) // older cookies have none, and count alone
	}
	read := func(from map[string]claim) map[string]json.RawMessage {
		state := map[string]json.RawMessage{}
		for attribute, claim := range from {
			if raw := claim.find(t.Claims); raw != nil {
				state[attribute] = raw
			}
		}
		return state
	}
	id.SubjectState, id.State = read(c.subjectState), read(c.sessionState)
	return id, nil
}
