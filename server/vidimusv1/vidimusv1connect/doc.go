// SPDX-License-Identifier: Apache-2.0

// Package vidimusv1connect holds clients and handlers for Connect, gRPC and gRPC-Web, generated from proto/vidimus/v1.
package vidimusv1connect
