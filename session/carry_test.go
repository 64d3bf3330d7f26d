// SPDX-License-Identifier: Apache-2.0

// States that are carried on are whole: random histories, folded with and without the events that carry them.

package session

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/vidimus/entity/entitytest"
)

func TestRandomSessionsAreCarriedWhole(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2))
	entitytest.Carried(t, life{})
	for range 300 {
		l := life{}.Evolve(randomStart(chance))
		entitytest.Carried(t, l)
		for range chance.IntN(12) {
			l = l.Evolve(randomEvent(chance))
			entitytest.Carried(t, l)
		}
	}
}

func TestRandomSubjectsAreCarriedWhole(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var p person
		entitytest.Carried(t, p)
		for range chance.IntN(12) {
			var e any = subjectChanged{randomState(chance), randomNames(chance), "via", "by"}
			if chance.IntN(3) == 0 {
				e = subjectRevoked{"ops", "lost", randomTime(chance)}
			}
			p = p.Evolve(e)
			entitytest.Carried(t, p)
		}
	}
}

func randomTime(chance *rand.Rand) time.Time {
	return time.UnixMicro(chance.Int64N(1 << 52)).UTC()
}

func randomState(chance *rand.Rand) State {
	if chance.IntN(4) == 0 {
		return nil
	}
	s := State{}
	for i := range chance.IntN(3) {
		s[fmt.Sprint("x", i)] = json.RawMessage(fmt.Sprint(chance.IntN(5)))
	}
	return s
}

// randomNames returns none, an empty list, or some.
func randomNames(chance *rand.Rand) []string {
	names := [][]string{nil, {}, {"x0"}, {"x1", "x2"}}
	return names[chance.IntN(len(names))]
}

func randomStart(chance *rand.Rand) started {
	return started{
		Tenant: "acme", Subject: "ada", Device: Device{"a", "b", "c"}, ACR: "1", AMR: randomNames(chance),
		AuthTime: randomTime(chance), Scopes: randomNames(chance), State: randomState(chance), IdleMS: chance.Int64N(1e9),
		Expires: randomTime(chance), At: randomTime(chance), Floors: floors{1, 2, 3},
	}
}

func randomEvent(chance *rand.Rand) any {
	at := randomTime(chance)
	events := []any{
		changed{randomState(chance), randomNames(chance), "by"},
		changed{randomState(chance), randomNames(chance), "by"},
		steppedUp{"2", randomNames(chance), at, randomNames(chance), chance.Int64N(9), at, "by"},
		rotated{chance.Int64N(9), at},
		refused{1, at},
		wentIdle{at, at},
		expired{at},
		ended{Revoked, "ops", "lost", at},
	}
	return events[chance.IntN(len(events))]
}
