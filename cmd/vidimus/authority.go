// SPDX-License-Identifier: Apache-2.0

// The authority of a node: its flags, its seal key, its public schema.

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"example.com/vidimus"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/session"
)

// authorityFlags say how sessions are kept and passports are minted.
type authorityFlags struct {
	Issuer      string   `placeholder:"URL" help:"What passports name as their issuer, and where their keys are found; without it the node's address."`
	TrustDomain string   `name:"trust-domain" placeholder:"NAME" help:"Whom passports are for: the audience that services check${usualDomain}."`
	Public      string   `placeholder:"FILE" help:"JSON that declares the attributes which passports carry."`
	Scope       []string `sep:"none" placeholder:"NAME" help:"What a session may do when its start says nothing else; may be repeated."`
	Advertise   string   `placeholder:"URL" help:"Where other processes reach this very node; without it the node's address."`
	OldSealKey  []string `name:"old-seal-key" sep:"none" placeholder:"FILE" help:"A seal key that was used before; may be repeated."`
}

// sealName is the file that a seal key is kept in beside a journal to try things out with.
const sealName = "seal.key"

// publicFile declares attributes by name, each with its JSON type, or "" for any.
type publicFile struct {
	Schema  string            `json:"schema"`
	Subject map[string]string `json:"subject"`
	Session map[string]string `json:"session"`
}

// devPublic is what a node has to try things out with.
func devPublic() publicFile {
	return publicFile{
		Schema: "dev/1", Subject: map[string]string{"name": "string", "limit": "number"},
		Session: map[string]string{"theme": "string"},
	}
}

// readPublic reads the file that declares attributes.
func readPublic(path string) (publicFile, error) {
	var p publicFile
	file, err := os.Open(path)
	if err != nil {
		return p, usage("--public", "%v", err)
	}
	defer file.Close()
	const publicMax = 64 << 10
	in := json.NewDecoder(io.LimitReader(file, publicMax))
	in.DisallowUnknownFields()
	if err := in.Decode(&p); err != nil {
		return p, usage("--public", `%s: %v; write it as {"schema": "shop/1", "subject": {"limit": "number"}}`, path, err)
	}
	if err := p.check(); err != nil {
		return p, usage("--public", "%s: %v", path, err)
	}
	return p, nil
}

// check looks at what the sessions would blame on a field of theirs.
func (p *publicFile) check() error {
	if p.Schema == "" && len(p.Subject)+len(p.Session) > 0 {
		return errors.New(`schema is missing; name it, as "shop/1"`)
	}
	for _, part := range []struct {
		name  string
		types map[string]string
	}{{"subject", p.Subject}, {"session", p.Session}} {
		if n := len(part.types); n > session.MaxAttributes {
			return fmt.Errorf("%s has %d attributes; declare %d at most", part.name, n, session.MaxAttributes)
		}
		for _, name := range slices.Sorted(maps.Keys(part.types)) {
			kind, kinds := part.types[name], []string{"string", "number", "boolean", "object", "array"}
			if kind != "" && !slices.Contains(kinds, kind) {
				return fmt.Errorf(`%s.%s: %q is no type; write one of %q, or "" for any`, part.name, name, kind, kinds)
			}
		}
	}
	return nil
}

func (p *publicFile) attributes() session.Public {
	declared := func(types map[string]string) map[string]session.Attribute {
		all := make(map[string]session.Attribute, len(types))
		for name, kind := range types {
			all[name] = session.Attribute{Type: kind}
		}
		return all
	}
	return session.Public{Subject: declared(p.Subject), Session: declared(p.Session)}
}

// readSeal reads a seal key: 32 bytes in base64.
func readSeal(flag, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage(flag, "%v; make one with `vidimus passport seal-key %s`", err, path)
	}
	key := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(key, text)
	if err != nil || n != keyring.SealSize {
		return nil, usage(flag, "%s holds no seal key, which is %d bytes in base64; make one with "+
			"`vidimus passport seal-key`", path, keyring.SealSize)
	}
	return key[:n], nil
}

// makeSeal makes a seal key in a new file that its owner alone can read.
func makeSeal(path string) error {
	key := make([]byte, keyring.SealSize)
	chance.Fill(key)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	return errors.Join(err, file.Sync(), file.Close())
}

// authorityConfig is what a node needs to run an authority.
type authorityConfig struct {
	authorityFlags
	sealKey string // the file
	create  bool   // make the seal key when there is none
	public  publicFile
}

// settle checks the flags before anything is opened. Without a seal key a node has no authority.
func (c *authorityConfig) settle() (err error) {
	if c.sealKey == "" {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"--issuer", c.Issuer != ""},
			{"--trust-domain", c.TrustDomain != ""},
			{"--public", c.Public != ""},
			{"--scope", len(c.Scope) > 0},
			{"--advertise", c.Advertise != ""},
			{"--old-seal-key", len(c.OldSealKey) > 0},
		} {
			if f.set {
				return usage("--seal-key", "is missing; %s goes with it", f.name)
			}
		}
		return nil
	}
	if c.TrustDomain == "" {
		return usage("--trust-domain", "is missing; name the audience that your services check, such as shop.example")
	}
	if len(c.Scope) == 0 {
		return usage("--scope", "is missing; name what a session may do when its start says nothing else, such as shop.use")
	}
	for name, address := range map[string]string{"--issuer": c.Issuer, "--advertise": c.Advertise} {
		u, err := url.Parse(address)
		if address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "") {
			return usage(name, "%q is no address; write it as https://id.example", address)
		}
	}
	if c.Public != "" {
		c.public, err = readPublic(c.Public)
	}
	return err
}

// seals returns the present seal key and the old ones.
func (c *authorityConfig) seals() (seal []byte, old [][]byte, err error) {
	if c.create {
		if err := makeSeal(c.sealKey); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, nil, err
		}
	}
	if seal, err = readSeal("--seal-key", c.sealKey); err != nil {
		return nil, nil, err
	}
	for _, path := range c.OldSealKey {
		key, err := readSeal("--old-seal-key", path)
		if err != nil {
			return nil, nil, err
		}
		old = append(old, key)
	}
	return seal, old, nil
}

// addAuthority opens the keys, the sessions and the authority, and gives them to the node.
func (n *node) addAuthority(ctx context.Context, v *vidimus.Node) error {
	c := &n.authority
	if c.sealKey == "" {
		return nil
	}
	seal, old, err := c.seals()
	if err != nil {
		return err
	}
	logger := n.app.logger()
	if info, err := os.Stat(c.sealKey); err == nil && info.Mode().Perm()&0o077 != 0 {
		logger.WarnContext(ctx, "others on this machine can read the seal key; allow its owner alone", "file", c.sealKey)
	}
	issuer, err := c.issuer(v.URL())
	if err != nil {
		return err
	}
	keys, err := keyring.Open(ctx, keyring.Config{Log: v.Cell().Log(), Seal: seal, OldSeals: old, Logger: logger})
	if err != nil {
		return unsealed(err)
	}
	sessions, err := session.Open(ctx, session.Config{
		Cell: v.Cell(), Keys: keys, Issuer: issuer, TrustDomain: c.TrustDomain, Schema: c.public.Schema,
		Public: c.public.attributes(), Scopes: c.Scope, Logger: logger,
	})
	if err != nil {
		return fmt.Errorf("sessions: %w", inFlags(err, map[string]string{
			"Config.Public": "--public", "Config.Scopes": "--scope", "Config.Issuer": "--issuer",
			"Config.TrustDomain": "--trust-domain",
		}))
	}
	here := c.Advertise
	if here == "" {
		here = v.URL()
	}
	a, err := authority.Open(authority.Config{
		Cell: v.Cell(), Sessions: sessions, Keys: keys, Tokens: v.Tokens(), Issuer: issuer, TrustDomain: c.TrustDomain,
		URL: here, Logger: logger,
	})
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	v.Add(keys, sessions, a)
	return a.Mount(v)
}

// unsealed says by which flag a seal key is given that a key of the journal needs.
func unsealed(err error) error {
	text := strings.Replace(err.Error(), "add that one to Config.OldSeals", "give that one as --old-seal-key", 1)
	if text == err.Error() {
		return fmt.Errorf("keys: %w", err)
	}
	return &flagError{"--seal-key", "--seal-key: " + text, err}
}

// issuer returns the name of the issuer. The node's own address will do where others cannot call.
func (c *authorityConfig) issuer(address string) (string, error) {
	if c.Issuer != "" {
		return c.Issuer, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(u.Hostname()); ip == nil || !ip.IsLoopback() {
		return "", usage("--issuer", "is missing; name the address under which others reach the node, such as "+
			"https://id.example")
	}
	return address, nil
}
