// SPDX-License-Identifier: Apache-2.0

// A service on Node.js in the midst of its migration: people sign in with next-auth; who they are is read from the
// passport where there is one, and else from next-auth's cookie, as before. Takes JSON: {authority, audience}. Prints
// its URL. It stops with its standard input.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRemoteJWKSet, jwtVerify } from "jose";
import NextAuthModule from "next-auth";
import { getToken } from "next-auth/jwt";
import CredentialsModule from "next-auth/providers/credentials";

const NextAuth = NextAuthModule.default ?? NextAuthModule; // these two are CommonJS
const Credentials = CredentialsModule.default ?? CredentialsModule;
const { authority, audience } = JSON.parse(process.argv.at(-1));
const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", authority));

const options = {
  useSecureCookies: true,
  providers: [Credentials({ credentials: {}, authorize: () => ({ id: "ada", name: "Ada Lovelace" }) })],
  callbacks: { jwt: ({ token, user }) => (user ? { ...token, limit: 100, signin: randomUUID() } : token) },
};

async function who(req) {
  const passport = req.headers["txn-token"];
  if (!passport) {
    const token = await getToken({ req, secureCookie: true });
    return token && { by: "cookie", sub: token.sub, limit: token.limit };
  }
  const { payload } = await jwtVerify(passport, keys, {
    issuer: authority, audience, typ: "txntoken+jwt", algorithms: ["EdDSA", "Ed25519"],
  });
  return { by: "passport", sub: payload.sub, limit: payload.tctx.subject.limit, sid: payload.sid };
}

async function signOut(req, res) {
  const { sid } = await who(req);
  const answer = await fetch(new URL("/vidimus.v1.SessionService/End", authority), {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ session: sid }),
  });
  if (answer.ok) res.setHeader("set-cookie", "__Host-vid=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
  res.writeHead(answer.ok ? 200 : 502).end();
}

// nextAuth is what Next.js does around NextAuth.
async function nextAuth(req, res, path) {
  let body = "";
  for await (const part of req) body += part;
  req.query = { nextauth: path.split("/") };
  req.body = Object.fromEntries(new URLSearchParams(body));
  res.status = (code) => { res.statusCode = code; return res; };
  res.json = (value) => res.setHeader("content-type", "application/json").end(JSON.stringify(value));
  res.send = (value) => (typeof value === "object" ? res.json(value) : res.end(value));
  res.redirect = (to) => res.status(302).setHeader("location", to).end();
  await NextAuth(req, res, options);
}

const server = createServer(async (req, res) => {
  req.cookies = Object.fromEntries((req.headers.cookie ?? "").split("; ").filter(Boolean).map((pair) => {
    const cut = pair.indexOf("=");
    return [pair.slice(0, cut), decodeURIComponent(pair.slice(cut + 1))];
  }));
  try {
    if (req.url.startsWith("/api/auth/")) await nextAuth(req, res, req.url.slice("/api/auth/".length));
    else if (req.url === "/sign-out") await signOut(req, res);
    else res.end(JSON.stringify((await who(req)) ?? { by: "nobody" }));
  } catch (error) {
    res.writeHead(500).end(String(error));
  }
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit()).resume();
