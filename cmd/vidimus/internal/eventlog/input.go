// SPDX-License-Identifier: Apache-2.0

// The bytes of a file: counted, unpacked and brought to UTF-8.

package eventlog

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"unicode/utf16"
	"unicode/utf8"
)

const sniffBytes = 4096

// input is an open file. Its text is UTF-8 without a byte order mark, if the file keeps its word.
type input struct {
	file   *os.File
	offset atomic.Int64
	size   int64
	text   *bufio.Reader
}

func openInput(path string, stdin io.Reader) (*input, error) {
	in := &input{size: -1}
	raw := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		in.file, raw = f, f
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
	} else if raw == nil {
		raw = os.Stdin
	}
	if err := in.start(raw); err != nil {
		return nil, errors.Join(in.explain(err), in.Close())
	}
	return in, nil
}

// start unpacks and decodes raw.
func (in *input) start(raw io.Reader) error {
	plain := bufio.NewReaderSize(&countingReader{raw, &in.offset}, 64<<10)
	if magic, _ := plain.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(plain)
		if err != nil {
			return err
		}
		plain = bufio.NewReaderSize(unpacked, 64<<10)
	}
	text, err := toUTF8(plain)
	in.text = text
	return err
}

// Close closes the file if there is one; twice is fine.
func (in *input) Close() error {
	if in.file == nil {
		return nil
	}
	f := in.file
	in.file = nil
	return f.Close()
}

// explain turns what gzip and io say about a broken file into an *Error.
func (in *input) explain(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, new(*Error)):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Place: in.place(), Problem: "the file ends too early", Remedy: "copy it again, whole"}
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return &Error{Place: in.place(), Problem: "the gzip data is damaged", Remedy: "copy it again, in binary"}
	}
	return fmt.Errorf("read event log at %s: %w", in.place(), err)
}

func (in *input) place() string { return fmt.Sprintf("byte %d", in.offset.Load()) }

type countingReader struct {
	from io.Reader
	n    *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n.Add(int64(n))
	return n, err
}

var encodingDeclared = regexp.MustCompile(`^<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// toUTF8 looks at byte order mark and XML declaration and decodes UTF-16 and ISO-8859-1. Other encodings are refused
// if they are declared, and found later, as invalid UTF-8, if they are not.
func toUTF8(r *bufio.Reader) (*bufio.Reader, error) {
	head, err := r.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := r.Discard(3)
		return r, err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("<\x00")):
		return bufio.NewReader(&utf16Reader{from: r, order: binary.LittleEndian}), nil
	case bytes.HasPrefix(head, []byte("\xfe\xff")), bytes.HasPrefix(head, []byte("\x00<")):
		return bufio.NewReader(&utf16Reader{from: r, order: binary.BigEndian}), nil
	}
	declared := encodingDeclared.FindSubmatch(head)
	if declared == nil {
		return r, nil
	}
	switch name := strings.ToLower(string(declared[1])); name {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1", "iso_8859-1":
		return bufio.NewReader(&latin1Reader{from: r}), nil
	default:
		return nil, &Error{
			Place: "line 1", Field: "encoding", Problem: fmt.Sprintf("%q is not read here", name),
			Remedy: "convert the file with iconv to UTF-8 and declare that",
		}
	}
}

// latin1Reader reads ISO-8859-1 as UTF-8.
type latin1Reader struct {
	from *bufio.Reader
}

func (l *latin1Reader) Read(p []byte) (n int, err error) {
	for n+utf8.UTFMax <= len(p) {
		c, err := l.from.ReadByte()
		if err != nil {
			return n, err
		}
		n += utf8.EncodeRune(p[n:], rune(c))
	}
	return n, nil
}

// utf16Reader reads UTF-16 as UTF-8 and leaves the byte order mark out.
type utf16Reader struct {
	from  *bufio.Reader
	order binary.ByteOrder
	begun bool
}

func (u *utf16Reader) Read(p []byte) (n int, err error) {
	for n+utf8.UTFMax <= len(p) {
		c, err := u.rune()
		if err != nil {
			return n, err
		}
		if mark := c == '\ufeff' && !u.begun; !mark {
			n += utf8.EncodeRune(p[n:], c)
		}
		u.begun = true
	}
	return n, nil
}

// rune returns the next character, or an error for half a one.
func (u *utf16Reader) rune() (rune, error) {
	first, err := u.unit()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	second, err := u.unit()
	if err != nil && err != io.EOF {
		return 0, err
	}
	c := utf16.DecodeRune(first, second)
	if c == utf8.RuneError {
		return 0, &Error{Problem: "half a character in UTF-16", Remedy: "convert the file with iconv to UTF-8"}
	}
	return c, nil
}

func (u *utf16Reader) unit() (rune, error) {
	var b [2]byte
	_, err := io.ReadFull(u.from, b[:])
	return rune(u.order.Uint16(b[:])), err
}
