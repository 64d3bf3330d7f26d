// SPDX-License-Identifier: Apache-2.0

// Verifies passports with npm jose as a service of somebody else would: keys from the issuer's URL, and nothing of ours.
// Takes JSON: {url, issuer, audience, tokens: {name: token}}. Prints JSON: {name: {claims} or {error}}.

import { createRemoteJWKSet, jwtVerify } from "jose";

const { url, issuer, audience, tokens } = JSON.parse(process.argv[2]);
const keys = createRemoteJWKSet(new URL(url));
const results = {};
for (const [name, token] of Object.entries(tokens)) {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      issuer, audience, typ: "txntoken+jwt", algorithms: ["EdDSA", "Ed25519"],
      requiredClaims: ["iat", "exp", "txn", "sub", "scope", "req_wl", "vid"],
    });
    results[name] = { header: protectedHeader, claims: payload };
  } catch (error) {
    results[name] = { error: error.code ?? String(error) };
  }
}
process.stdout.write(JSON.stringify(results));
