// SPDX-License-Identifier: Apache-2.0

// Package heartbeat says how fresh a verifier's knowledge is: it follows an authority's feed of changes, and knows on
// its own clock since when it has seen everything.
//
// A [Client] keeps a [View] up to date, and the view is what a verifier of passports asks. It knows two things: up to
// which place in the authority's log every change was applied, and how long ago it was, at most, that everything
// acknowledged anywhere stood at or below that place. The second is the [View.Staleness]. It is measured so:
//
//  1. The verifier notes its clock, and pings.
//  2. The authority, after the ping arrived, reads the end of the log from the database: the head.
//  3. The feed brings every change in the order of the log. Once all up to the head were applied, the view is as fresh
//     as the moment that was noted in the first step.
//
// # The contract
//
// Let S be the staleness up to which a verifier accepts passports, and rho the bound of its clock's drift. If a change
// was acknowledged at the time t, then a verifier refuses every passport that the change refuses, in every check that
// begins after t + S/(1-rho).
//
// It holds under four assumptions:
//
//   - A1. Positions rise in the order in which commits become visible: whoever reads the log up to P has read
//     everything that ever will be at or below P. A commit is visible before it is acknowledged.
//   - A2. The head is linearizable: it is read after the ping arrived, and covers every commit acknowledged before, by
//     whichever node. There is one database that accepts writes.
//   - A3. A passport carries the head that was read before the state that it is a copy of. So a passport without the
//     change has a position below it.
//   - A4. Of the verifier's clocks, the monotonic and the wall clock, the faster runs at least (1-rho) times as fast as
//     time.
//
// Suppose that a verifier accepts such a passport in a check that begins at u > t + S/(1-rho). It reads its staleness
// after u, and finds a ping sent less than S ago by its clocks, so by A4 less than S/(1-rho) ago: after t. The head
// that answers this ping covers the change by A2, and the view had applied the log up to that head. Each frame holds
// every change between its ends by A1, and was applied only where it joined what was applied before, so the change was
// applied, or the view began anew behind it, with a base. In both cases passports below the change's position are
// refused, and by A3 this one is below it. That is a contradiction.
//
// No clock is compared with that of another machine, nothing depends on how long something is remembered, and any node
// may answer: the ping may go to another than the feed comes from. Frames may be late, lost, doubled or out of order;
// nodes may be restarted or stopped for a while. All that this does is to raise the staleness, and past S the verifier
// refuses, asks the authority, or says that it may be wrong, as its route wants.
//
// A key that was revoked is refused at every position: whoever stole it signs any. A view that missed the change, by
// more changes than the authority remembers, refuses the key once the verifier has fetched the key set again.
//
// Three things are not covered. Between the check and what is done because of it, time passes; where that matters, make
// the effect a write that expects a version. And a machine that is suspended, whose wall clock does not learn of it
// either, breaks A4: a virtual machine that is resumed from a snapshot must set its clock before it serves. So does one
// whose wall clock is set back and which is suspended before another ping was answered, half a second as a rule: what
// the clock was set back hides as much of its sleep. And a log that lost commits and goes on in the same epoch breaks
// A1: authorities and views notice most of it ([ErrRewound]) and then doubt all they know, but not all of it. Renew the
// journal whenever a backup was restored or a replica took over that was behind.
package heartbeat
