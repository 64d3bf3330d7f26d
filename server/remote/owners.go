// SPDX-License-Identifier: Apache-2.0

// The leases and the tokens of a journal on another node.

package remote

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
)

// Leases are the leases of a journal on another node, with the methods of a [lease.Table]. Goroutines may share it.
type Leases struct{ log *Log }

// Leases returns the journal's leases.
func (l *Log) Leases() *Leases { return &Leases{l} }

// Start begins a session, as [lease.Table.Start] does. The node puts it into a group of its own, and the token's name
// before the owner's.
func (t *Leases) Start(ctx context.Context, s lease.Session) (lease.Session, error) {
	request := &pb.StartSessionRequest{Cell: t.log.cell, Owner: s.Owner, Node: s.Node}
	if s.TTL != 0 {
		request.Ttl = durationpb.New(s.TTL)
	}
	m, err := t.log.leases.StartSession(ctx, request)
	if err != nil {
		return lease.Session{}, writing(err)
	}
	return wire.ToSession(m)
}

// Renew prolongs a session, as [lease.Table.Renew] does.
func (t *Leases) Renew(ctx context.Context, session string) (lease.Session, error) {
	m, err := t.log.leases.RenewSession(ctx, &pb.RenewSessionRequest{Cell: t.log.cell, Session: session})
	if err != nil {
		return lease.Session{}, writing(err)
	}
	return wire.ToSession(m)
}

// End ends a session, as [lease.Table.End] does.
func (t *Leases) End(ctx context.Context, session string) error {
	_, err := t.log.leases.EndSession(ctx, &pb.EndSessionRequest{Cell: t.log.cell, Session: session})
	return writing(err)
}

// Acquire takes a lease if it is free, as [lease.Table.Acquire] does.
func (t *Leases) Acquire(ctx context.Context, c lease.Claim) (journal.Epoch, error) {
	m, err := t.log.leases.Acquire(ctx, &pb.AcquireRequest{
		Cell: t.log.cell, Name: c.Name, Session: c.Session, Ticket: c.Ticket, Wait: c.Wait,
	})
	if err != nil {
		return 0, writing(err)
	}
	return journal.Epoch(m.GetEpoch()), nil
}

// Release gives a lease up, as [lease.Table.Release] does.
func (t *Leases) Release(ctx context.Context, c lease.Claim) error {
	_, err := t.log.leases.Release(ctx, &pb.ReleaseRequest{
		Cell: t.log.cell, Name: c.Name, Session: c.Session, Ticket: c.Ticket,
	})
	return writing(err)
}

// ForceRelease takes a lease from its holder, as [lease.Table.ForceRelease] does. The node puts the token's name before
// by.
func (t *Leases) ForceRelease(ctx context.Context, name, by string) (journal.Epoch, error) {
	m, err := t.log.leases.ForceRelease(ctx, &pb.ForceReleaseRequest{Cell: t.log.cell, Name: name, By: by})
	if err != nil {
		return 0, writing(err)
	}
	return journal.Epoch(m.GetEpoch()), nil
}

// List returns leases by name, as [lease.Table.List] does: those whose names the token may acquire.
func (t *Leases) List(ctx context.Context, prefix, after string, limit int) ([]lease.Info, error) {
	if limit <= 0 || limit > journal.MaxPage {
		limit = journal.MaxPage
	}
	var infos []lease.Info
	for more := true; more && len(infos) < limit; {
		m, err := t.log.leases.ListLeases(ctx, &pb.ListLeasesRequest{
			Cell: t.log.cell, Prefix: prefix, After: after, Limit: int32(limit - len(infos)),
		})
		if err != nil {
			return nil, reading(ctx, err)
		}
		for _, one := range m.GetLeases() {
			i, err := wire.ToLease(one)
			if err != nil {
				return nil, err
			}
			infos = append(infos, i)
		}
		after, more = m.GetLast(), m.GetMore()
	}
	return infos, nil
}

// Tokens are the tokens of a journal on another node, with the methods of a [token.Book]. They take the right "admin".
// Goroutines may share it.
type Tokens struct{ log *Log }

// Tokens returns the journal's tokens.
func (l *Log) Tokens() *Tokens { return &Tokens{l} }

// Create makes a token and returns its text, as [token.Book.Create] does. After [journal.ErrUncertain] look for it in
// the list, revoke it and make another: its text is lost.
func (t *Tokens) Create(ctx context.Context, s token.Spec) (string, token.Token, error) {
	m, err := t.log.tokens.CreateToken(ctx, &pb.CreateTokenRequest{
		Cell: t.log.cell, Name: s.Name, Rights: s.Rights.Strings(), Expires: wire.Time(s.Expires),
	})
	if err != nil {
		return "", token.Token{}, writing(err)
	}
	made, err := wire.ToToken(m.GetToken())
	return m.GetSecret(), made, err
}

// List returns all tokens, as [token.Book.List] does.
func (t *Tokens) List(ctx context.Context) ([]token.Token, error) {
	m, err := t.log.tokens.ListTokens(ctx, &pb.ListTokensRequest{Cell: t.log.cell})
	if err != nil {
		return nil, reading(ctx, err)
	}
	tokens := make([]token.Token, 0, len(m.GetTokens()))
	for _, one := range m.GetTokens() {
		made, err := wire.ToToken(one)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, made)
	}
	return tokens, nil
}

// Revoke ends a token, as [token.Book.Revoke] does. Every node obeys within [token.Bound].
func (t *Tokens) Revoke(ctx context.Context, id string) error {
	_, err := t.log.tokens.RevokeToken(ctx, &pb.RevokeTokenRequest{Cell: t.log.cell, Id: id})
	return writing(err)
}
