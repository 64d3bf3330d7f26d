// SPDX-License-Identifier: Apache-2.0

// Lines of a limited length, with their numbers.

package eventlog

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// lines reads one line after the other. Blank lines are passed over but counted.
type lines struct {
	from *bufio.Reader
	n    int
	long []byte
}

func newLines(from *bufio.Reader) lines { return lines{from: from} }

// next returns a line without its end; it is valid until the next call.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.read()
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case !utf8.Valid(line):
			return nil, l.fail("", "the line is not UTF-8", "convert the file with iconv")
		default:
			return line, nil
		}
	}
}

// read returns the next line with its end, joined when it is longer than the buffer.
func (l *lines) read() ([]byte, error) {
	l.n++
	l.long = l.long[:0]
	for {
		part, err := l.from.ReadSlice('\n')
		if len(l.long)+len(part) > lineBytesMax {
			return nil, l.fail("", fmt.Sprintf("longer than %d bytes", lineBytesMax), "split or leave out this event")
		}
		switch {
		case err == nil && len(l.long) == 0:
			return part, nil
		case err == bufio.ErrBufferFull, err == nil, err == io.EOF && len(l.long)+len(part) > 0:
			l.long = append(l.long, part...)
		default:
			return nil, err
		}
		if err != bufio.ErrBufferFull {
			return l.long, nil
		}
	}
}

func (l *lines) fail(field, problem, remedy string) error {
	return &Error{Place: fmt.Sprintf("line %d", l.n), Field: field, Problem: problem, Remedy: remedy}
}
