// SPDX-License-Identifier: Apache-2.0

// XES attributes to JSON.

package eventlog

import (
	"bytes"
	"fmt"
	"slices"
)

// xesAttributesMax bounds the attributes of one element, xesOutBytesMax what they come to as JSON.
const (
	xesAttributesMax = 1000
	xesOutBytesMax   = lineBytesMax
)

// xesAttributes writes the attributes within an element as a JSON object, in document order:
//
//	string, date, id    a string        int, float  a number       boolean    true or false
//	container           an object       list        an array of objects with one member each
//
// An attribute with attributes of its own becomes {"value":...,"attributes":{...}}.
type xesAttributes struct {
	xes  *xesSource
	out  []byte
	top  int                    // the depth of the outermost attributes
	see  func(key, text []byte) // is told of those
	keys []xesKey               // of the objects being written, to find one given twice
}

// xesKey is where a key stands in out.
type xesKey struct {
	from, to int
}

// reset prepares for the attributes of the element whose start was read last.
func (a *xesAttributes) reset(see func(key, text []byte)) {
	a.out, a.keys, a.see, a.top = a.out[:0], a.keys[:0], see, a.xes.xml.depth()+1
}

// object writes the attributes up to the end of the element, or up to the start of an element named stop, and
// reports whether it was that.
func (a *xesAttributes) object(stop string) (stopped bool, err error) {
	first := len(a.keys)
	a.out = append(a.out, '{')
	for {
		tag, err := a.xes.xml.next()
		if err != nil {
			return false, err
		}
		if tag.end || tag.space == a.xes.space && stop != "" && string(tag.local) == stop {
			a.out = append(a.out, '}')
			a.keys = a.keys[:first]
			return !tag.end, nil
		}
		if tag.space != a.xes.space {
			err = a.xes.skip()
		} else {
			err = a.member(tag, first)
		}
		if err != nil {
			return false, err
		}
	}
}

// member writes one attribute: key, then value.
func (a *xesAttributes) member(tag *xmlTag, first int) error {
	key := tag.attr("key")
	if key == nil {
		return a.xes.fail("", fmt.Sprintf("<%.40s> has no key", tag.local), "attributes of XES have key and value")
	}
	if len(a.keys)-first >= xesAttributesMax {
		return a.xes.fail("", fmt.Sprintf("more than %d attributes", xesAttributesMax), "leave some out")
	}
	if len(a.out) > xesOutBytesMax {
		return a.xes.fail(string(key), fmt.Sprintf("an event of more than %d bytes", xesOutBytesMax), "leave some out")
	}
	from := len(a.out)
	a.out = appendMember(a.out, key)
	if a.out[from] == ',' {
		from++
	}
	to := len(a.out) - len(":")
	name := a.out[from:to]
	for _, k := range a.keys[first:] {
		if bytes.Equal(a.out[k.from:k.to], name) {
			return a.xes.fail(string(key), "given twice in one place", "rename one of the two")
		}
	}
	a.keys = append(a.keys, xesKey{from, to})
	if a.xes.xml.depth() == a.top {
		a.see(key, tag.attr("value"))
	}
	return a.value(tag, key)
}

// value writes the value of an attribute and of those within it.
func (a *xesAttributes) value(tag *xmlTag, key []byte) (err error) {
	start := len(a.out)
	text := tag.attr("value")
	switch string(tag.local) {
	case "list":
		return a.list()
	case "container":
		_, err = a.object("")
		return err
	case "string", "date", "id":
		a.out = appendString(a.out, text)
	case "int":
		a.out, err = appendInt(a.out, string(text))
	case "float":
		a.out, err = appendFloat(a.out, string(text))
	case "boolean":
		a.out, err = appendBool(a.out, string(text))
	default:
		err = fmt.Errorf("<%.40s> is no attribute of XES", tag.local)
	}
	if err == nil && text == nil {
		err = fmt.Errorf("no value")
	}
	if err != nil {
		return a.xes.fail(string(key), err.Error(), "correct the attribute or remove it")
	}
	return a.nested(start)
}

// nested looks for attributes within the attribute whose value stands at start.
func (a *xesAttributes) nested(start int) error {
	inner := len(a.out)
	if _, err := a.object(""); err != nil {
		return err
	}
	if string(a.out[inner:]) == "{}" {
		a.out = a.out[:inner]
		return nil
	}
	a.out = slices.Insert(a.out, inner, []byte(`,"attributes":`)...)
	a.out = slices.Insert(a.out, start, []byte(`{"value":`)...)
	a.out = append(a.out, '}')
	return nil
}

// list writes the attributes within a list, and within its <values> if it has them, as an array.
func (a *xesAttributes) list() error {
	a.out = append(a.out, '[')
	return a.items(a.xes.xml.depth())
}

// items writes items up to the end of the list, which is at depth.
func (a *xesAttributes) items(depth int) error {
	for n := 0; ; {
		tag, err := a.xes.xml.next()
		if err != nil {
			return err
		}
		switch {
		case tag.end && a.xes.xml.depth() < depth:
			a.out = append(a.out, ']')
			return nil
		case tag.end:
		case tag.space != a.xes.space:
			err = a.xes.skip()
		case string(tag.local) == "values" && a.xes.xml.depth() == depth+1:
		default:
			n++
			err = a.item(tag, n)
		}
		if err != nil {
			return err
		}
	}
}

func (a *xesAttributes) item(tag *xmlTag, n int) error {
	if n > 1 {
		a.out = append(a.out, ',')
	}
	a.out = append(a.out, '{')
	first := len(a.keys)
	if err := a.member(tag, first); err != nil {
		return err
	}
	a.keys = a.keys[:first]
	a.out = append(a.out, '}')
	return nil
}
