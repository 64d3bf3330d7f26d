// SPDX-License-Identifier: Apache-2.0

// Package edge stands between browsers and services: a cookie comes in, a passport goes out.
//
// A browser holds an opaque handle. The edge asks the authority for a passport of the session that the handle
// stands for, keeps it as long as the view says that it holds, and sends it to the service in the header Txn-Token.
// It does so as a reverse proxy ([Edge.ServeHTTP]), for another proxy that asks it about each request ([Edge.Auth],
// and package extauthz for Envoy), or for any other that can build an [net/http.Request] ([Edge.Check]).
//
// # What an edge promises
//
// Nothing that a client sends is taken for what an edge or an authority says: such headers are deleted in every
// spelling, and so are those by which common proxies say who somebody is, or where from. What else services believe is
// for [Config.Strip]. A path has one reading, and a path that a server could read in another way is refused.
//
// A passport is sent on only if nothing that it says is known to have changed, and if that was known at most the
// route's MaxStale ago: by the view, or because the passport itself was asked for since. Else the authority is
// asked. When nobody knows, nothing is let through but what the route says in WhenStale, and it is said.
//
// Whoever changes a subject's state and says so in Vidimus-Effect is never answered from before that change by this
// edge; and by another edge neither, if the client sends the Vidimus-Position that it was answered with. The effect
// counts whatever position it names: an edge goes by the order in which it hears of things.
//
// A session's cookie is written when a service signs somebody in, when the authority rotates the handle, and when
// somebody signs out, and never else. So an answer that is late cannot undo a sign-in or a sign-out, and a refused
// handle stays in the browser until there is a new one.
//
// An upgraded connection, or a body of either direction that has more than 64 KiB or no stated length, ends within the
// route's MaxStale and about a second after its session, as long as [Edge.Run] runs and the view follows or the
// authority answers, and otherwise when its passport ends.
//
// # What clients and services say and hear
//
//	Vidimus-Position      from a client: the answer must have seen this; to it: what it has seen now
//	Vidimus-Consistency   from a client: how fresh the decision must be
//	Vidimus-Staleness     to a client: how old the decision may be, and whether it was for reading only
//	Vidimus-Effect        from a service: this request changed the subject's state
//	Txn-Token             to a service: the passport
//	Idempotency-Key       from a client, to the service, and minded where a route says so
//	If-Match              from a client, to the service; routes can demand it
//
// A refusal is problem+json (RFC 9457) with a code: 400 for what is malformed or has two meanings, 401 without a
// session (or 303 to SignInURL for a person who opens a page), 403 for a scope or another origin, 404 and 405 where
// no route is, 408, 413 and 414 for bodies that do not arrive and for size, 409, 412, 422 and 428 for writes, 421 for
// another host, 429 for too many attempts, 502 and 504 for the service, 503 when nobody knows who is signed in, when
// state changes too fast or a service takes no passport, or when too much is under way.
//
// # Behind another proxy
//
// docs/edge.md has what nginx, Caddy, Traefik and Envoy are to be told. All of them must show the edge the target as
// the client sent it, take away what the client says in the fields of the edge and of the other proxies' questions, and
// pass on to the service what the edge answers, and nothing else of that name.
package edge
