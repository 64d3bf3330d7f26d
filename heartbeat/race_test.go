// SPDX-License-Identifier: Apache-2.0

// Whether the race detector slows the tests down.

//go:build race

package heartbeat

const raced = true
