// SPDX-License-Identifier: Apache-2.0

// NDJSON as `vidimus journal export` writes it: one event a line, nothing unknown in it.

package eventlog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const knownFields = "stream, version, position, type, schema, id, time, data, meta, tags, data_base64, meta_base64"

type ndjsonSource struct {
	lines lines
}

func (s *ndjsonSource) next(r *Record) error {
	line, err := s.lines.next()
	if err != nil {
		return err
	}
	members, err := membersOf(line)
	if err != nil {
		return s.lines.fail("", err.Error(), "write one whole JSON object a line")
	}
	r.Schema = 1
	for i, m := range members {
		if slices.ContainsFunc(members[:i], func(o member) bool { return o.key == m.key }) {
			return s.lines.fail(m.key, "given twice", "keep one")
		}
		if problem, remedy := setField(r, m); problem != "" {
			return s.lines.fail(m.key, problem, remedy)
		}
	}
	return s.complete(r)
}

// complete checks that nothing is missing.
func (s *ndjsonSource) complete(r *Record) error {
	switch {
	case r.Stream == "":
		return s.lines.fail("stream", "missing or empty", `add "stream":"<category>-<key>"`)
	case r.Type == "":
		return s.lines.fail("type", "missing or empty", `say what happened, as "type":"order.placed"`)
	case r.Time.IsZero():
		return s.lines.fail("time", "missing", `say when, as "time":"2025-01-31T12:00:00Z"`)
	}
	return nil
}

// setField sets one field of r, or says what is wrong with it and what to do.
func setField(r *Record, m member) (problem, remedy string) {
	if isNull(m.value) && slices.Contains([]string{"position", "version", "id", "schema", "meta", "tags"}, m.key) {
		return "", ""
	}
	switch m.key {
	case "stream":
		return setText(&r.Stream, m.value, streamBytesMax)
	case "type":
		return setText(&r.Type, m.value, streamBytesMax)
	case "id":
		return setID(r, m.value)
	case "time":
		return setTime(r, m.value)
	case "schema":
		return setCount(&r.Schema, m.value)
	case "position", "version":
		return setCount(new(int), m.value)
	case "data":
		if r.Data != nil {
			return "given beside data_base64", "keep one of the two"
		}
		r.Data = bytes.Clone(m.value)
	case "meta":
		if r.Meta != nil {
			return "given beside meta_base64", "keep one of the two"
		}
		if m.value[0] != '{' {
			return "not an object", `write it as "meta":{...} or leave it out`
		}
		r.Meta = bytes.Clone(m.value)
	case "data_base64":
		return setBytes(&r.Data, m.value)
	case "meta_base64":
		return setBytes(&r.Meta, m.value)
	case "tags":
		return setTags(r, m.value)
	default:
		return "unknown field", "rename it or move it into data or meta; known are " + knownFields
	}
	return "", ""
}

// setBytes sets what is not JSON, which stands in a line instead of the field without "_base64".
func setBytes(to *json.RawMessage, value []byte) (problem, remedy string) {
	var text []byte
	switch {
	case *to != nil:
		return "given beside the field it stands for", "keep one of the two"
	case value[0] != '"' || json.Unmarshal(value, &text) != nil:
		return "not base64 (RFC 4648)", "encode the bytes, or write JSON into the field without _base64"
	}
	*to = text
	return "", ""
}

func setText(to *string, value []byte, bytesMax int) (problem, remedy string) {
	switch {
	case value[0] != '"':
		return "not a string", "put it in quotes"
	case bytes.IndexByte(value, '\\') < 0: // no escapes, and the line is UTF-8
		*to = string(value[1 : len(value)-1])
	case json.Unmarshal(value, to) != nil:
		return "not a string", "put it in quotes"
	}
	if len(*to) > bytesMax {
		return fmt.Sprintf("%d bytes, at most %d fit", len(*to), bytesMax), "shorten it"
	}
	if err := checkText(*to); err != nil {
		return err.Error(), "leave that character out"
	}
	return "", ""
}

func setID(r *Record, value []byte) (problem, remedy string) {
	remedy = "write a UUID such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b, or leave it out to have one derived"
	if problem, _ := setText(&r.ID, value, 36); problem != "" {
		return problem, remedy
	}
	if !isUUID(r.ID) {
		return fmt.Sprintf("%.40q is no UUID", r.ID), remedy
	}
	r.ID = strings.ToLower(r.ID)
	return "", ""
}

func isUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	_, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	return err == nil
}

func setTime(r *Record, value []byte) (problem, remedy string) {
	var text string
	remedy = "write it as 2025-01-31T12:00:00Z"
	if problem, _ := setText(&text, value, 100); problem != "" {
		return problem, remedy
	}
	at, err := time.Parse(time.RFC3339, text)
	if err == nil {
		at, err = utc(at, text)
	}
	if err != nil || at.IsZero() {
		return fmt.Sprintf("%.40q is no RFC 3339 time after year 1", text), remedy
	}
	r.Time = at
	return "", ""
}

func setCount(to *int, value []byte) (problem, remedy string) {
	n, err := strconv.Atoi(string(value))
	if *to = n; err != nil || n < 1 {
		return fmt.Sprintf("%.40s is no whole number from 1", value), "correct it or leave it out"
	}
	return "", ""
}

func setTags(r *Record, value []byte) (problem, remedy string) {
	remedy = `write it as "tags":["order:1"]`
	if json.Unmarshal(value, &r.Tags) != nil {
		return "not an array of strings", remedy
	}
	for _, tag := range r.Tags {
		if err := checkText(tag); err != nil || tag == "" {
			return fmt.Sprintf("%.40q cannot be a tag", tag), remedy
		}
	}
	return "", ""
}

func isNull(value []byte) bool { return string(value) == "null" }
