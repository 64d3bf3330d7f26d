// SPDX-License-Identifier: Apache-2.0

// What rights a request takes. These rules are all there is: a handler asks them before it asks the journal.

package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
)

// mayWrite checks a unit.
func mayWrite(rights token.Rights, u *journal.Unit) error {
	for i := range u.Appends {
		a := &u.Appends[i]
		category := a.Stream.Category()
		if len(a.Events) > 0 && ruled(category) {
			if err := door.NeedAdmin(rights); err != nil {
				return err
			}
		}
		if len(a.Events) == 0 && rights.Allow(token.Read, category) {
			continue // the answer tells where the stream is, which a reader may know
		}
		if err := door.Need(rights, token.Append, category); err != nil {
			return err
		}
	}
	for i := range u.Conditions {
		// Whether a condition holds tells what is in the journal.
		if err := mayRead(rights, u.Conditions[i].Filter); err != nil {
			return err
		}
	}
	for i := range u.Records {
		r := &u.Records[i]
		if err := mayTouch(rights, r.Kind, r.Key); err != nil {
			return err
		}
		if r.Op != journal.Check && served(r.Kind) {
			return &journal.InvalidError{
				Field:   fmt.Sprintf("records[%d].kind", i),
				Problem: fmt.Sprintf("%q is written by its own service alone; use LeaseService or TokenService", r.Kind),
			}
		}
	}
	return nil
}

// ruled reports whether events of a category decide who is signed in as whom. The right to append to every category
// does not reach there.
func ruled(category string) bool {
	switch category {
	case "session", "subject", "activity", "tenant", "key", "revocation":
		return true
	}
	return false
}

// blind takes out of an error what the caller may not know: the epoch of a lease that is not its own.
func blind(rights token.Rights, err error) error {
	var fenced *journal.FencedError
	if !errors.As(err, &fenced) || mayAcquire(rights, fenced.Lease) == nil {
		return err
	}
	return &journal.FencedError{Lease: fenced.Lease, Held: fenced.Held}
}

// shardLeases begins the names of the leases by which the nodes of a cell share its work, all but that of presence.
const shardLeases = "shard/"

// mayAcquire checks the acquiring of a lease. Who holds one of these without doing the work stops it: no timer fires,
// or no session falls idle any more.
func mayAcquire(rights token.Rights, name string) error {
	if strings.HasPrefix(name, shardLeases) || name == door.PresenceLease {
		return door.NeedAdmin(rights)
	}
	return door.Need(rights, token.Lease, name)
}

// span is a part of the leases: those whose names begin with begin, or the one with this very name.
type span struct {
	begin string
	one   bool
}

// spans returns the leases below a prefix that may be listed, in order and each once.
func spans(rights token.Rights, prefix string) []span {
	if rights.All(token.Lease) {
		return []span{{begin: prefix}}
	}
	var all []span
	for _, r := range rights {
		begin, wide := strings.CutSuffix(r.Pattern, "*")
		switch {
		case r.Verb != token.Lease:
		case strings.HasPrefix(begin, prefix):
			all = append(all, span{begin, !wide})
		case wide && strings.HasPrefix(prefix, begin):
			all = append(all, span{begin: prefix})
		}
	}
	slices.SortFunc(all, func(a, b span) int {
		if c := strings.Compare(a.begin, b.begin); c != 0 || a.one == b.one {
			return c
		} else if a.one {
			return 1
		}
		return -1
	})
	apart := all[:0]
	for _, s := range all {
		if n := len(apart); n == 0 || !apart[n-1].holds(s) {
			apart = append(apart, s)
		}
	}
	return apart
}

// holds reports whether a span has all that another has.
func (s span) holds(other span) bool {
	return s == other || !s.one && strings.HasPrefix(other.begin, s.begin)
}

// served reports whether records of a kind are written through a service of their own, whatever the rights: an epoch
// that went back, or a token without a secret, would break what others rely on.
func served(kind string) bool {
	switch kind {
	case journal.KindLease, lease.KindSession, lease.KindQueue, token.Kind, "keyring":
		return true
	}
	return false
}

// mayTouch checks the reading or writing of a record.
func mayTouch(rights token.Rights, kind, key string) error {
	switch {
	case kind == journal.KindCheckpoint:
		return door.Need(rights, token.Consumer, key)
	case token.Reserved(kind):
		return door.NeedAdmin(rights)
	}
	return door.Need(rights, token.Record, kind)
}

// mayList checks the listing of records of a kind.
func mayList(rights token.Rights, kind string) error {
	switch {
	case kind == journal.KindCheckpoint:
		if rights.All(token.Consumer) {
			return nil
		}
		return door.Missing(token.Right{Verb: token.Consumer, Pattern: "*"})
	case token.Reserved(kind):
		return door.NeedAdmin(rights)
	}
	return door.Need(rights, token.Record, kind)
}

// mayRead checks a filter: it must not reach beyond the categories that may be read.
func mayRead(rights token.Rights, f journal.Filter) error {
	if rights.All(token.Read) {
		return nil
	}
	narrow := len(f) > 0
	for i := range f {
		inStream := f[i].Stream != "" && rights.Allow(token.Read, f[i].Stream.Category())
		inCategory := f[i].Category != "" && rights.Allow(token.Read, f[i].Category)
		narrow = narrow && (inStream || inCategory)
	}
	if narrow {
		return nil
	}
	return &wire.PermissionError{Right: wanted(f).String(), Remedy: remedy(rights)}
}

// wanted is the right that a filter takes: that of the first category it names, or all.
func wanted(f journal.Filter) token.Right {
	category := "*"
	if len(f) == 1 && f[0].Category != "" {
		category = f[0].Category
	} else if len(f) == 1 && f[0].Stream != "" {
		category = f[0].Stream.Category()
	}
	return token.Right{Verb: token.Read, Pattern: category}
}

func remedy(rights token.Rights) string {
	var may []string
	for _, r := range rights {
		if r.Verb == token.Read && !slices.Contains(may, r.Pattern) {
			may = append(may, r.Pattern)
		}
	}
	if len(may) == 0 {
		return "ask for a token that has it"
	}
	return "give every match of the filter a stream or category that the token may read: " + strings.Join(may, ", ")
}
