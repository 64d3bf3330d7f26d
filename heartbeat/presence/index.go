// SPDX-License-Identifier: Apache-2.0

// The index of a shard: from the hash of an id to its slot, in 8 bytes an entry.

package presence

// index is a table with linear probing. An entry is 32 bits of the id's hash, which say where it belongs, above the
// slot plus one; 0 is an empty place. The id itself stands in the slot only.
type index struct {
	table []uint64
	mask  uint32
	used  int
}

const smallestIndex = 16

func (x *index) add(tag, slot uint32) {
	if (x.used+1)*4 > len(x.table)*3 {
		x.grow()
	}
	x.put(uint64(tag)<<32 | uint64(slot+1))
	x.used++
}

func (x *index) put(entry uint64) {
	p := uint32(entry>>32) & x.mask
	for x.table[p] != 0 {
		p = (p + 1) & x.mask
	}
	x.table[p] = entry
}

func (x *index) grow() {
	old := x.table
	x.table = make([]uint64, max(smallestIndex, 2*len(old)))
	x.mask = uint32(len(x.table) - 1)
	for _, e := range old {
		if e != 0 {
			x.put(e)
		}
	}
}

// remove takes out an entry that is there, and moves those behind it up, so that no search ends too early.
func (x *index) remove(tag, slot uint32) {
	hole := tag & x.mask
	for x.table[hole] != uint64(tag)<<32|uint64(slot+1) {
		hole = (hole + 1) & x.mask
	}
	for p := (hole + 1) & x.mask; x.table[p] != 0; p = (p + 1) & x.mask {
		home := uint32(x.table[p]>>32) & x.mask
		if (p-home)&x.mask >= (p-hole)&x.mask { // the entry may stand at the hole
			x.table[hole] = x.table[p]
			hole = p
		}
	}
	x.table[hole] = 0
	x.used--
}
