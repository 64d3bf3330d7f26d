// SPDX-License-Identifier: Apache-2.0

// The inside of XML tokens: names, attribute values, references, namespaces.

package eventlog

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// instruction checks <?...?>. The XML declaration has told its encoding to input already.
func (x *xmlReader) instruction(token []byte) error {
	target, _ := cutName(token[2 : len(token)-2])
	isDeclaration := string(target) == "xml"
	switch {
	case !isName(target):
		return x.fail("a processing instruction without a name")
	case !isDeclaration && bytes.EqualFold(target, []byte("xml")), isDeclaration && x.begun:
		return x.fail("an XML declaration that is not at the start of the file")
	}
	if isDeclaration && !bytes.Contains(token, []byte(`version="1.`)) && !bytes.Contains(token, []byte(`version='1.`)) {
		return x.fail("an XML declaration without version 1")
	}
	x.begun = true
	return x.checkChars(token)
}

// declaration checks comments, CDATA sections and a document type without declarations.
func (x *xmlReader) declaration(token []byte) error {
	x.begun = true
	switch {
	case bytes.HasPrefix(token, []byte("<!--")):
		if inside := token[4 : len(token)-3]; bytes.Contains(inside, []byte("--")) || bytes.HasSuffix(inside, []byte("-")) {
			return x.fail("'--' in a comment")
		}
	case bytes.HasPrefix(token, []byte("<![CDATA[")):
		if x.depth() == 0 {
			return x.fail("text outside the root element")
		}
	case bytes.HasPrefix(token, []byte("<!DOCTYPE ")):
		if bytes.IndexByte(token, '[') >= 0 {
			return x.fail("a document type with declarations, which are not read")
		}
		if x.depth() > 0 || x.done {
			return x.fail("a document type that is not before the root element")
		}
	default:
		return x.fail("unknown declaration %.20q", token)
	}
	return x.checkChars(token)
}

func (x *xmlReader) startTag(token []byte) (*xmlTag, error) {
	if x.done {
		return nil, x.fail("a second root element")
	}
	if x.depth() >= xmlDepthMax {
		return nil, x.fail("elements nested deeper than %d", xmlDepthMax)
	}
	if err := x.checkChars(token); err != nil {
		return nil, err
	}
	inside := token[1 : len(token)-1]
	inside, x.empty = bytes.CutSuffix(inside, []byte("/"))
	name, rest := cutName(inside)
	prefix, local, ok := splitName(name)
	if !ok {
		return nil, x.fail("%.40q is no element name", name)
	}
	x.begun = true
	x.open = append(x.open, xmlOpen{len(x.names), len(x.bound)})
	x.names = append(x.names, name...)
	x.tag = xmlTag{local: local, attrs: x.tag.attrs[:0]}
	x.text = x.text[:0]
	if err := x.attributes(rest); err != nil {
		return nil, err
	}
	space, ok := x.resolve(prefix)
	if !ok {
		return nil, x.fail("prefix %.40q is not declared", prefix)
	}
	x.tag.space = space
	return &x.tag, nil
}

func (x *xmlReader) endTag(token []byte) (*xmlTag, error) {
	name := bytes.TrimRight(token[2:len(token)-1], " \t\r\n")
	if x.depth() == 0 {
		return nil, x.fail("</%.40s> without its start", name)
	}
	last := x.open[len(x.open)-1]
	if want := x.names[last.name:]; !bytes.Equal(name, want) {
		return nil, x.fail("<%.40s> is closed by </%.40s>", want, name)
	}
	return x.pop(), nil
}

// pop closes the innermost element.
func (x *xmlReader) pop() *xmlTag {
	last := x.open[len(x.open)-1]
	x.open = x.open[:len(x.open)-1]
	x.names = x.names[:last.name]
	x.bound = x.bound[:last.bound]
	x.done = len(x.open) == 0
	x.tag = xmlTag{attrs: x.tag.attrs[:0], end: true}
	return &x.tag
}

// attributes reads name="value" pairs into the tag.
func (x *xmlReader) attributes(s []byte) error {
	for {
		trimmed := bytes.TrimLeft(s, " \t\r\n")
		if len(trimmed) == 0 {
			return nil
		}
		if len(trimmed) == len(s) {
			return x.fail("no space before attribute %.40q", s)
		}
		name, rest := cutName(trimmed)
		if _, _, ok := splitName(name); !ok {
			return x.fail("%.40q is no attribute name", name)
		}
		rest = bytes.TrimLeft(rest, " \t\r\n")
		if len(rest) == 0 || rest[0] != '=' {
			return x.fail("attribute %.40q has no value", name)
		}
		rest = bytes.TrimLeft(rest[1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return x.fail("the value of attribute %.40q is not in quotes", name)
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return x.fail("the value of attribute %.40q has no end", name)
		}
		if err := x.attribute(name, rest[1:1+end]); err != nil {
			return err
		}
		s = rest[end+2:]
	}
}

// attribute adds one attribute to the tag, or binds a namespace.
func (x *xmlReader) attribute(name, raw []byte) error {
	for _, a := range x.tag.attrs {
		if bytes.Equal(a.name, name) {
			return x.fail("attribute %.40q is given twice", name)
		}
	}
	value, err := x.decode(raw)
	if err != nil {
		return err
	}
	x.tag.attrs = append(x.tag.attrs, xmlAttr{name, value})
	if prefix, is := bytes.CutPrefix(name, []byte("xmlns")); is && (len(prefix) == 0 || prefix[0] == ':') {
		x.bound = append(x.bound, xmlBinding{string(bytes.TrimPrefix(prefix, []byte(":"))), string(value)})
	}
	return nil
}

// resolve returns the namespace of a prefix, the innermost binding first.
func (x *xmlReader) resolve(prefix []byte) (string, bool) {
	for i := len(x.bound) - 1; i >= 0; i-- {
		if x.bound[i].prefix == string(prefix) {
			return x.bound[i].space, true
		}
	}
	return "", false
}

// decode resolves references and makes white space to spaces, as XML wants it in attribute values.
func (x *xmlReader) decode(raw []byte) ([]byte, error) {
	if !bytes.ContainsAny(raw, "&\t\r\n") {
		return raw, nil
	}
	start := len(x.text)
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case '&':
			end := bytes.IndexByte(raw[i:], ';')
			if end < 0 {
				return nil, x.fail("'&' that begins no reference; write &amp;")
			}
			r, ok := reference(raw[i+1 : i+end])
			if !ok {
				return nil, x.fail("unknown reference %.40q", raw[i:i+end+1])
			}
			x.text = utf8.AppendRune(x.text, r)
			i += end
		case '\r':
			if i+1 == len(raw) || raw[i+1] != '\n' {
				x.text = append(x.text, ' ')
			}
		case '\n', '\t':
			x.text = append(x.text, ' ')
		default:
			x.text = append(x.text, c)
		}
	}
	return x.text[start:len(x.text):len(x.text)], nil
}

// reference returns the character that &name; stands for.
func reference(name []byte) (rune, bool) {
	switch string(name) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, base := bytes.TrimPrefix(name, []byte("#")), 10
	if len(digits) == len(name) {
		return 0, false
	}
	if hex, is := bytes.CutPrefix(digits, []byte("x")); is {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(string(digits), base, 21)
	return rune(n), err == nil && isChar(rune(n))
}

// checkText checks text between tags, references included.
func (x *xmlReader) checkText(text []byte) error {
	if err := x.checkChars(text); err != nil {
		return err
	}
	x.text = x.text[:0]
	_, err := x.decode(text)
	return err
}

// checkChars refuses what is not UTF-8 or no character of XML.
func (x *xmlReader) checkChars(s []byte) error {
	for i := 0; i < len(s); {
		if c := s[i]; c >= 0x20 && c < utf8.RuneSelf || c == '\n' || c == '\t' || c == '\r' {
			i++
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			return x.fail("bytes that are not UTF-8; declare the encoding or convert the file with iconv")
		}
		if !isChar(r) {
			return x.fail("character %U, which XML forbids", r)
		}
		i += size
	}
	return nil
}

func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd ||
		r >= 0x10000 && r <= 0x10ffff
}

// cutName splits s after the name that it begins with.
func cutName(s []byte) (name, rest []byte) {
	n := 0
	for n < len(s) && isNameByte(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// splitName splits prefix and local name.
func splitName(name []byte) (prefix, local []byte, ok bool) {
	prefix, local, found := bytes.Cut(name, []byte(":"))
	if !found {
		return nil, name, isName(name)
	}
	return prefix, local, isName(prefix) && isName(local) && bytes.IndexByte(local, ':') < 0
}

func isName(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	c := name[0]
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf ||
		c == '_' || c == ':' || c == '-' || c == '.'
}
