// SPDX-License-Identifier: Apache-2.0

// Makes cookies with the packages that applications use, as they use them: by signing somebody in where the package has
// a sign-in. Prints JSON: each case with its Cookie header, its keys, and what a reader has to make of it.

import { createSecretKey, randomBytes } from "node:crypto";
import { Auth } from "@auth/core";
import { encode as encodeAuthJS } from "@auth/core/jwt";
import AuthJSCredentials from "@auth/core/providers/credentials";
import { getIronSession as getIron9, sealData as seal9 } from "iron-session";
import { getIronSession as getIron8, sealData as seal8 } from "iron-session-8";
import { seal as sealRaw, defaults } from "iron-webcrypto";
import { CompactEncrypt, EncryptJWT } from "jose";
import NextAuthModule from "next-auth";
import { encode as encodeNextAuth } from "next-auth/jwt";
import NextAuthCredentialsModule from "next-auth/providers/credentials";

// These two are CommonJS.
const NextAuth = NextAuthModule.default ?? NextAuthModule;
const NextAuthCredentials = NextAuthCredentialsModule.default ?? NextAuthCredentialsModule;

const secret = randomBytes(33).toString("base64");
const other = randomBytes(33).toString("base64");
const large = "x".repeat(9000);
const user = { id: "ada", name: "Ada Lovelace", email: "ada@shop.test" };
const cases = [];

// jar turns Set-Cookie headers into the Cookie header that a browser would send.
function jar(setCookies, before = {}) {
  const cookies = { ...before };
  for (const line of setCookies) {
    const [pair, ...attributes] = line.split("; ");
    const cut = pair.indexOf("=");
    const gone = attributes.some((a) => /^max-age=0$/i.test(a)) || pair.length === cut + 1;
    if (gone) delete cookies[pair.slice(0, cut)];
    else cookies[pair.slice(0, cut)] = pair.slice(cut + 1);
  }
  return cookies;
}

const header = (cookies) => Object.entries(cookies).map(([k, v]) => `${k}=${v}`).join("; ");

function add(name, format, cookie, keys, cookies, want) {
  cases.push({ name, format, cookie, keys, header: header(cookies), chunks: Object.keys(cookies).filter((n) => n.startsWith(cookie)).length, ...want });
}

// tampered changes one character in the middle of the last part of a cookie.
function tampered(value) {
  const at = value.length - 10;
  return value.slice(0, at) + (value[at] === "A" ? "B" : "A") + value.slice(at + 1);
}

async function authJS(secrets, state) {
  const config = {
    secret: secrets, trustHost: true, basePath: "/auth", session: { strategy: "jwt" },
    providers: [AuthJSCredentials({ credentials: {}, authorize: () => user })],
    callbacks: { jwt: ({ token, user }) => (user ? { ...token, limit: 100, state } : token) },
    logger: { error() {}, warn() {}, debug() {} },
  };
  const base = "https://shop.test/auth";
  const csrf = await Auth(new Request(`${base}/csrf`), config);
  const cookies = jar(csrf.headers.getSetCookie());
  const { csrfToken } = await csrf.json();
  const answer = await Auth(new Request(`${base}/callback/credentials`, {
    method: "POST", redirect: "manual",
    headers: { cookie: header(cookies), "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ csrfToken }),
  }), config);
  return jar(answer.headers.getSetCookie(), cookies);
}

async function nextAuth(state) {
  const options = {
    secret, session: { strategy: "jwt" }, useSecureCookies: true,
    providers: [NextAuthCredentials({ credentials: {}, authorize: () => user })],
    callbacks: { jwt: ({ token, user }) => (user ? { ...token, limit: 100, state } : token) },
    logger: { error() {}, warn() {}, debug() {} },
  };
  const call = async (path, method, cookies, body) => {
    const set = [];
    const res = {
      body: undefined,
      status() { return res; },
      setHeader(name, value) { if (name.toLowerCase() === "set-cookie") set.splice(0, set.length, ...[value].flat()); return res; },
      getHeader: (name) => (name.toLowerCase() === "set-cookie" ? set : undefined),
      redirect() { return res; }, json(v) { res.body = v; return res; }, send(v) { res.body = v; return res; }, end() { return res; },
    };
    await NextAuth({ query: { nextauth: path }, method, headers: { host: "shop.test" }, cookies, body }, res, options);
    return { set, body: res.body };
  };
  const decoded = (c) => Object.fromEntries(Object.entries(c).map(([k, v]) => [k, decodeURIComponent(v)]));
  const csrf = await call(["csrf"], "GET", {});
  const cookies = jar(csrf.set);
  const answer = await call(["callback", "credentials"], "POST", decoded(cookies), { csrfToken: csrf.body.csrfToken, json: "true" });
  return jar(answer.set, cookies);
}

async function iron(get, options, state) {
  const set = [];
  const res = { headersSent: false, getHeader: () => set, setHeader: (_, v) => set.splice(0, set.length, ...v) };
  const session = await get({ headers: {} }, res, { cookieName: "shop", ...options });
  Object.assign(session, { sub: "ada", limit: 100, state });
  await session.save();
  return jar(set);
}

// The sign-ins.
const a5 = "__Secure-authjs.session-token";
const n4 = "__Secure-next-auth.session-token";
const fine = { subject: "ada", limit: 100 };
add("Auth.js signs in", "authjs", a5, [{ secret }], await authJS(secret, "s"), fine);
add("Auth.js signs in with much state", "authjs", a5, [{ secret }], await authJS([secret], large), { ...fine, chunked: true });
add("Auth.js after a rotation", "authjs", a5, [{ secret: other }, { secret }], await authJS([secret, other], "s"), fine);
add("Auth.js with another secret", "authjs", a5, [{ secret: other }], await authJS(secret, "s"), { refused: "no key of that id" });
add("next-auth signs in", "next-auth", n4, [{ secret }], await nextAuth("s"), fine);
add("next-auth signs in with much state", "next-auth", n4, [{ secret }], await nextAuth(large), { ...fine, chunked: true });
add("next-auth after a rotation", "next-auth", n4, [{ secret: other }, { secret }], await nextAuth("s"), fine);
add("next-auth with another secret", "next-auth", n4, [{ secret: other }], await nextAuth("s"), { refused: "does not decrypt" });

const password = randomBytes(30).toString("base64");
const older = randomBytes(30).toString("base64");
for (const [version, get] of [[8, getIron8], [9, getIron9]]) {
  add(`iron-session ${version} saves`, "iron-session", "shop", [{ secret: password }], await iron(get, { password }, "s"), fine);
  add(`iron-session ${version} saves with the second password`, "iron-session", "shop",
    [{ id: "1", secret: older }, { id: "2", secret: password }], await iron(get, { password: { 1: older, 2: password } }, "s"), fine);
  add(`iron-session ${version} saves without an end`, "iron-session", "shop", [{ secret: password }],
    await iron(get, { password, ttl: 0 }, "s"), { ...fine, endless: true });
  add(`iron-session ${version} with another password`, "iron-session", "shop", [{ secret: older }],
    await iron(get, { password }, "s"), { refused: "does not decrypt" });
  add(`iron-session ${version} with an id nobody has`, "iron-session", "shop", [{ secret: password }],
    await iron(get, { password: { 7: password } }, "s"), { refused: "no key of that id" });
}
add("iron-session 9 saves in chunks", "iron-session", "shop", [{ secret: password }],
  await iron(getIron9, { password, chunk: true }, large), { ...fine, chunked: true });

// Tokens made directly.
const claims = { sub: "ada", limit: 100, state: "s" };
add("Auth.js, expired", "authjs", a5, [{ secret }],
  { [a5]: await encodeAuthJS({ token: claims, secret, salt: a5, maxAge: -60 }) }, { refused: "expired" });
add("Auth.js, of a cookie with another name", "authjs", a5, [{ secret }],
  { [a5]: await encodeAuthJS({ token: claims, secret, salt: "authjs.session-token" }) }, { refused: "no key of that id" });
add("Auth.js, tampered", "authjs", a5, [{ secret }],
  { [a5]: tampered(await encodeAuthJS({ token: claims, secret, salt: a5 })) }, { refused: "does not decrypt" });
add("next-auth, expired", "next-auth", n4, [{ secret }],
  { [n4]: await encodeNextAuth({ token: claims, secret, maxAge: -60 }) }, { refused: "expired" });
add("next-auth, tampered", "next-auth", n4, [{ secret }],
  { [n4]: tampered(await encodeNextAuth({ token: claims, secret })) }, { refused: "does not decrypt" });
add("next-auth, without a prefix", "next-auth", "next-auth.session-token", [{ secret }],
  { "next-auth.session-token": await encodeNextAuth({ token: claims, secret }) }, fine);
for (const [version, seal] of [[8, seal8], [9, seal9]]) {
  add(`iron-session ${version}, tampered`, "iron-session", "shop", [{ secret: password }],
    { shop: tampered(await seal(claims, { password })) }, { refused: "does not decrypt" });
}
const past = { ...defaults, ttl: 1000, localtimeOffsetMsec: -3600_000 };
add("iron, expired", "iron-session", "shop", [{ secret: password }],
  { shop: await sealRaw(claims, { id: "1", secret: password }, past) }, { refused: "expired" });
add("iron without an id", "iron-session", "shop", [{ id: "default", secret: password }],
  { shop: await sealRaw(claims, password, { ...defaults, ttl: 3600_000 }) }, fine);

const kek = randomBytes(32);
const text = (key) => ({ secret64: key.toString("base64") });
for (const enc of ["A256GCM", "A256CBC-HS512"]) {
  const direct = randomBytes(enc === "A256GCM" ? 32 : 64);
  const ways = [["dir", "jose-dir", direct], ["A256KW", "jose-a256kw", kek]];
  for (const [alg, format, key] of ways) {
    const make = (claims, more = {}) => new EncryptJWT(claims).setProtectedHeader({ alg, enc, ...more }).setIssuedAt();
    const token = await make(claims).setExpirationTime("1h").encrypt(createSecretKey(key));
    const one = (name, value, want, keys = [text(key)]) => add(`jose, ${alg} with ${enc}${name}`, format, "shop", keys, { shop: value }, want);
    one("", token, fine);
    one(", tampered", tampered(token), { refused: "does not decrypt" });
    one(", with another key", token, { refused: "does not decrypt" }, [text(randomBytes(key.length))]);
    one(", by kid", await make(claims, { kid: "b", typ: "JWT" }).setExpirationTime("1h").encrypt(createSecretKey(key)), fine,
      [{ id: "a", ...text(randomBytes(key.length)) }, { id: "b", ...text(key) }]);
    one(", expired", await make(claims).setExpirationTime("-1m").encrypt(createSecretKey(key)), { refused: "expired" });
    one(", not yet valid", await make(claims).setNotBefore("1h").setExpirationTime("2h").encrypt(createSecretKey(key)), { refused: "from the future" });
    one(", without an end", await make(claims).encrypt(createSecretKey(key)), { refused: "has no end" });
    one(", no claims inside", await new CompactEncrypt(new TextEncoder().encode("[]")).setProtectedHeader({ alg, enc }).encrypt(createSecretKey(key)),
      { refused: "claims are no clean JSON object" });
    one(", with an unknown parameter", await make(claims, { x: "y" }).setExpirationTime("1h").encrypt(createSecretKey(key)), { refused: "header not allowed" });
  }
}

process.stdout.write(JSON.stringify(cases));
