// SPDX-License-Identifier: Apache-2.0

// What a view remembers, for people to look at.

package heartbeat

// Floors says what the view remembers now: every passport minted below base counts as superseded, and count scopes
// have a floor of their own above it, or are keys that were revoked.
func (v *View) Floors() (base int64, count int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, t := range v.mu.floors.tables {
		count += len(t)
	}
	return v.mu.floors.base, count + len(v.mu.floors.revoked.names)
}
