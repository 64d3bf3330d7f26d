// SPDX-License-Identifier: Apache-2.0

// What can go wrong, in words a caller can branch on.

package lease

import (
	"errors"
	"fmt"

	"example.com/vidimus/journal"
)

// Errors to branch on with errors.Is.
var (
	// ErrHeld: somebody else holds the lease, or is before the caller in the queue; see [HeldError].
	ErrHeld = errors.New("lease is held")
	// ErrLost: the lease was taken over, or the session behind it has ended or could not be renewed in time.
	ErrLost = errors.New("lease lost")
	// ErrReleased: the lease was released or handed over by its holder.
	ErrReleased = errors.New("lease released")
	// ErrStopped: the keeper's Run has ended.
	ErrStopped = errors.New("keeper has stopped")
)

// HeldError says who has a lease that was asked for.
type HeldError struct {
	Name string
	// Holder is who has it; without a session when the lease is free and promised to the first in the queue.
	Holder Holder
	Epoch  journal.Epoch
	// Place is the caller's place in the queue, 1 for the next; 0 when it does not wait.
	Place int
}

func (e *HeldError) Error() string {
	who := "promised to the first in its queue"
	if e.Holder.Session != "" {
		who = fmt.Sprintf("held by %s since epoch %d", e.Holder.Owner, e.Epoch)
	}
	if e.Place > 0 {
		return fmt.Sprintf("lease %s is %s; place %d in its queue", e.Name, who, e.Place)
	}
	return fmt.Sprintf("lease %s is %s; wait for it, or release it by force", e.Name, who)
}

// Is reports whether target is [ErrHeld].
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

func invalid(field, format string, args ...any) *journal.InvalidError {
	return &journal.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
