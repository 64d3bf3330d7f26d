// SPDX-License-Identifier: Apache-2.0

// Claims: one JSON object without a second reading, its times, and the name of what it proves.

package legacy

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"math"
	"time"
	"unicode/utf8"
)

// maxDepth is how deep JSON may nest.
const maxDepth = 32

// strictObject reads a JSON object in which no object, however deep, has a name twice.
func strictObject(data []byte) (map[string]json.RawMessage, bool) {
	if !utf8.Valid(data) || !single(json.NewDecoder(bytes.NewReader(data)), 0) {
		return nil, false
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, false
	}
	return object, true
}

// single reads one value and reports whether it is well formed and free of names given twice.
func single(d *json.Decoder, depth int) bool {
	token, err := d.Token()
	if err != nil || depth > maxDepth {
		return false
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return true
	}
	seen := map[string]bool{}
	for d.More() {
		if delim == '{' {
			token, err := d.Token()
			name, ok := token.(string)
			if err != nil || !ok || seen[name] {
				return false
			}
			seen[name] = true
		}
		if !single(d, depth+1) {
			return false
		}
	}
	_, err = d.Token()
	return err == nil
}

// claimTime reads a NumericDate (RFC 7519, section 2) if the claim is there, and reports whether it is sound.
func claimTime(claims map[string]json.RawMessage, name string, into *time.Time) bool {
	raw, ok := claims[name]
	if !ok {
		return true
	}
	const year9999 = 253402300799
	var seconds *float64
	if err := json.Unmarshal(raw, &seconds); err != nil || seconds == nil || *seconds < 0 || *seconds > year9999 {
		return false
	}
	whole, part := math.Modf(*seconds)
	*into = time.Unix(int64(whole), int64(part*1e9))
	return true
}

// name hashes what identifies a sign-in.
func name(f Format, text string, id Identity) [32]byte {
	if id.SignIn == "" {
		return sha256.Sum256([]byte("vidimus legacy cookie\x00" + string(f) + "\x00" + text))
	}
	fields, _ := json.Marshal([]string{id.Tenant, id.Subject, id.SignIn}) // strings always marshal
	return sha256.Sum256(append([]byte("vidimus legacy sign-in\x00"), fields...))
}
