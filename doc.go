// SPDX-License-Identifier: Apache-2.0

// Package vidimus keeps the state of a distributed backend correct: every piece of state has an owner, a version and
// a proof.
//
// # The tour
//
// Package journal is the ground. A journal is everything that happened, in one order that all readers share. You
// append events to streams at the version you have seen, and are told when somebody was faster. You read a stream to
// know what is, and follow the journal to keep a copy of it elsewhere. Package journal/sqlite keeps one in a file,
// journal/postgres in a database that several nodes share, journal/mem in memory for tests. Package journal/schema
// reads old events with new code.
//
// Package lease says who owns a thing now, and proves it: the epoch of a lease is checked in the very transaction
// that writes under it, so that a process which slept through its own replacement cannot do harm.
//
// Package timer wakes you then: a timer is set in the unit that gives the reason for it, and fires at least once, on
// the node that owns its shard.
//
// Package cell puts these together. A cell is one journal, its leases, its timers, and the nodes that share its work.
// What the work is, is given by services.
//
// Package entity decides commands on the newest state of a stream, and package session keeps who signed in, with what
// state, until when. A session's state travels as a passport, from package passport: signed, short-lived, and named by
// the position of the journal that it is a copy of. Package heartbeat tells whoever checks passports how old its
// knowledge of changes is, as a bound that needs no clock but its own. Package edge swaps a browser's cookie for a
// passport, in front of services that know nothing of cookies.
//
// Package entity decides on state that is folded from a stream, again and again until nobody was faster. On it stands
// package session: who signed in, with what state, until when.
//
// State travels as a passport: short-lived, signed, and with the place in the journal that it is a copy of. Package
// passport mints and verifies it, package heartbeat says how fresh a verifier's knowledge is, and package edge stands
// between browsers, which hold an opaque cookie, and services, which get a passport.
//
// Package server answers over Connect, gRPC and HTTP with JSON, to holders of tokens; server/authority mints and judges
// passports there, and server/remote is their client.
//
// This package wires one node of one cell: see [Open]. The command vidimus does the same from a shell.
package vidimus
