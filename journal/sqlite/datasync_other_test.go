// SPDX-License-Identifier: Apache-2.0

// The sync of the raw file where there is none for data alone.

//go:build !linux

package sqlite

import "os"

func datasync(f *os.File) error { return f.Sync() }
