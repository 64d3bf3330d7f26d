// SPDX-License-Identifier: Apache-2.0

// What only tests may turn.

package entity

// CarryAfterOnly closes the books of this kind behind n events; 0 never does.
func (e *Entity[S]) CarryAfterOnly(n int) { e.carryAfter = n }
