// SPDX-License-Identifier: Apache-2.0

// Floors: what became of passports minted below a position, for everything that was changed. Pure; one goroutine.

package heartbeat

import "example.com/vidimus/passport"

// floor says below which positions passports are no longer good. It only rises.
type floor struct{ superseded, revoked int64 }

// verdict is what floors say of a passport. The worst of several counts.
type verdict int

const (
	good verdict = iota
	superseded
	revoked
)

func (f floor) judge(position int64) verdict {
	switch {
	case position < f.revoked:
		return revoked
	case position < f.superseded:
		return superseded
	}
	return good
}

// table is the place of a scope in floors.tables.
type table int

const (
	tokens table = iota
	sessions
	subjects
	tenants
	keys
	everything // under the key ""
	tableCount
)

func tableOf(s Scope) table {
	switch s {
	case Token:
		return tokens
	case Session:
		return sessions
	case Subject:
		return subjects
	case Tenant:
		return tenants
	case Key:
		return keys
	}
	return everything
}

// raised is one entry of the order in which floors were raised.
type raised struct {
	position int64
	key      string
	table    table
	effect   verdict
}

// maxRevokedKeys bounds the keys that are known to be revoked, beside the floors.
const maxRevokedKeys = 1024

// floors is bounded: between limit and 2*limit floors are kept. Dropping one raises the base to it, below which
// everything counts as superseded. So nothing is ever forgotten, only known less exactly.
//
// A key that was revoked is refused at every position, and apart from the rest: who stole it signs what he likes, any
// position included, and the authority never signs with it again.
type floors struct {
	base    int64
	limit   int
	tables  [tableCount]map[string]floor
	order   []raised // the oldest first; one that was raised again since is dead
	revoked revokedKeys
}

// revokedKeys is the keys that are never good again: the newest maxRevokedKeys of them.
type revokedKeys struct {
	names map[string]struct{}
	order []raised // the oldest first
}

// carried returns the keys for a log that follows another one: what was stolen stays stolen, but positions of the old
// log say nothing in the new one.
func (k *revokedKeys) carried() revokedKeys {
	for i := range k.order {
		k.order[i].position = 0
	}
	return *k
}

func newFloors(base int64, limit int) floors {
	f := floors{base: base, limit: limit}
	for t := range f.tables {
		f.tables[t] = map[string]floor{}
	}
	return f
}

// raise applies a change and reports whether a verdict can differ since.
func (f *floors) raise(c *Change) bool {
	r := raised{position: c.Position, key: c.Key, table: tableOf(c.Scope), effect: superseded}
	if r.table == everything {
		r.key = ""
	}
	if c.Effect == Revoked && (r.table != everything || c.Scope == All) {
		r.effect = revoked
	}
	if r.table == keys && r.effect == revoked {
		return f.revokeKey(r)
	}
	at := f.tables[r.table][r.key]
	stands := &at.superseded
	if r.effect == revoked {
		stands = &at.revoked
	}
	if *stands >= c.Position {
		return false
	}
	*stands = c.Position
	f.tables[r.table][r.key] = at
	f.order = append(f.order, r)
	if len(f.order) > 2*f.limit {
		f.shrink()
	}
	return true
}

// revokeKey refuses a key for ever.
func (f *floors) revokeKey(r raised) bool {
	k := &f.revoked
	if _, known := k.names[r.key]; known {
		return false
	}
	if k.names == nil {
		k.names = map[string]struct{}{}
	}
	if len(k.order) == maxRevokedKeys {
		f.raiseBase(k.order[0].position)
		delete(k.names, k.order[0].key)
		k.order = append(k.order[:0], k.order[1:]...)
	}
	k.names[r.key] = struct{}{}
	k.order = append(k.order, r)
	return true
}

// raiseBase makes everything minted below a position count as superseded.
func (f *floors) raiseBase(position int64) bool {
	if position <= f.base {
		return false
	}
	f.base = position
	return true
}

// shrink takes the dead out of the order, then the oldest floors, until limit are left.
func (f *floors) shrink() {
	alive := f.order[:0]
	for _, r := range f.order {
		if f.stands(r) {
			alive = append(alive, r)
		}
	}
	drop := max(0, len(alive)-f.limit)
	for _, r := range alive[:drop] {
		f.raiseBase(r.position)
		f.drop(r)
	}
	n := copy(f.order, alive[drop:])
	clear(f.order[n:])
	f.order = f.order[:n]
}

// stands reports whether a floor was not raised again since.
func (f *floors) stands(r raised) bool {
	at := f.tables[r.table][r.key]
	return r.effect == revoked && at.revoked == r.position || r.effect == superseded && at.superseded == r.position
}

func (f *floors) drop(r raised) {
	at := f.tables[r.table][r.key]
	if r.effect == revoked {
		at.revoked = 0
	} else {
		at.superseded = 0
	}
	if at == (floor{}) {
		delete(f.tables[r.table], r.key)
		return
	}
	f.tables[r.table][r.key] = at
}

// judge returns the worst verdict of all scopes that a passport is in.
func (f *floors) judge(c *passport.Claims) verdict {
	if _, gone := f.revoked.names[c.KeyID]; gone {
		return revoked
	}
	worst := f.tables[everything][""].judge(c.Position)
	if c.Position < f.base {
		worst = max(worst, superseded)
	}
	look := func(t table, key string) {
		if at := f.tables[t]; len(at) > 0 {
			worst = max(worst, at[key].judge(c.Position))
		}
	}
	look(sessions, c.Session)
	look(tenants, c.Tenant)
	look(tokens, c.Txn)
	look(keys, c.KeyID)
	if at := f.tables[subjects]; len(at) > 0 && worst != revoked {
		var buf [22]byte
		key := passport.AppendSubjectKey(buf[:0], c.Tenant, c.Subject)
		worst = max(worst, at[string(key)].judge(c.Position))
	}
	return worst
}
