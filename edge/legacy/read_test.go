// SPDX-License-Identifier: Apache-2.0

// What a reader accepts, and what it refuses for which reason.

package legacy

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
)

// cookieCase is a cookie with a good value.
type cookieCase struct {
	name   string
	cookie Cookie
	value  string
}

func goodCookies() []cookieCase {
	const name = "__Secure-authjs.session-token"
	kek := fill(32, "kek")
	wrapped := func(enc string, size int) string {
		cek := fill(size, enc)
		return encrypt(`{"alg":"A256KW","enc":"`+enc+`","kid":"k2","typ":"JWT"}`, b64(wrapKey(kek, cek)), enc, cek, claims())
	}
	authJS, authJSGCM := authJSToken(name, encCBC), authJSToken(name, encGCM)
	return []cookieCase{
		{"Auth.js v5", Cookie{Name: name, Format: AuthJS, Keys: []Key{{Secret: []byte(secret)}}}, authJS},
		{"Auth.js v5 with A256GCM", Cookie{Name: name, Format: AuthJS, Keys: []Key{{Secret: []byte(secret)}}}, authJSGCM},
		{
			"Auth.js v5 after its secret was rotated",
			Cookie{Name: name, Format: AuthJS, Keys: []Key{{Secret: []byte("new")}, {Secret: []byte(secret)}}},
			authJS,
		},
		{
			"next-auth v4",
			Cookie{Name: "next-auth.session-token", Format: NextAuth, Keys: []Key{{Secret: []byte(secret)}}},
			encrypt(headerOf(encGCM), "", encGCM, nextAuthKey(secret), claims()),
		},
		{
			"next-auth v4 with the third of three secrets",
			Cookie{
				Name: "next-auth.session-token", Format: NextAuth,
				Keys: []Key{{Secret: []byte("a")}, {Secret: []byte("b")}, {Secret: []byte(secret)}},
			},
			encrypt(headerOf(encGCM), "", encGCM, nextAuthKey(secret), claims()),
		},
		{"jose, dir with A256GCM", joseCookie(), jose(claims())},
		{
			"jose, dir with A256CBC-HS512",
			Cookie{Name: "s", Format: JoseDir, Keys: []Key{{Secret: fill(64, "cbc")}}},
			encrypt(headerOf(encCBC), "", encCBC, fill(64, "cbc"), claims()),
		},
		{
			"jose, A256KW with A256GCM",
			Cookie{Name: "s", Format: JoseKW, Keys: []Key{{ID: "k1", Secret: fill(32, "x")}, {ID: "k2", Secret: kek}}},
			wrapped(encGCM, 32),
		},
		{
			"jose, A256KW with A256CBC-HS512",
			Cookie{Name: "s", Format: JoseKW, Keys: []Key{{Secret: kek}}},
			wrapped(encCBC, 64),
		},
		{
			"iron-session",
			Cookie{Name: "s", Format: Iron, Keys: []Key{{Secret: []byte(password)}}},
			sealIron("1", password, inAnHour(), claims()) + "~2",
		},
		{
			"iron-session without its version",
			Cookie{Name: "s", Format: Iron, Keys: []Key{{Secret: []byte(password)}}},
			sealIron("1", password, inAnHour(), claims()),
		},
		{
			"iron-session with the second password",
			Cookie{Name: "s", Format: Iron, Keys: []Key{
				{ID: "2", Secret: []byte(password)}, {ID: "1", Secret: []byte("old " + password)},
			}},
			sealIron("2", password, inAnHour(), claims()) + "~2",
		},
		{
			"iron without a password id",
			Cookie{Name: "s", Format: Iron, Keys: []Key{{ID: "default", Secret: []byte(password)}}},
			sealIron("", password, inAnHour(), claims()),
		},
	}
}

func TestEveryFormatIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range goodCookies() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := mustReader(t, c.cookie).Read(request(c.cookie.Name, c.value))
			if err != nil {
				t.Fatalf("refused: %s", Why(err))
			}
			if got.Identity.Subject != "ada" || got.Cookie != c.cookie.Name || got.Format != c.cookie.Format {
				t.Errorf("got %+v", got)
			}
			if left := clock.Until(got.Expires); left < 59*time.Minute || left > time.Hour {
				t.Errorf("expires in %v, want an hour", left)
			}
		})
	}
}

// authJSToken is a token as Auth.js makes it, with its key's thumbprint as kid.
func authJSToken(name, enc string) string {
	key, _ := derive([]byte(secret), name, "Auth.js Generated Encryption Key ("+name+")", enc)
	cek := authJSKey(name, secret)
	if enc == encGCM {
		cek = cek[:32] // HKDF's first bytes do not depend on how many are asked for
	}
	return encrypt(headerOf(enc, `"kid":"`+key.kid+`"`), "", enc, cek, claims())
}

// badCase is a token with the reason to refuse it.
type badCase struct{ name, value, why string }

// badTokens are those that do not come as far as their claims.
func badTokens() []badCase {
	key := fill(32, "jose")
	with := func(header string) string { return encrypt(header, "", encGCM, key, claims()) }
	const kw = `{"alg":"A256KW","enc":"A256GCM"}`
	good := jose(claims())
	parts := strings.Split(good, ".")
	part := func(i int, s string) string {
		changed := append([]string(nil), parts...)
		changed[i] = s
		return strings.Join(changed, ".")
	}
	return []badCase{
		{"garbage", "garbage", malformed},
		{"dots", strings.Repeat(".", 4000), malformed},
		{"no header", part(0, ""), malformed},
		{"header is no JSON", part(0, "AAAA"), malformed},
		{"header is a list", with(`["dir"]`), malformed},
		{"header with a name twice", with(`{"alg":"dir","enc":"A256GCM","alg":"dir"}`), malformed},
		{"header with a name twice, once escaped", with(`{"alg":"dir","enc":"A256GCM","\u0061lg":"dir"}`), malformed},
		{"header with something behind", with(`{"alg":"dir","enc":"A256GCM"}{}`), malformed},
		{"header of a kilobyte", with(headerOf(encGCM, `"kid":"`+strings.Repeat("k", 1000)+`"`)), malformed},
		{"header in bad UTF-8", with("{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"\xff\"}"), badHeader},
		{"alg in capitals", with(`{"alg":"DIR","enc":"A256GCM"}`), badAlg},
		{"alg none", with(`{"alg":"none","enc":"A256GCM"}`), badAlg},
		{"alg missing", with(`{"enc":"A256GCM"}`), badAlg},
		{"alg empty", with(`{"alg":"","enc":"A256GCM"}`), badHeader},
		{"alg null", with(`{"alg":null,"enc":"A256GCM"}`), badHeader},
		{"alg a list", with(`{"alg":["dir"],"enc":"A256GCM"}`), badHeader},
		{"enc of another key", encrypt(headerOf(encCBC), "", encCBC, fill(64, "jose"), claims()), badAlg},
		{"alg of another key", encrypt(kw, b64(wrapKey(key, key)), encGCM, key, claims()), badAlg},
		{"zip", with(headerOf(encGCM, `"zip":"DEF"`)), badHeader},
		{"crit", with(headerOf(encGCM, `"crit":["exp"],"exp":1`)), badHeader},
		{"p2c", with(headerOf(encGCM, `"p2c":2147483647`)), badHeader},
		{"jwk", with(headerOf(encGCM, `"jwk":{"kty":"oct","k":"AAAA"}`)), badHeader},
		{"jku", with(headerOf(encGCM, `"jku":"https://evil.test/"`)), badHeader},
		{"x5u", with(headerOf(encGCM, `"x5u":"https://evil.test/"`)), badHeader},
		{"epk", with(headerOf(encGCM, `"epk":{}`)), badHeader},
		{"a token within", with(headerOf(encGCM, `"cty":"jwt"`)), badHeader},
		{"an encrypted key beside dir", part(1, "AAAA"), malformed},
		{"an encrypted key of the right size beside dir", part(1, b64(wrapKey(key, key))), malformed},
		{"padding", good + "==", malformed},
		{"a line break", part(3, parts[3][:4]+"\n"+parts[3][4:]), malformed},
		{"the other alphabet", part(4, "+/"+parts[4][2:]), malformed},
		{"bits left over", part(4, respell(parts[4])), malformed},
		{"iv of 16 bytes", part(2, b64(fill(16, "iv"))), malformed},
		{"tag cut to 12 bytes", part(4, parts[4][:16]), malformed},
		{"no tag", part(4, ""), malformed},
		{"no ciphertext", part(3, ""), malformed},
		{"a sixth part", good + ".", malformed},
		{"four parts", strings.Join(parts[:4], "."), malformed},
		{"ciphertext of another", part(3, strings.Split(jose(claims("sub", "eve")), ".")[3]), forged},
		{"another key", encrypt(headerOf(encGCM), "", encGCM, fill(32, "other"), claims()), forged},
		{"a seal", sealIron("1", password, inAnHour(), claims()), malformed},
	}
}

// badClaimSets are those that are genuine.
func badClaimSets() []badCase {
	now := clock.Now().Unix()
	nested := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	return []badCase{
		{"claims are a list", jose([]byte(`[1]`)), badClaims},
		{"claims are empty", jose([]byte(` `)), badClaims},
		{"claims are null", jose([]byte(`null`)), badClaims},
		{"a claim twice", jose([]byte(`{"sub":"ada","exp":99999999999,"sub":"eve"}`)), badClaims},
		{"a claim twice, deep", jose([]byte(`{"sub":"ada","exp":99999999999,"u":[{"id":1,"id":2}]}`)), badClaims},
		{"claims nested too deep", jose([]byte(`{"a":` + nested + `}`)), badClaims},
		{"exp in words", jose(claims("exp", "tomorrow")), badClaims},
		{"exp null", jose([]byte(`{"sub":"ada","exp":null}`)), badClaims},
		{"exp beyond time", jose([]byte(`{"sub":"ada","exp":1e300}`)), badClaims},
		{"exp negative", jose(claims("exp", -1)), badClaims},
		{"no exp", jose(claims("exp", nil)), endless},
		{"expired", jose(claims("exp", now-16)), expired},
		{"not yet valid", jose(claims("nbf", now+60)), early},
		{"from the future", jose(claims("iat", now+60)), early},
		{"sub missing", jose(claims("sub", nil)), unmapped},
		{"sub empty", jose(claims("sub", "")), unmapped},
		{"sub a number", jose(claims("sub", 7)), unmapped},
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range append(badTokens(), badClaimSets()...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			req := request()
			req.Header.Set("Cookie", "session="+c.value)
			if strings.Contains(c.value, "\n") { // no cookie of a request holds one
				if _, why := openJWE(c.value, mustReader(t, joseCookie()).cookies[0].jwe); why != c.why {
					t.Errorf("got %q, want %q", why, c.why)
				}
				return
			}
			_, err := mustReader(t, joseCookie()).Read(req)
			if !errors.Is(err, ErrRefused) || Why(err) != c.why {
				t.Errorf("got %v because %q, want because %q", err, Why(err), c.why)
			}
			if err != nil && err.Error() != ErrRefused.Error() {
				t.Errorf("the error tells clients %q", err)
			}
		})
	}
}

// respell changes the last character of base64url so that it stands for the same bytes.
func respell(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last^1])
}

func TestKeysAreChosenByTheirNames(t *testing.T) {
	t.Parallel()
	a, b := fill(32, "a"), fill(32, "b")
	named := mustReader(t, Cookie{Name: "s", Format: JoseDir, Keys: []Key{{ID: "a", Secret: a}, {ID: "b", Secret: b}}})
	for _, c := range []struct {
		name, kid, why string
		key            []byte
	}{
		{"by kid", `"kid":"b"`, "", b},
		{"without kid, the one that opens it", `"typ":"JWT"`, "", b},
		{"the kid of another key", `"kid":"a"`, forged, b},
		{"a kid that nobody has", `"kid":"c"`, noKey, b},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			token := encrypt(headerOf(encGCM, c.kid), "", encGCM, c.key, claims())
			if _, err := named.Read(request("s", token)); Why(err) != c.why {
				t.Errorf("got %q, want %q", Why(err), c.why)
			}
		})
	}
	t.Run("a thumbprint that is not the key's", func(t *testing.T) {
		t.Parallel()
		r := mustReader(t, Cookie{Name: "s", Format: AuthJS, Keys: []Key{{Secret: []byte(secret)}}})
		token := encrypt(headerOf(encCBC, `"kid":"s"`), "", encCBC, authJSKey("s", secret), claims())
		if _, err := r.Read(request("s", token)); Why(err) != noKey {
			t.Errorf("got %q, want %q", Why(err), noKey)
		}
	})
	t.Run("a token of a cookie with another name", func(t *testing.T) {
		t.Parallel()
		r := mustReader(t, Cookie{Name: "s", Format: AuthJS, Keys: []Key{{Secret: []byte(secret)}}})
		token := encrypt(headerOf(encCBC), "", encCBC, authJSKey("other", secret), claims())
		if _, err := r.Read(request("s", token)); Why(err) != forged {
			t.Errorf("got %q, want %q", Why(err), forged)
		}
	})
}

// Not parallel: it measures what this process allocates.
func TestABombIsRefusedUnopened(t *testing.T) {
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, flate.BestCompression)
	w.Write(make([]byte, 8<<20))
	w.Close()
	token := encrypt(headerOf(encGCM, `"zip":"DEF"`), "", encGCM, fill(32, "jose"), bomb.Bytes())
	r, req := mustReader(t, joseCookie()), request("session", token)
	if len(token) > MaxSize {
		t.Fatalf("the bomb has %d bytes and would be refused for its size", len(token))
	}
	if _, err := r.Read(req); Why(err) != badHeader {
		t.Fatalf("got %q, want %q", Why(err), badHeader)
	}
	const runs = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		r.Read(req)
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 4*uint64(len(token)) {
		t.Errorf("refusing %d bytes took %d bytes of memory", len(token), got)
	}
}

// Not parallel: it counts what this process allocates.
func TestGarbageCostsLittle(t *testing.T) {
	// The most that a sender can make a reader do: as many cookies and keys as there may be, each as long as can be.
	var cookies []Cookie
	req := request()
	for i := range MaxCookies {
		c := Cookie{Name: fmt.Sprintf("s%c", 'a'+i), Format: NextAuth}
		for k := range MaxKeys {
			c.Keys = append(c.Keys, Key{Secret: fmt.Appendf(nil, "%d/%d", i, k)})
		}
		cookies = append(cookies, c)
		token := encrypt(headerOf(encGCM), "", encGCM, fill(32, "x"), fill(MaxSize*3/4-200, "y"))
		req.AddCookie(&http.Cookie{Name: c.Name, Value: token})
	}
	r := mustReader(t, cookies...)
	if _, err := r.Read(req); Why(err) != forged {
		t.Fatalf("got %q, want %q", Why(err), forged)
	}
	if got := testing.AllocsPerRun(20, func() { r.Read(req) }); got > 25*MaxCookies {
		t.Errorf("%v allocations for %d bad cookies", got, MaxCookies)
	}
}

func TestTimesAreThoseOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seal := Cookie{Name: "seal", Format: Iron, Keys: []Key{{Secret: []byte(password)}}, Life: 2 * time.Hour}
		r := mustReader(t, joseCookie(), seal)
		token := request("session", jose(claims()))
		sealed := request("seal", sealIron("1", password, inAnHour(), []byte(`{"sub":"ada"}`))+"~2")
		if got, err := r.Read(token); err != nil || clock.Since(got.Issued) != time.Minute {
			t.Errorf("a token was issued at %v, %v; want a minute ago", got.Issued, err)
		}
		if got, err := r.Read(sealed); err != nil || clock.Since(got.Issued) != time.Hour {
			t.Errorf("a seal was issued at %v, %v; want an hour ago, as it lives two and has one left", got.Issued, err)
		}
		time.Sleep(time.Hour + DefaultSkew - time.Millisecond)
		for _, req := range []*http.Request{token, sealed} {
			if _, err := r.Read(req); err != nil {
				t.Errorf("refused within the skew: %s", Why(err))
			}
		}
		time.Sleep(time.Millisecond)
		for _, req := range []*http.Request{token, sealed} {
			if _, err := r.Read(req); Why(err) != expired {
				t.Errorf("got %q, want %q", Why(err), expired)
			}
		}
	})
}

func TestEndlessCookiesNeedLeave(t *testing.T) {
	t.Parallel()
	sealed := request("s", sealIron("1", password, "", []byte(`{"sub":"ada"}`)))
	c := Cookie{Name: "s", Format: Iron, Keys: []Key{{Secret: []byte(password)}}}
	if _, err := mustReader(t, c).Read(sealed); Why(err) != endless {
		t.Errorf("got %q, want %q", Why(err), endless)
	}
	c.Endless = true
	got, err := mustReader(t, c).Read(sealed)
	if err != nil || !got.Expires.IsZero() || !got.Issued.IsZero() {
		t.Errorf("got %+v, %v; want neither an end nor a beginning", got.Token, err)
	}
}

func TestASignInHasOneKey(t *testing.T) {
	t.Parallel()
	read := func(identify func(Token) (Identity, error), value string) [32]byte {
		seal := Cookie{Name: "seal", Format: Iron, Keys: []Key{{Secret: []byte(password)}}}
		r, err := NewReader(Config{Cookies: []Cookie{joseCookie(), seal}, Map: identify})
		if err != nil {
			t.Fatal(err)
		}
		name := "session"
		if strings.HasPrefix(value, ironPrefix) {
			name = "seal"
		}
		got, err := r.Read(request(name, value))
		if err != nil {
			t.Fatal(Why(err))
		}
		return got.Key
	}
	bySid := func(tok Token) (id Identity, err error) {
		id.Subject = "ada"
		return id, json.Unmarshal(tok.Claims["sid"], &id.SignIn)
	}
	one, rolled := jose(claims("sid", "s1")), jose(claims("sid", "s1", "iat", 1))
	if read(nil, one) == read(nil, rolled) {
		t.Error("two cookies that nothing connects have one key")
	}
	if read(bySid, one) != read(bySid, rolled) {
		t.Error("two cookies of one sign-in have two keys")
	}
	if read(bySid, one) == read(bySid, jose(claims("sid", "s2"))) {
		t.Error("two sign-ins have one key")
	}
	seal := sealIron("1", password, inAnHour(), claims())
	if read(nil, seal) != read(nil, seal+"~2") {
		t.Error("what is outside a seal's proof gives it another key")
	}
}
