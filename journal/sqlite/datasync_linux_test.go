// SPDX-License-Identifier: Apache-2.0

// The sync of the raw file: what SQLite itself asks of Linux.

package sqlite

import (
	"os"
	"syscall"
)

func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
