// SPDX-License-Identifier: Apache-2.0

// Package vidimusv1 holds the messages of version 1 of the service interface, generated from proto/vidimus/v1. Names
// and numbers of fields never change; what is new gets new ones.
package vidimusv1

//go:generate go run -C ../../tools ./generate -root ..
