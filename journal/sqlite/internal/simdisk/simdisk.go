// SPDX-License-Identifier: Apache-2.0

// Package simdisk is a disk for tests that loses power: what was not synced may be gone, or there in part and in any
// order. It implements SQLite's file system; one seed gives one fate.
package simdisk

import (
	"io"
	"slices"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// Op is a kind of access that can be made to fail.
type Op int

// The kinds of access.
const (
	Write Op = iota
	Sync
	Truncate
	Open
	ops
)

// Disk is a file system in memory. Goroutines may share it. It has no locks and no shared memory, so one connection at
// a time may use a database on it.
type Disk struct {
	mu struct {
		sync.Mutex
		files  map[string]*inode
		dice   Dice
		charge int // accesses until the power fails, negative for never
		dead   bool
		faults [ops]error
	}
}

type inode struct {
	now     []byte
	durable []byte
	pending []change // since the last sync
	deleted bool     // but the folder was not synced since
}

// change is a write, or a truncation to off where data is nil.
type change struct {
	off  int64
	data []byte
}

// New returns an empty disk.
func New(seed uint64) *Disk {
	d := &Disk{}
	d.mu.files, d.mu.dice, d.mu.charge = map[string]*inode{}, Dice(seed), -1
	return d
}

// CutAfter lets the power fail at the access after so many that change something.
func (d *Disk) CutAfter(accesses int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.charge = accesses
}

// Fail makes all accesses of a kind fail, until it is called with nil.
func (d *Disk) Fail(op Op, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.faults[op] = err
}

// Restart returns the disk as it comes back after a power loss at this moment. The old one stays dead.
func (d *Disk) Restart() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.dead = true
	after := New(uint64(d.mu.dice.Roll(1 << 62)))
	names := make([]string, 0, len(d.mu.files))
	for name := range d.mu.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := d.mu.files[name]
		if f.deleted && d.mu.dice.Roll(2) == 0 {
			continue
		}
		image := f.survivors(&d.mu.dice)
		after.mu.files[name] = &inode{now: image, durable: slices.Clone(image)}
	}
	return after
}

// survivors returns what is on the disk after a power loss: what was synced, and of the rest what the dice say.
func (f *inode) survivors(dice *Dice) []byte {
	kept := []int{0, 50, 90, 100}[dice.Roll(4)] // in percent
	image := slices.Clone(f.durable)
	for _, c := range f.pending {
		if c.data == nil {
			if dice.Roll(100) < kept {
				image = resize(image, c.off)
			}
			continue
		}
		for at := 0; at < len(c.data); {
			off := c.off + int64(at)
			end := min(len(c.data), at+int(sector-off%sector))
			if dice.Roll(100) < kept {
				image = writeAt(image, c.data[at:end], off)
			}
			at = end
		}
	}
	return image
}

func resize(b []byte, n int64) []byte {
	if int64(len(b)) >= n {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

func writeAt(b, data []byte, off int64) []byte {
	if end := off + int64(len(data)); int64(len(b)) < end {
		b = resize(b, end)
	}
	copy(b[off:], data)
	return b
}

// use spends power on an access; last says that the power fails in it. The caller holds the lock.
func (d *Disk) use(op Op) (last bool, err error) {
	switch {
	case d.mu.dead:
		return false, sqlite3.IOERR
	case d.mu.faults[op] != nil:
		return false, d.mu.faults[op]
	case op == Open:
		return false, nil
	case d.mu.charge == 0:
		d.mu.dead = true
		return true, sqlite3.IOERR
	}
	d.mu.charge = max(-1, d.mu.charge-1)
	return false, nil
}

// Open implements [vfs.VFS].
func (d *Disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.use(Open); err != nil {
		return nil, flags, err
	}
	f := d.mu.files[name]
	if f == nil || f.deleted {
		if flags&vfs.OPEN_CREATE == 0 {
			return nil, flags, sqlite3.CANTOPEN
		}
		f = &inode{}
		d.mu.files[name] = f
	}
	return &file{disk: d, inode: f}, flags, nil
}

// Delete implements [vfs.VFS].
func (d *Disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.use(Truncate); err != nil {
		return err
	}
	f := d.mu.files[name]
	if f == nil || f.deleted {
		return sqlite3.IOERR_DELETE_NOENT
	}
	f.deleted = true
	if syncDir {
		delete(d.mu.files, name)
	}
	return nil
}

// Access implements [vfs.VFS].
func (d *Disk) Access(name string, _ vfs.AccessFlag) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.mu.files[name]
	return f != nil && !f.deleted, nil
}

// FullPathname implements [vfs.VFS].
func (d *Disk) FullPathname(name string) (string, error) { return name, nil }

// file is an open file.
type file struct {
	disk  *Disk
	inode *inode
}

func (f *file) Close() error { return nil }

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.inode.now)) {
		return 0, io.EOF
	}
	n := copy(b, f.inode.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	last, err := f.disk.use(Write)
	if err == nil || last { // the write that the power fails in may be there in part
		f.inode.pending = append(f.inode.pending, change{off, slices.Clone(b)})
	}
	if err != nil {
		return 0, err
	}
	f.inode.now = writeAt(f.inode.now, b, off)
	return len(b), nil
}

func (f *file) Truncate(n int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.use(Truncate); err != nil {
		return err
	}
	f.inode.now = resize(f.inode.now, n)
	f.inode.pending = append(f.inode.pending, change{off: n})
	return nil
}

func (f *file) Sync(vfs.SyncFlag) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.use(Sync); err != nil {
		return err
	}
	f.inode.durable, f.inode.pending = slices.Clone(f.inode.now), nil
	return nil
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.inode.now)), nil
}

func (f *file) Lock(vfs.LockLevel) error         { return nil }
func (f *file) Unlock(vfs.LockLevel) error       { return nil }
func (f *file) CheckReservedLock() (bool, error) { return false, nil }
func (f *file) SectorSize() int                  { return 4096 }

// DeviceCharacteristics are those of the real file system: what is next to a write survives it.
func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SUBPAGE_READ
}

// Dice gives the same numbers for the same seed.
type Dice uint64

// Roll returns a number from 0 to n-1.
func (d *Dice) Roll(n int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n))
}
