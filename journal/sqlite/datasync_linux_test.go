// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"os"
	"syscall"
)

func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
