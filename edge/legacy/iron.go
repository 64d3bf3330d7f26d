// SPDX-License-Identifier: Apache-2.0

// The seal of iron (Fe26.2), as iron-session writes it: PBKDF2 with one round, AES-256-CBC, HMAC-SHA-256.

package legacy

import (
	"cmp"
	"crypto/aes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	ironPrefix   = "Fe26.2"
	ironPassword = 32 // bytes at least
	ironSalt     = 64 // hexadecimal digits
	ironDigits   = 15 // of the end in milliseconds: the year 33658
)

// ironKey is a password with its id.
type ironKey struct {
	id, password string
}

func newIronKey(field string, k Key) (ironKey, error) {
	if len(k.Secret) < ironPassword {
		return ironKey{}, invalid(field+".Secret", "has %d bytes: iron takes %d at least", len(k.Secret), ironPassword)
	}
	made := ironKey{id: cmp.Or(k.ID, "1"), password: string(k.Secret)}
	if !regexp.MustCompile(`^\w{1,32}$`).MatchString(made.id) {
		return ironKey{}, invalid(field+".ID", "%q is no password id: use letters, digits and underscores", k.ID)
	}
	return made, nil
}

// seal is what stands between the asterisks.
type seal struct {
	id, salt, macSalt  string
	iv, encrypted, mac []byte
	end                time.Time
}

// openSeal returns the payload, the seal without its version, and when it ends. The version that iron-session appends
// is not covered by the seal's proof, so it decides nothing: "~2" is the one in use, and without it the seal reads
// the same.
func openSeal(text string, keys []ironKey) (payload []byte, proved string, end time.Time, why string) {
	text = strings.TrimSuffix(text, "~2")
	s, ok := parseSeal(text)
	if !ok {
		return nil, "", end, malformed
	}
	why = noKey
	base := text[:strings.LastIndexByte(text[:strings.LastIndexByte(text, '*')], '*')]
	for _, k := range keys {
		if k.id != cmp.Or(s.id, "default") {
			continue
		}
		plain, ok := s.open(base, k.password)
		if ok {
			return plain, text, s.end, ""
		}
		why = forged
	}
	return nil, "", end, why
}

// parseSeal checks the form of a seal to the last character.
func parseSeal(text string) (seal, bool) {
	parts := strings.SplitN(text, "*", 9)
	if len(text) > MaxSize || len(parts) != 8 || parts[0] != ironPrefix || len(parts[1]) > 32 {
		return seal{}, false
	}
	s := seal{id: parts[1], salt: parts[2], macSalt: parts[6]}
	var ok [3]bool
	s.iv, ok[0] = canonical(parts[3])
	s.encrypted, ok[1] = canonical(parts[4])
	s.mac, ok[2] = canonical(parts[7])
	good := ok == [3]bool{true, true, true} && len(s.iv) == aes.BlockSize && len(s.mac) == sha256.Size &&
		len(s.encrypted) > 0 && len(s.encrypted)%aes.BlockSize == 0 && isSalt(s.salt) && isSalt(s.macSalt)
	if end := parts[5]; good && end != "" {
		ms, err := strconv.ParseInt(end, 10, 64)
		good = err == nil && ms > 0 && len(end) <= ironDigits && end[0] != '0' && end[0] != '+'
		s.end = time.UnixMilli(ms)
	}
	return s, good
}

func isSalt(s string) bool {
	return len(s) == ironSalt && strings.Trim(s, "0123456789abcdef") == ""
}

// open proves and decrypts a seal.
func (s *seal) open(base, password string) ([]byte, bool) {
	macKey, err := pbkdf2.Key(sha1.New, password, []byte(s.macSalt), 1, 32)
	if err != nil {
		return nil, false
	}
	mac := hmac.New(sha256.New, macKey)
	mac.Write([]byte(base))
	if subtle.ConstantTimeCompare(mac.Sum(nil), s.mac) != 1 {
		return nil, false
	}
	key, err := pbkdf2.Key(sha1.New, password, []byte(s.salt), 1, 32)
	if err != nil {
		return nil, false
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	return decryptCBC(block, s.iv, s.encrypted)
}
