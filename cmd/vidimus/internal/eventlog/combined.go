// SPDX-License-Identifier: Apache-2.0

// Access logs of web servers: the combined format of Apache and nginx, and the common one without its last two fields.

package eventlog

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// combinedLine takes a line apart: address, ident, user, time, request, status, bytes, referer, agent. Quotes
// within quotes are escaped. A last field without its closing quote is a line that the server cut.
var combinedLine = regexp.MustCompile(`^(\S+) (\S+) (.+?) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)` +
	`(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)("?))?$`)

var (
	requestLine    = regexp.MustCompile(`^([A-Z]+) (\S+)(?: (\S+))?$`)
	combinedFields = []string{"address", "ident", "user", "", "request", "status", "bytes", "referer", "agent"}
)

// combinedSource reads one event a line: stream "<category>-<pseudonym of the address>", type "http.get" and so on, or
// "http.other" for what is no HTTP request. Data has the fields as the server wrote them, its escapes included, without
// those that are "-"; truncated is true for a line that was cut.
type combinedSource struct {
	lines    lines
	category string
	times    times
}

func (s *combinedSource) next(r *Record) error {
	line, err := s.lines.next()
	if err != nil {
		return err
	}
	f := combinedLine.FindSubmatch(line)
	if f == nil {
		return s.lines.fail("", "no line of a combined access log",
			`it reads: address ident user [time] "request" status bytes "referer" "agent"; correct or remove it`)
	}
	if r.Stream, err = streamName(s.category, pseudonym(f[1])); err != nil {
		return s.lines.fail("address", err.Error(), "correct or remove the line")
	}
	if s.times.layouts == nil {
		s.times = newTimes("02/Jan/2006:15:04:05 -0700")
	}
	if r.Time, err = s.times.parse(string(f[4])); err != nil {
		return s.lines.fail("time", err.Error(), "write it as [17/May/2015:10:05:03 +0000]")
	}
	r.Schema, r.Type, r.Data = 1, "http.other", combinedData(f)
	if request := requestLine.FindSubmatch(f[5]); request != nil {
		r.Type = "http." + strings.ToLower(string(request[1]))
	}
	if len(r.Type) > streamBytesMax {
		return s.lines.fail("request", "the method is too long", "correct or remove the line")
	}
	return nil
}

// combinedData writes the fields as a JSON object, the request in its parts if it has them.
func combinedData(f [][]byte) []byte {
	data := []byte{'{'}
	for i, name := range combinedFields {
		value := f[i+1]
		switch request := requestLine.FindSubmatch(value); {
		case name == "" || len(value) == 0 || string(value) == "-":
		case name == "status" || name == "bytes":
			data = appendNumberText(appendMember(data, name), value)
		case name == "request" && request != nil:
			for j, part := range []string{"method", "path", "protocol"} {
				if len(request[j+1]) > 0 {
					data = appendString(appendMember(data, part), request[j+1])
				}
			}
		default:
			data = appendString(appendMember(data, name), value)
		}
	}
	if f[9] != nil && len(f[10]) == 0 {
		data = append(appendMember(data, "truncated"), "true"...)
	}
	return append(data, '}')
}

// appendNumberText appends digits without leading zeros.
func appendNumberText(dst, digits []byte) []byte {
	text := strings.TrimLeft(string(digits), "0")
	if text == "" {
		text = "0"
	}
	return append(dst, text...)
}

// pseudonym stands for an address in the names of streams, which outlive the data of their events.
func pseudonym(address []byte) string {
	sum := sha256.Sum256(address)
	return hex.EncodeToString(sum[:6])
}
