// SPDX-License-Identifier: Apache-2.0

// Calls that last.

package door

import (
	"context"

	"connectrpc.com/connect"
)

// Stream is a call that lasts.
type Stream struct {
	*Visit
	// Ctx is that of the call; it also ends, with its cause, when the server drains.
	Ctx context.Context
	// Close gives back what the stream took.
	Close func()
}

// Open enters a cell for a call that lasts. It returns what [Door.Enter] returns, and [wire.ErrLimit].
func (d *Door) Open(ctx context.Context, cell string) (*Stream, error) {
	v, err := d.Enter(ctx, cell)
	if err != nil {
		return nil, err
	}
	return v.Last(ctx)
}

// Last makes a stream of a visit. It returns [wire.ErrLimit] when the token has too many.
func (v *Visit) Last(ctx context.Context) (*Stream, error) {
	leave, err := v.door.streams.enter(v.Cell + "/" + v.Token.ID)
	if err != nil {
		return nil, err
	}
	v.call.received()
	v.call.body.settle()
	ctx, cancel := UntilDrain(ctx)
	return &Stream{Visit: v, Ctx: ctx, Close: func() { cancel(); leave() }}, nil
}

// Send sends a message to a caller that is still welcome. One that does not take it in time is cut off, so that a slow
// reader holds one message and no more.
func Send[T any](st *Stream, out *connect.ServerStream[T], m *T) error {
	if err := st.Still(st.Ctx); err != nil {
		return err
	}
	defer st.call.sending()()
	return out.Send(m)
}

// Ending returns why a call ended: what ended its context says more than that it did.
func Ending(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

type drainKey struct{}

// WithDrain returns the context that requests are made from, whose streams end when drain does.
func WithDrain(ctx, drain context.Context) context.Context {
	return context.WithValue(ctx, drainKey{}, drain)
}

// UntilDrain returns a context that also ends, with its cause, when the server drains.
func UntilDrain(ctx context.Context) (context.Context, func()) {
	drain, _ := ctx.Value(drainKey{}).(context.Context)
	if drain == nil {
		return ctx, func() {}
	}
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(drain, func() { cancel(context.Cause(drain)) })
	return both, func() {
		stop()
		cancel(nil)
	}
}
