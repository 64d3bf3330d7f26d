// SPDX-License-Identifier: Apache-2.0

// Package clocktest makes readings of clocks that tests cannot wait for.
package clocktest

import (
	"time"
	"unsafe"
)

// BeforeSleep returns a reading of the clock as it was before the machine slept for d, in whole seconds: the wall clock
// has gone on since, the monotonic clock has not. t must be of clock.Now.
func BeforeSleep(t time.Time, d time.Duration) time.Time {
	// A time's first word holds the seconds of its wall clock above 30 bits of nanoseconds, while it has a monotonic
	// reading. TestBeforeSleep notices when that changes.
	*(*uint64)(unsafe.Pointer(&t)) -= uint64(d/time.Second) << 30
	return t
}
