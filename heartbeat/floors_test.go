// SPDX-License-Identifier: Apache-2.0

// Floors against a list of all changes.

package heartbeat

import (
	"math/rand/v2"
	"strings"
	"testing"

	"example.com/vidimus/passport"
)

func TestLevelsComposeAsTheWorst(t *testing.T) {
	t.Parallel()
	of := func(position int64, s Scope, key string, e Effect) Change {
		return Change{Position: position, Scope: s, Key: key, Effect: e}
	}
	subject := passport.SubjectKey("t", "ann")
	for name, c := range map[string]struct {
		changes []Change
		want    map[int64]verdict // by the position of the passport
	}{
		"nothing happened": {nil, map[int64]verdict{0: good, 9: good}},
		"a change refuses what is below it": {
			[]Change{of(5, Session, "s", Superseded)},
			map[int64]verdict{4: superseded, 5: good, 6: good},
		},
		"revoked stays revoked below a later change": {
			[]Change{of(3, Session, "s", Revoked), of(7, Session, "s", Superseded)},
			map[int64]verdict{2: revoked, 3: superseded, 6: superseded, 7: good},
		},
		"revoked outdoes an earlier change": {
			[]Change{of(3, Session, "s", Superseded), of(7, Session, "s", Revoked)},
			map[int64]verdict{2: revoked, 6: revoked, 7: good},
		},
		// A narrow level that is newer must not hide a wide one: CVE-2026-8922, CVE-2026-18218.
		"a newer revocation of the session leaves that of all": {
			[]Change{of(9, All, "", Revoked), of(4, Session, "s", Revoked)},
			map[int64]verdict{3: revoked, 5: revoked, 8: revoked, 9: good},
		},
		"a newer revocation of all leaves that of the subject": {
			[]Change{of(4, All, "", Revoked), of(9, Subject, subject, Revoked)},
			map[int64]verdict{3: revoked, 8: revoked, 9: good},
		},
		"a superseded subject does not soften a revoked tenant": {
			[]Change{of(6, Tenant, "t", Revoked), of(9, Subject, subject, Superseded)},
			map[int64]verdict{5: revoked, 6: superseded, 9: good},
		},
		"the key and the token count, too": {
			[]Change{of(4, Key, "k", Revoked), of(6, Token, "x", Revoked)},
			map[int64]verdict{3: revoked, 5: revoked, 6: revoked, 1 << 60: revoked},
		},
		"a token counts below its change": {
			[]Change{of(4, Key, "k", Superseded), of(6, Token, "x", Revoked)},
			map[int64]verdict{3: revoked, 5: revoked, 6: good},
		},
		"others do not count": {
			[]Change{of(9, Session, "other", Revoked), of(9, Tenant, "", Revoked), of(9, Subject, "s", Revoked)},
			map[int64]verdict{0: good},
		},
		"an unheard scope or effect asks the authority": {
			[]Change{of(5, "planet", "earth", Revoked), of(7, Session, "s", "doubted")},
			map[int64]verdict{4: superseded, 6: superseded, 7: good},
		},
	} {
		f := newFloors(0, 100)
		for i := range c.changes {
			f.raise(&c.changes[i])
		}
		for position, want := range c.want {
			claims := &passport.Claims{Session: "s", Subject: "ann", Tenant: "t", Txn: "x", KeyID: "k"}
			claims.Position = position
			if got := f.judge(claims); got != want {
				t.Errorf("%s: a passport of position %d is judged %d, want %d", name, position, got, want)
			}
		}
	}
}

// TestFloorsNeverForget compares floors with a list of all changes: equal while there is room, and never milder when
// there is not. No verdict ever softens.
func TestFloorsNeverForget(t *testing.T) {
	t.Parallel()
	scopes := []Scope{Token, Session, Subject, Tenant, Key, All}
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		limit := []int{1, 3, 10, 1 << 16}[rnd.IntN(4)]
		f := newFloors(0, limit)
		pick := func(kind string) string { return simName(kind, rnd.IntN(3)) }
		var all []Change
		var passports []*passport.Claims
		var last []verdict
		for position := int64(1); position < 120; position++ {
			c := &passport.Claims{
				Session: pick("sid"), Subject: pick("sub"), Tenant: pick("ten"), Txn: pick("txn"), KeyID: pick("kid"),
			}
			c.Position = rnd.Int64N(position)
			passports, last = append(passports, c), append(last, good)
			ch := Change{Position: position, Scope: scopes[rnd.IntN(len(scopes))], Effect: Superseded}
			switch ch.Scope {
			case Subject:
				ch.Key = passport.SubjectKey(pick("ten"), pick("sub"))
			case All:
			default:
				ch.Key = pick(map[Scope]string{Token: "txn", Session: "sid", Tenant: "ten", Key: "kid"}[ch.Scope])
			}
			if rnd.IntN(2) == 0 {
				ch.Effect = Revoked
			}
			f.raise(&ch)
			all = append(all, ch)
			for i, c := range passports {
				got, want := f.judge(c), judgeByList(all, c)
				exact := limit > 1000
				if got < want && !(got == superseded && !exact) || exact && got != want {
					t.Fatalf("seed %d, limit %d, position %d: %+v is judged %d, want %d", seed, limit, position, c, got, want)
				}
				if got == good && last[i] != good {
					t.Fatalf("seed %d, limit %d, position %d: %+v was judged %d and is good", seed, limit, position, c, last[i])
				}
				last[i] = got
			}
			kept := 0
			for _, table := range f.tables {
				kept += len(table)
			}
			if n := len(f.order); n > 2*limit || kept > n {
				t.Fatalf("seed %d: %d floors are kept, %d in order, the limit is %d", seed, kept, n, limit)
			}
		}
	}
}

// judgeByList is what floors should say.
func judgeByList(all []Change, c *passport.Claims) verdict {
	worst := good
	for i := range all {
		ch := &all[i]
		about := (&simToken{claims: *c}).covers(ch)
		switch {
		case about && ch.Scope == Key && ch.Effect == Revoked:
			worst = revoked
		case !about || c.Position >= ch.Position:
		case ch.Effect == Revoked:
			worst = revoked
		default:
			worst = max(worst, superseded)
		}
	}
	return worst
}

func TestFloorsOfOneHotKeyLeaveTheOthers(t *testing.T) {
	t.Parallel()
	f := newFloors(0, 10)
	f.raise(&Change{Position: 1, Scope: Session, Key: "quiet", Effect: Revoked})
	for position := int64(2); position < 1000; position++ {
		f.raise(&Change{Position: position, Scope: Session, Key: "hot", Effect: Superseded})
	}
	if f.base != 0 || len(f.tables[sessions]) != 2 || len(f.order) > 20 {
		t.Errorf("base %d, %d sessions, %d in order", f.base, len(f.tables[sessions]), len(f.order))
	}
}

// TestARevokedKeyStaysRefused: who stole a key signs any position, and waits for it to be forgotten.
func TestARevokedKeyStaysRefused(t *testing.T) {
	t.Parallel()
	c := core{floors: newFloors(0, 1)}
	apply := func(f Frame) {
		t.Helper()
		if err := c.apply(&f); err != nil {
			t.Fatal(err)
		}
	}
	apply(Frame{Log: "a", Epoch: 1, Through: 9, Snapshot: true, Changes: []Change{
		{Position: 2, Scope: Key, Key: "stolen", Effect: Revoked},
		{Position: 3, Scope: Session, Key: "s", Effect: Revoked},
		{Position: 4, Scope: Session, Key: "t", Effect: Revoked},
		{Position: 5, Scope: Session, Key: "u", Effect: Revoked},
		{Position: 6, Scope: Session, Key: "v", Effect: Revoked},
	}})
	forged := passport.Claims{Mark: passport.Mark{Log: "a", Epoch: 1, Position: 1 << 60}, KeyID: "stolen"}
	if got := c.judge(&forged); got != passport.ErrRevoked {
		t.Errorf("behind more floors than are kept: %v", got)
	}
	apply(Frame{Log: "a", Epoch: 2, Through: 1, Snapshot: true})
	forged.Epoch = 2
	if got := c.judge(&forged); got != passport.ErrRevoked {
		t.Errorf("in a log that was restored: %v", got)
	}
	for i := range maxRevokedKeys - 1 {
		c.floors.raise(&Change{Position: int64(10 + i), Scope: Key, Key: simName("kid", i), Effect: Revoked})
	}
	if got := c.judge(&forged); got != passport.ErrRevoked {
		t.Errorf("beside as many keys as are kept: %v", got)
	}
	c.floors.raise(&Change{Position: 5000, Scope: Key, Key: "one more", Effect: Revoked})
	if n := len(c.floors.revoked.names); n != maxRevokedKeys || len(c.floors.revoked.order) != n {
		t.Errorf("%d keys are kept, %d in order", n, len(c.floors.revoked.order))
	}
	if c.floors.base != 0 {
		t.Errorf("a key of the log before raised the base of this one to %d", c.floors.base)
	}
	c.floors.raise(&Change{Position: 5001, Scope: Key, Key: "and another", Effect: Revoked})
	if c.floors.base != 10 {
		t.Errorf("a key of this log was forgotten and the base is %d, want that key's position", c.floors.base)
	}
}

func TestSubjectKeyIsThatOfPassport(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"", ""},
		{"t", "ann"},
		{"ten", strings.Repeat("x", 196)},
		{"ten", strings.Repeat("x", 197)},
		{strings.Repeat("t", 300), "s"},
	} {
		f := newFloors(0, 10)
		f.raise(&Change{Position: 5, Scope: Subject, Key: passport.SubjectKey(c[0], c[1]), Effect: Revoked})
		if got := f.judge(&passport.Claims{Tenant: c[0], Subject: c[1]}); got != revoked {
			t.Errorf("tenant of %d bytes, subject of %d: judged %d", len(c[0]), len(c[1]), got)
		}
	}
}
