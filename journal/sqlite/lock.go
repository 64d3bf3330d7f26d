// SPDX-License-Identifier: Apache-2.0

// One process at a time: a lock that dies with its holder.

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"example.com/vidimus/journal"
)

// fileLock is a lock on the file beside the journal. The file stays when the lock is gone, for removing it would let
// two processes lock two files of one name.
type fileLock struct {
	f    *os.File
	size int64
}

// errHeld is what tryLock returns when somebody else has the lock.
var errHeld = errors.New("held")

// lockFile locks the journal at path for this process, or says who has it. The operating system gives the lock back
// when the process ends, however it ends.
func lockFile(path string) (*fileLock, error) {
	name := path + "-lock"
	f, err := tryLock(name)
	switch {
	case errors.Is(err, errHeld):
		return nil, fmt.Errorf("%w: %s is open%s; close it there, or use another file here",
			journal.ErrLocked, path, holder(name))
	case err != nil:
		return nil, fmt.Errorf("%w: cannot lock %s: %w; make its folder writable for this process",
			journal.ErrUnavailable, path, err)
	}
	// Only the message of whoever comes next needs the number, so failing to write it is no error.
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(pid), 0)
	}
	return &fileLock{f, int64(len(pid))}, nil
}

// holder names the process that has the lock, if it can be told.
func holder(name string) string {
	text, err := os.ReadFile(name)
	pid := strings.TrimSpace(string(text))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return " in another process"
	}
	if pid == strconv.Itoa(os.Getpid()) {
		return " in this process already"
	}
	return " in process " + pid
}

func (l *fileLock) release() {
	if l == nil {
		return
	}
	// A child that is being started right now may have the file open for a moment, so closing it is not enough.
	_ = unlock(l.f)
	_ = l.f.Close()
}

// diskFull tries whether the disk takes another few bytes.
func (l *fileLock) diskFull() bool {
	if l == nil {
		return false
	}
	const probe = 64 << 10
	_, err := l.f.WriteAt(make([]byte, probe), probe)
	_ = l.f.Truncate(l.size)
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
