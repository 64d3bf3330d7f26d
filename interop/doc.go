// SPDX-License-Identifier: Apache-2.0

// Package interop tests the house against parts that others wrote.
package interop
