// SPDX-License-Identifier: Apache-2.0

// A small, strict and fast XML reader: elements, attributes and namespaces. Text is checked and dropped, since XES
// keeps everything in attributes. Documents with a DTD of their own are refused, so entities cannot grow.

package eventlog

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

const (
	xmlTokenBytesMax = lineBytesMax
	xmlDepthMax      = 200
)

// xmlTag is the start of an element (or, with end set, its end). Its slices are valid until the next call of next.
type xmlTag struct {
	space string // the namespace, resolved
	local []byte
	attrs []xmlAttr
	end   bool
}

// xmlAttr is an attribute as written: name with its prefix, value decoded.
type xmlAttr struct {
	name, value []byte
}

// attr returns the value of an attribute without a prefix, or nil.
func (t *xmlTag) attr(name string) []byte {
	for _, a := range t.attrs {
		if string(a.name) == name {
			return a.value
		}
	}
	return nil
}

// xmlReader reads a document tag by tag. An empty element is a start and an end.
type xmlReader struct {
	from  io.Reader
	buf   []byte
	r, w  int
	err   error // of from
	line  int   // of the last token's first byte
	tail  int   // newlines in the last token
	tag   xmlTag
	names []byte // of the open elements, one after the other
	open  []xmlOpen
	bound []xmlBinding
	text  []byte // decoded attribute values
	empty bool   // the tag was <x/>, its end comes next
	begun bool   // anything but a byte order mark was read
	done  bool   // the root element was closed
}

// xmlOpen is an open element: where its name begins, and how many bindings stood before it.
type xmlOpen struct {
	name, bound int
}

type xmlBinding struct {
	prefix, space string
}

func newXMLReader(from *bufio.Reader) *xmlReader {
	return &xmlReader{
		from: from, buf: make([]byte, 64<<10), line: 1,
		bound: []xmlBinding{{"", ""}, {"xml", "http://www.w3.org/XML/1998/namespace"}},
	}
}

func (x *xmlReader) depth() int { return len(x.open) }

func (x *xmlReader) fail(format string, args ...any) error {
	return &Error{
		Place: fmt.Sprintf("line %d", x.line), Problem: "malformed XML: " + fmt.Sprintf(format, args...),
		Remedy: "write the file again with the tool it came from",
	}
}

// next returns the next tag, io.EOF after the end of the root element and of the file.
func (x *xmlReader) next() (*xmlTag, error) {
	if x.empty {
		x.empty = false
		return x.pop(), nil
	}
	for {
		x.line += x.tail
		x.tail = 0
		if err := x.skipText(); err != nil {
			return nil, err
		}
		token, err := x.markup()
		if err != nil {
			return nil, err
		}
		x.tail = bytes.Count(token, []byte{'\n'})
		switch {
		case token[1] == '?':
			err = x.instruction(token)
		case token[1] == '!':
			err = x.declaration(token)
		case token[1] == '/':
			return x.endTag(token)
		default:
			return x.startTag(token)
		}
		if err != nil {
			return nil, err
		}
	}
}

// skipText passes over text up to the next '<'. It returns io.EOF at the end of a complete document.
func (x *xmlReader) skipText() error {
	n := 0
	for {
		i := bytes.IndexByte(x.buf[x.r+n:x.w], '<')
		if i >= 0 {
			return x.dropText(n + i)
		}
		n = x.w - x.r
		if err := x.more(); err == io.EOF {
			return x.endOfFile(n)
		} else if err != nil {
			return err
		}
	}
}

func (x *xmlReader) endOfFile(n int) error {
	if err := x.dropText(n); err != nil {
		return err
	}
	x.line += x.tail
	if !x.done {
		return x.fail("the file ends too early")
	}
	return io.EOF
}

// dropText checks n bytes of text and passes over them.
func (x *xmlReader) dropText(n int) error {
	text := x.buf[x.r : x.r+n]
	x.r += n
	lines := bytes.Count(text, []byte{'\n'})
	if blank := len(bytes.Trim(text, " \t\r\n")) == 0; !blank {
		if x.depth() == 0 {
			return x.fail("text outside the root element")
		}
		if bytes.Contains(text, []byte("]]>")) {
			return x.fail("']]>' in text")
		}
		if err := x.checkText(text); err != nil {
			return err
		}
	}
	x.begun = x.begun || n > 0
	x.line += lines
	return nil
}

// markup returns the next token from '<' to '>' and passes over it.
func (x *xmlReader) markup() ([]byte, error) {
	for _, kind := range []struct{ open, end string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
		if ok, err := x.lookingAt(kind.open); err != nil {
			return nil, err
		} else if ok {
			return x.until(len(kind.open), kind.end)
		}
	}
	return x.untilTagEnd()
}

// lookingAt reports whether s comes next.
func (x *xmlReader) lookingAt(s string) (bool, error) {
	for i := 0; i < len(s); i++ {
		for x.r+i >= x.w {
			if err := x.more(); err != nil {
				return false, x.early(err)
			}
		}
		if x.buf[x.r+i] != s[i] {
			return false, nil
		}
	}
	return true, nil
}

// until returns the token that ends with end, which is looked for after skip bytes.
func (x *xmlReader) until(skip int, end string) ([]byte, error) {
	for n := skip; ; {
		if x.r+n < x.w {
			if i := bytes.Index(x.buf[x.r+n:x.w], []byte(end)); i >= 0 {
				return x.take(n + i + len(end)), nil
			}
			n = max(skip, x.w-x.r-len(end)+1)
		}
		if err := x.more(); err != nil {
			return nil, x.early(err)
		}
	}
}

// untilTagEnd returns the token up to the next '>' outside of quotes.
func (x *xmlReader) untilTagEnd() ([]byte, error) {
	var quote byte
	for n := 1; ; n++ {
		for x.r+n >= x.w {
			if err := x.more(); err != nil {
				return nil, x.early(err)
			}
		}
		switch c := x.buf[x.r+n]; {
		case c == '<' && x.buf[x.r+1] == '!':
			return nil, x.fail("a document type with declarations, which are not read")
		case c == '<':
			return nil, x.fail("'<' within a tag")
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			if n == 1 {
				return nil, x.fail("'<>'")
			}
			return x.take(n + 1), nil
		}
	}
}

func (x *xmlReader) take(n int) []byte {
	token := x.buf[x.r : x.r+n]
	x.r += n
	return token
}

// more reads more bytes behind those that are not used up. Slices of the buffer are void after it.
func (x *xmlReader) more() error {
	if x.err != nil {
		return x.err
	}
	if x.r > 0 {
		x.w = copy(x.buf, x.buf[x.r:x.w])
		x.r = 0
	}
	if x.w == len(x.buf) {
		if len(x.buf) >= xmlTokenBytesMax {
			return x.fail("a tag, comment or text of more than %d bytes", xmlTokenBytesMax)
		}
		x.buf = append(x.buf, make([]byte, len(x.buf))...)
	}
	for range 100 {
		n, err := x.from.Read(x.buf[x.w:])
		x.w += n
		x.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (x *xmlReader) early(err error) error {
	if err == io.EOF {
		return x.fail("the file ends within a tag")
	}
	return err
}
