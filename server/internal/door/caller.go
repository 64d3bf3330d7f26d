// SPDX-License-Identifier: Apache-2.0

// Who calls: before a request's body is read.

package door

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
)

// caller is who calls, by cell.
type caller struct {
	open bool
	in   map[string]token.Token
}

type callerKey struct{}

// gate authenticates a call before its message is read.
func (d *Door) gate(ctx context.Context, spec connect.Spec, _ connect.Peer, h http.Header) (context.Context, error) {
	c := callOf(ctx)
	if c == nil {
		return nil, wire.Error(errors.New("call did not pass through ServeHTTP"), nil)
	}
	if d.config.Public != nil && d.config.Public(spec.Procedure) {
		return ctx, nil
	}
	lasting := spec.StreamType != connect.StreamTypeUnary || d.config.Lasting != nil && d.config.Lasting(spec.Procedure)
	ctx, err := d.let(ctx, c, h, lasting)
	if err != nil {
		return nil, d.Tell(ctx, spec.Procedure, err)
	}
	return ctx, nil
}

// let authenticates a call and counts it, unless it lasts: then it counts as a stream of its token. The context is
// never nil.
func (d *Door) let(ctx context.Context, c *call, h http.Header, lasting bool) (context.Context, error) {
	who, err := d.authenticate(ctx, h.Values("Authorization"), c.open)
	if err != nil {
		return ctx, err
	}
	// Only now: who has no token takes no place from those who have.
	if !lasting {
		select {
		case d.requests <- struct{}{}:
			c.leave = func() { <-d.requests }
		default:
			return ctx, fmt.Errorf("%w: %d calls are under way on this node; try again", wire.ErrLimit, d.config.Requests)
		}
	}
	if err := c.body.count(packed(h)); err != nil {
		return ctx, err
	}
	return context.WithValue(ctx, callerKey{}, who), nil
}

// Caller lets a plain request in that has passed [Door.Admit], and enters a cell for it. It returns the errors of
// [Door.Enter], [token.ErrUnauthenticated], [wire.ErrLimit], or what [token.Book.Verify] returns.
func (d *Door) Caller(r *http.Request, cell string, lasting bool) (*Visit, error) {
	c := callOf(r.Context())
	if c == nil {
		return nil, errors.New("request was not admitted")
	}
	ctx, err := d.let(r.Context(), c, r.Header, lasting)
	if err != nil {
		return nil, err
	}
	return d.visit(ctx, cell)
}

// authenticate finds out who calls. A token that is given must be good, also where none is needed.
func (d *Door) authenticate(ctx context.Context, header []string, open bool) (*caller, error) {
	if len(header) == 0 && open {
		return &caller{open: true}, nil
	}
	if len(header) == 0 {
		return nil, fmt.Errorf("%w: send a token, as in Authorization: Bearer vid_...", token.ErrUnauthenticated)
	}
	scheme, text, _ := strings.Cut(header[0], " ")
	if len(header) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, fmt.Errorf("%w: send one token, as in Authorization: Bearer vid_...", token.ErrUnauthenticated)
	}
	who := &caller{in: map[string]token.Token{}}
	var refusal error
	for name, book := range d.config.Books {
		t, err := book.Verify(ctx, text)
		switch {
		case err == nil:
			who.in[name] = t
		case refusal == nil || errors.Is(refusal, token.ErrUnauthenticated):
			refusal = err // a journal that cannot be read says more than an unknown token
		}
	}
	if len(who.in) == 0 {
		return nil, refusal
	}
	return who, nil
}

// Visit is a call within one cell.
type Visit struct {
	Cell   string
	Open   bool // let in without a token
	Token  token.Token
	Rights token.Rights

	door *Door
	call *call
}

// Enter returns the caller's visit to the cell that a request names, whose body has been read. A caller learns of no
// cell that its token does not open: it gets [wire.ErrUnknownCell].
func (d *Door) Enter(ctx context.Context, cell string) (*Visit, error) {
	callOf(ctx).received()
	return d.visit(ctx, cell)
}

func (d *Door) visit(ctx context.Context, name string) (*Visit, error) {
	who, _ := ctx.Value(callerKey{}).(*caller)
	if who == nil {
		return nil, errors.New("call did not pass through the gate")
	}
	usable := slices.Sorted(maps.Keys(who.in))
	if who.open {
		usable = slices.Sorted(maps.Keys(d.config.Books))
	}
	if name == "" && len(usable) == 1 {
		name = usable[0]
	}
	if !slices.Contains(usable, name) {
		return nil, fmt.Errorf("%w: %q is not among those this node has for you: %s", wire.ErrUnknownCell, name,
			strings.Join(usable, ", "))
	}
	v := &Visit{Cell: name, Open: who.open, door: d, call: callOf(ctx)}
	if who.open {
		v.Token = token.Token{Name: "local"}
		v.Rights = token.Rights{{Verb: token.Admin}}
	} else {
		v.Token = who.in[name]
		v.Rights = v.Token.Rights
	}
	return v, nil
}

// Still returns nil while the caller is welcome, for calls that last, and otherwise what [token.Book.Still] returns.
func (v *Visit) Still(ctx context.Context) error {
	if v.Open {
		return nil
	}
	return v.door.config.Books[v.Cell].Still(ctx, v.Token)
}

// By names who did something, for a history: the token, and behind it whom its holder names.
func (v *Visit) By(name string) string {
	const byMax = 128 // bytes that a history keeps
	whole := v.Workload()
	if name != "" && name != whole {
		whole += "/" + name
	}
	if len(whole) > byMax {
		whole = strings.ToValidUTF8(whole[:byMax], "")
	}
	return whole
}

// Workload names the caller where there is little room: the name of its token, or its id where that is too long for a
// passport.
func (v *Visit) Workload() string {
	const workloadMax = 64
	if len(v.Token.Name) > workloadMax {
		return v.Token.ID
	}
	return v.Token.Name
}

// Need returns nil when rights cover a verb on a name, and otherwise names the right that is missing.
func Need(rights token.Rights, v token.Verb, name string) error {
	if rights.Allow(v, name) {
		return nil
	}
	return Missing(token.Right{Verb: v, Pattern: name})
}

// PresenceLease is the lease of the node that watches for sessions that fall silent. No client takes it but with
// [token.Admin].
const PresenceLease = "presence"

// NeedAdmin is [Need] for the right to everything.
func NeedAdmin(rights token.Rights) error {
	if rights.All(token.Admin) {
		return nil
	}
	return Missing(token.Right{Verb: token.Admin})
}

// Missing is the error that names a right.
func Missing(r token.Right) error {
	return &wire.PermissionError{Right: r.String(), Remedy: "ask for a token that has it"}
}
