// SPDX-License-Identifier: Apache-2.0

// Doors for the tests of this room.

package presence

// Tick lets one tick pass without waiting for it, and looks at who is due. Nobody is let go. Not beside Run.
func Tick(o *Owner) {
	o.started = o.started.Add(-o.cfg.Tick)
	o.round.frozenUntil = o.now() + 1
	o.tick(o.now(), 0)
}
