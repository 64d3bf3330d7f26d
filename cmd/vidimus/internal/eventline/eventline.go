// SPDX-License-Identifier: Apache-2.0

// Package eventline writes an event as one line of JSON: what `vidimus journal export` prints and import reads back.
//
// The fields stand in this order: position, stream, version, type, schema, id, time, data, meta, tags; an empty one of
// the last three is left out. Data that is JSON is copied byte for byte. Data that is not, or that would not come back
// the same, is data_base64 instead; so it is with meta that is no JSON object.
package eventline

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"example.com/vidimus/journal"
)

// Append appends the line of e, with its line feed, to b.
func Append(b []byte, e *journal.Event) []byte {
	b = append(b, `{"position":`...)
	b = strconv.AppendInt(b, int64(e.Position), 10)
	b = append(b, `,"stream":`...)
	b = appendText(b, string(e.Stream))
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(e.Version), 10)
	b = append(b, `,"type":`...)
	b = appendText(b, e.Type)
	b = append(b, `,"schema":`...)
	b = strconv.AppendInt(b, int64(e.Schema), 10)
	b = append(b, `,"id":"`...)
	b = append(b, e.ID.String()...)
	b = append(b, `","time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendBytes(b, "data", e.Data, isPlainJSON(e.Data))
	b = appendBytes(b, "meta", e.Meta, isPlainJSON(e.Meta) && e.Meta[0] == '{')
	for i, tag := range e.Tags {
		if i == 0 {
			b = append(b, `,"tags":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendText(b, tag)
	}
	if len(e.Tags) > 0 {
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

func appendBytes(b []byte, field string, value []byte, plain bool) []byte {
	if len(value) == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, field...)
	if plain {
		b = append(b, `":`...)
		return append(b, value...)
	}
	b = append(b, `_base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

// isPlainJSON reports whether value, copied into a line, can be cut out again unchanged.
func isPlainJSON(value []byte) bool {
	if len(value) == 0 || bytes.ContainsAny(value, "\r\n") || !utf8.Valid(value) {
		return false
	}
	return len(bytes.TrimSpace(value)) == len(value) && json.Valid(value)
}

// appendText appends a JSON string.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendQuoted(b, text)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

func appendQuoted(b []byte, text string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		panic("eventline: a string does not encode: " + err.Error())
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
