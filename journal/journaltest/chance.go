// SPDX-License-Identifier: Apache-2.0

// Chance that a seed repeats.

package journaltest

import "example.com/vidimus/journal"

// chance draws numbers from a seed (the generator is splitmix64).
type chance struct{ state uint64 }

func (c *chance) next() uint64 {
	c.state += 0x9e3779b97f4a7c15
	z := c.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 up to, not including, n.
func (c *chance) below(n int) int { return int(c.next() % uint64(n)) }

// one in n times it is true.
func (c *chance) one(n int) bool { return c.below(n) == 0 }

// id returns an id of no particular order.
func (c *chance) id() journal.ID {
	var id journal.ID
	for i := range id {
		id[i] = byte(c.next())
	}
	return id
}

// pick draws one of several things.
func pick[T any](c *chance, from ...T) T { return from[c.below(len(from))] }
