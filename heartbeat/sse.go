// SPDX-License-Identifier: Apache-2.0

// Frames as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), written and read.

package heartbeat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxEvent bounds an event in bytes, and so each of its lines. The largest frame has 1.6 MB.
const maxEvent = 2 << 20

// AppendEvent appends the frame as one server-sent event, whose id is the frame's mark.
func (f *Frame) AppendEvent(b []byte) ([]byte, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return b, fmt.Errorf("frame: %w", err)
	}
	b = append(append(b, "id: "...), f.Mark().String()...)
	b = append(append(b, "\ndata: "...), data...)
	return append(b, "\n\n"...), nil
}

// eventReader reads frames from a stream of events. It knows lines that end with LF or CRLF, the fields id, data,
// event and retry, and comments; anything else is refused. What is too long is refused before it is kept.
type eventReader struct{ lines *bufio.Reader }

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{lines: bufio.NewReaderSize(r, 16<<10)}
}

// next returns the next frame. Comments, and events without data, count for nothing. It returns [io.EOF] at the end
// between two events, [io.ErrUnexpectedEOF] at one within, and an [InvalidError].
func (r *eventReader) next() (Frame, error) {
	var data []byte
	begun := false
	for {
		line, err := r.line(maxEvent - len(data))
		switch {
		case errors.Is(err, io.EOF) && begun:
			return Frame{}, io.ErrUnexpectedEOF
		case err != nil:
			return Frame{}, err
		case len(line) > 0:
			begun = true
			if data, err = field(data, line); err != nil {
				return Frame{}, err
			}
		case len(data) > 0:
			return parseFrame(data)
		default:
			begun = false
		}
	}
}

// field takes one line of an event in.
func field(data, line []byte) ([]byte, error) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		if len(data) > 0 {
			data = append(data, '\n')
		}
		return append(data, value...), nil
	case "", "id", "event", "retry":
		return data, nil // the data says all
	}
	return nil, invalid("event", "has a field %.40q; the fields are id, data, event and retry", name)
}

// line returns a line without its end, valid until the next call. It has most bytes at most.
func (r *eventReader) line(most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		if len(line)+len(part) > most {
			return nil, invalid("event", "is longer than %d bytes", maxEvent)
		}
		if err == nil && line == nil {
			line = part // as most often: whole in the buffer
			break
		}
		line = append(line, part...)
		if err == nil {
			break
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return nil, io.ErrUnexpectedEOF
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if bytes.IndexByte(line, '\r') >= 0 || !utf8.Valid(line) {
		return nil, invalid("event", "has a line that is no UTF-8 or has a CR within")
	}
	return line, nil
}

// parseFrame reads the JSON of a frame, which stands alone, and checks it. Fields of a later release are passed over:
// what they add must not change what the others mean.
func parseFrame(data []byte) (Frame, error) {
	var f Frame
	if err := json.Unmarshal(data, &f); err != nil {
		return Frame{}, invalid("frame", "is no JSON of a frame: %v", err)
	}
	if err := f.Validate(); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// parseHead reads the JSON of a head.
func parseHead(data []byte) (Head, error) {
	var h Head
	if err := json.Unmarshal(data, &h); err != nil {
		return Head{}, invalid("head", "is no JSON of a head: %v", err)
	}
	if !h.Valid() {
		return Head{}, noPlace("head", h)
	}
	return h, nil
}
