// SPDX-License-Identifier: Apache-2.0

// Taking JSON objects apart.

package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// member is one member of a JSON object; its value shares memory with the object.
type member struct {
	key   string
	value []byte
}

// membersOf takes a JSON object apart without looking into its values.
func membersOf(object []byte) ([]member, error) {
	object = bytes.TrimSpace(object)
	if len(object) > 0 && object[0] == '{' && json.Valid(object) {
		return split(object), nil
	}
	return explainedMembersOf(object)
}

// split takes a valid JSON object apart: it only has to count brackets and step over strings.
func split(object []byte) []member {
	members := make([]member, 0, usualMembers)
	for at := next(object, 1); object[at] != '}'; {
		key := object[at:stringEnd(object, at)]
		at = next(object, at+len(key)) // the colon
		at = next(object, at+1)
		end := valueEnd(object, at)
		members = append(members, member{keyText(key), object[at:end:end]})
		if at = next(object, end); object[at] == ',' {
			at = next(object, at+1)
		}
	}
	return members
}

// usualMembers is how many members a line that was exported has.
const usualMembers = 10

// next passes over white space.
func next(text []byte, at int) int {
	for text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n' {
		at++
	}
	return at
}

// stringEnd returns where the string that begins at a quote ends, behind its other quote.
func stringEnd(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// valueEnd returns where the value that begins here ends.
func valueEnd(text []byte, at int) int {
	for depth := 0; ; at++ {
		switch text[at] {
		case '"':
			if at = stringEnd(text, at); depth == 0 {
				return at
			}
			at--
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at // of the object around a number or a word
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return at
			}
		}
	}
}

func keyText(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var key string
	if err := json.Unmarshal(quoted, &key); err != nil {
		return string(quoted)
	}
	return key
}

// explainedMembersOf does the same slowly, and says where an object is malformed.
func explainedMembersOf(object []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	var members []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, malformed(err, d.InputOffset())
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, malformed(err, d.InputOffset())
		}
		members = append(members, member{key.(string), value})
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed(err, d.InputOffset())
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value at byte %d", d.InputOffset())
	}
	return members, nil
}

func malformed(err error, at int64) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("JSON cut off at byte %d", at)
	}
	return fmt.Errorf("malformed JSON near byte %d: %w", at, err)
}
