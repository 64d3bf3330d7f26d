// SPDX-License-Identifier: Apache-2.0

// Stream names, and IDs for events that have none.

package eventlog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// streamName joins category and case.
func streamName(category, id string) (string, error) {
	id = strings.TrimSpace(id)
	name := category + "-" + id
	switch {
	case id == "":
		return "", errors.New("the case is empty")
	case len(name) > streamBytesMax:
		return "", fmt.Errorf("stream %.40q... has %d bytes, at most %d fit", name, len(name), streamBytesMax)
	}
	return name, checkText(name)
}

// checkType refuses what cannot be the type of an event.
func checkType(s string) error {
	switch {
	case s == "":
		return errors.New("the event has no type")
	case len(s) > streamBytesMax:
		return fmt.Errorf("type %.40q... has %d bytes, at most %d fit", s, len(s), streamBytesMax)
	}
	return checkText(s)
}

// addTag adds the tag name:value unless the record has it.
func addTag(r *Record, name, value string) error {
	tag := name + ":" + value
	switch {
	case slices.Contains(r.Tags, tag):
		return nil
	case len(tag) > streamBytesMax:
		return fmt.Errorf("tag %.40q... has %d bytes, at most %d fit", tag, len(tag), streamBytesMax)
	case len(r.Tags) >= tagsMax:
		return fmt.Errorf("more than %d tags on one event", tagsMax)
	}
	r.Tags = append(r.Tags, tag)
	return checkText(tag)
}

// checkText refuses what a stored name cannot hold.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%.40q is not UTF-8", s)
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return fmt.Errorf("%.40q has a control character at byte %d", s, i)
	}
	return nil
}

// cases counts the events of each stream. It keeps hashes, not names: two streams that share one share a count,
// which is as good, since the name is part of the derived ID.
type cases struct {
	seen map[uint64]uint32
	max  int
}

func newCases() cases { return cases{seen: map[uint64]uint32{}, max: casesMax} }

// count returns how often stream came before.
func (c *cases) count(stream string) (uint32, error) {
	h := fnv.New64a()
	h.Write([]byte(stream))
	key := h.Sum64()
	n, known := c.seen[key]
	if !known && len(c.seen) >= c.max {
		return 0, &Error{
			Problem: fmt.Sprintf("more than %d cases", c.max),
			Remedy:  "split the file by case",
		}
	}
	c.seen[key] = n + 1
	return n, nil
}

// deriveID makes the ID of a record from its place in its stream and from what it says. Like a UUIDv7 it begins with
// the time in milliseconds, and then counts: in a stream that is in the order of time each ID is greater than those
// before, which a journal need not look up.
func deriveID(r *Record, index uint32) string {
	place := binary.BigEndian.AppendUint32(nil, index)
	id := hash(r.Stream, string(place), r.Type, r.Time.UTC().Format(time.RFC3339Nano), string(r.Data))
	var began [8]byte
	binary.BigEndian.PutUint64(began[:], uint64(max(r.Time.UnixMilli(), 0)))
	copy(id[:6], began[2:])
	binary.BigEndian.PutUint16(id[6:], uint16(index&0x0fff))
	return asUUID(id)
}

// hashID returns a UUID of version 8 that only the same parts in the same order give.
func hashID(parts ...string) string { return asUUID(hash(parts...)) }

// hash returns the first bytes of the SHA-256 of parts and their lengths.
func hash(parts ...string) (id [16]byte) {
	size := 0
	for _, part := range parts {
		size += 8 + len(part)
	}
	b := make([]byte, 0, size)
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	copy(id[:], sum[:])
	return id
}

// asUUID marks id as a UUID of version 8 (RFC 9562) and writes it in its canonical form.
func asUUID(id [16]byte) string {
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
