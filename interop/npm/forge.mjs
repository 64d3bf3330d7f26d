// SPDX-License-Identifier: Apache-2.0

// Makes tokens with npm jose, one as it should be and many that a verifier has to refuse although their signatures are
// good, or look it. Takes JSON: {jwk, issuer, audience, claims}, where jwk is the private key of the issuer. Prints JSON:
// {name: token}.

import { generateKeyPair, exportJWK, importJWK, SignJWT, CompactSign, UnsecuredJWT, EncryptJWT } from "jose";

const { jwk, claims } = JSON.parse(process.argv[2]);
const key = await importJWK(jwk, "EdDSA");
const publicBytes = new Uint8Array(Buffer.from(jwk.x, "base64url"));
const head = { alg: "EdDSA", kid: jwk.kid, typ: "txntoken+jwt" };
const now = claims.iat;
const strange = await generateKeyPair("EdDSA", { extractable: true });
const strangeJWK = await exportJWK(strange.publicKey);
const rsa = await generateKeyPair("RS256");
const utf8 = (s) => new TextEncoder().encode(s);
const sign = (header = {}, changes = {}, by = key) => {
  const all = { ...claims, ...changes };
  for (const name of Object.keys(all)) if (all[name] === undefined) delete all[name];
  return new SignJWT(all).setProtectedHeader({ ...head, ...header }).sign(by);
};
const compact = (text, header = head) => new CompactSign(utf8(text)).setProtectedHeader(header).sign(key);
const good = await sign();
const [h, p, s] = good.split(".");
const b64 = (v) => Buffer.from(typeof v === "string" ? v : JSON.stringify(v)).toString("base64url");

const tokens = {
  good,
  "alg none": new UnsecuredJWT(claims).encode(),
  "alg none with the header of a passport": `${b64({ ...head, alg: "none" })}.${p}.`,
  "HS256 with the public key": await sign({ alg: "HS256" }, {}, publicBytes),
  "RS256": await sign({ alg: "RS256" }, {}, rsa.privateKey),
  "a key of somebody else": await sign({}, {}, strange.privateKey),
  "a key that the token brings": await sign({ jwk: strangeJWK }, {}, strange.privateKey),
  "a key of another URL": await sign({ jku: "https://evil.test/jwks.json" }, {}, strange.privateKey),
  "an x5u": await sign({ x5u: "https://evil.test/" }),
  "a kid nobody has": await sign({ kid: "nobody" }),
  "no kid": await sign({ kid: undefined }),
  "typ JWT": await sign({ typ: "JWT" }),
  "no typ": await sign({ typ: undefined }),
  "the old typ": await sign({ typ: "txn_token" }),
  "header in another order": await new SignJWT(claims).setProtectedHeader({ typ: head.typ, alg: head.alg, kid: head.kid }).sign(key),
  "another header parameter": await sign({ cty: "JWT" }),
  "b64 false": await new CompactSign(utf8("{}")).setProtectedHeader({ ...head, b64: false, crit: ["b64"] }).sign(key).catch(() => `${b64({ ...head, b64: false, crit: ["b64"] })}.${p}.${s}`),
  "crit": `${b64({ ...head, crit: ["exp"], exp: 1 })}.${p}.${s}`,
  "encrypted instead": await new EncryptJWT(claims).setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: head.kid, typ: head.typ }).encrypt(new Uint8Array(32)),
  "another audience": await sign({}, { aud: "elsewhere" }),
  "two audiences": await sign({}, { aud: [claims.aud, "elsewhere"] }),
  "another issuer": await sign({}, { iss: "https://evil.test" }),
  "expired": await sign({}, { iat: now - 3600, exp: now - 3540 }),
  "from the future": await sign({}, { iat: now + 3600, exp: now + 3660 }),
  "not yet valid": await sign({}, { nbf: now + 3600 }),
  "good for an hour": await sign({}, { exp: now + 3600 }),
  "no exp": await sign({}, { exp: undefined }),
  "no iat": await sign({}, { iat: undefined }),
  "no sub": await sign({}, { sub: undefined }),
  "no txn": await sign({}, { txn: undefined }),
  "no scope": await sign({}, { scope: undefined }),
  "no req_wl": await sign({}, { req_wl: undefined }),
  "no vid": await sign({}, { vid: undefined }),
  "exp in words": await compact(JSON.stringify({ ...claims, exp: String(claims.exp) })),
  "sub a number": await compact(JSON.stringify({ ...claims, sub: 7 })),
  "a claim twice": await compact(JSON.stringify(claims).replace(/^\{/, '{"sub":"eve",')),
  "claims are a list": await compact(JSON.stringify([claims])),
  "something behind the claims": await compact(JSON.stringify(claims) + "{}"),
  "tampered payload": `${h}.${b64(JSON.stringify({ ...claims, sub: "eve" }))}.${s}`,
  "tampered signature": `${h}.${p}.${s.slice(0, 20)}${s[20] === "A" ? "B" : "A"}${s.slice(21)}`,
  "another spelling of the signature": `${h}.${p}.${s.slice(0, -1)}${String.fromCharCode(s.charCodeAt(s.length - 1) + 1)}`,
  "padding": `${good}==`,
  "no signature": `${h}.${p}.`,
  "detached": `${h}..${s}`,
  "a fourth part": `${good}.`,
};
process.stdout.write(JSON.stringify(tokens));
