// SPDX-License-Identifier: Apache-2.0

// Payloads as JSON in place, without losing a digit.

package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Codec is the JSON of requests and answers. It differs from the usual one in two ways, both for the sake of what is
// stored: a field it does not know is refused instead of passed over, and a payload that stands in place (json,
// metaJson, valueJson) is stored as it was written, so that numbers keep all their digits.
type Codec struct {
	// Type is "json", or that with parameters.
	Type string
}

// Name returns the codec's name.
func (c Codec) Name() string { return c.Type }

// Marshal writes a message.
func (Codec) Marshal(m any) ([]byte, error) {
	message, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", m)
	}
	loose, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	var tight bytes.Buffer // protojson puts in white space by chance
	err = json.Compact(&tight, loose)
	return tight.Bytes(), err
}

// Unmarshal reads a message. What comes from outside may be anything.
func (Codec) Unmarshal(data []byte, m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", m)
	}
	switch {
	case len(data) == 0:
		return errors.New("the body is empty; send a JSON object, {} at the least")
	case !utf8.Valid(data):
		return errors.New("the body is not UTF-8; encode it so, and send other bytes in base64 (data, meta, value)")
	}
	if mayLift(data) {
		var err error
		if data, err = lift(data); err != nil {
			return err
		}
	}
	if bytes.Count(data, []byte{'{'}) > partsMax {
		return errParts
	}
	if err := protojson.Unmarshal(data, message); err != nil {
		return errors.New(clip(err.Error())) // it may quote the body
	}
	return nil
}

// mayLift reports whether a body may hold JSON in place. A name can also be written with escapes.
func mayLift(data []byte) bool {
	for _, sign := range []string{`"json"`, `Json"`, `_json"`, `\u00`} {
		if bytes.Contains(data, []byte(sign)) {
			return true
		}
	}
	return false
}

// lifted names the fields that hold JSON in place, and those that hold the same as bytes.
func lifted(field string) (string, bool) {
	switch field {
	case "json":
		return "data", true
	case "metaJson", "meta_json":
		return "meta", true
	case "valueJson", "value_json":
		return "value", true
	}
	return "", false
}

// lift rewrites a JSON text: what stands in place goes, as it is, into the field for bytes. In the outermost object the
// same word asks for answers in JSON, and stays.
func lift(data []byte) ([]byte, error) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	var out bytes.Buffer
	var levels []level
	for {
		began := in.InputOffset()
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("the body is no JSON: %w", err)
		}
		if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
			levels = levels[:len(levels)-1]
			out.WriteRune(rune(d))
			continue
		}
		key := false
		if n := len(levels); n > 0 {
			key = levels[n-1].separate(&out)
		}
		name, _ := token.(string)
		if bytesField, ok := lifted(name); key && ok && len(levels) > 1 {
			if err := liftValue(in, &out, bytesField); err != nil {
				return nil, err
			}
			levels[len(levels)-1].n++
			continue
		}
		if d, ok := token.(json.Delim); ok {
			levels = append(levels, level{object: d == '{'})
			out.WriteRune(rune(d))
			continue
		}
		// As it was written: what the decoder mends in silence, such as half a surrogate pair, is refused later.
		out.Write(bytes.TrimLeft(data[began:in.InputOffset()], " \t\r\n,:"))
	}
}

// level is an object or an array that is open.
type level struct {
	object bool
	n      int // keys and values so far
}

// separate writes what stands before the next key or value, and reports whether that is a key.
func (l *level) separate(out *bytes.Buffer) (key bool) {
	key = l.object && l.n%2 == 0
	switch {
	case l.object && !key:
		out.WriteByte(':')
	case l.n > 0:
		out.WriteByte(',')
	}
	l.n++
	return key
}

// liftValue reads the value of a field and writes it as bytes under another name.
func liftValue(in *json.Decoder, out *bytes.Buffer, field string) error {
	var raw json.RawMessage
	if err := in.Decode(&raw); err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	fmt.Fprintf(out, `"%s":"%s"`, field, base64.StdEncoding.EncodeToString(text.Bytes()))
	return nil
}

// payload returns the bytes of a field that was given as bytes or as a value.
func payload(field string, data []byte, v *structpb.Value) ([]byte, error) {
	if v == nil {
		return data, nil
	}
	if len(data) > 0 {
		return nil, invalid(field, "was given together with bytes; give one of them")
	}
	loose, err := protojson.Marshal(v)
	if err != nil {
		return nil, invalid(field, "cannot be written as JSON: %v", err)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, loose); err != nil {
		return nil, invalid(field, "cannot be written as JSON: %v", err)
	}
	return text.Bytes(), nil
}

// Inline returns data as a value, or nil if it is no JSON or would lose something on the way: digits of a number, a
// key that stands twice, a broken character.
func Inline(data []byte) *structpb.Value {
	if len(data) == 0 || !utf8.Valid(data) {
		return nil
	}
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	v, ok := value(in, 0)
	if !ok {
		return nil
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil
	}
	return v
}

const depthMax = 100

func value(in *json.Decoder, depth int) (*structpb.Value, bool) {
	token, err := in.Token()
	if err != nil || depth > depthMax {
		return nil, false
	}
	switch t := token.(type) {
	case nil:
		return structpb.NewNullValue(), true
	case bool:
		return structpb.NewBoolValue(t), true
	case string:
		return structpb.NewStringValue(t), !strings.ContainsRune(t, utf8.RuneError)
	case json.Number:
		f, ok := exact(string(t))
		return structpb.NewNumberValue(f), ok
	case json.Delim:
		if t == '[' {
			return list(in, depth)
		}
		return object(in, depth)
	}
	return nil, false
}

func list(in *json.Decoder, depth int) (*structpb.Value, bool) {
	l := &structpb.ListValue{}
	for in.More() {
		v, ok := value(in, depth+1)
		if !ok {
			return nil, false
		}
		l.Values = append(l.Values, v)
	}
	_, err := in.Token()
	return structpb.NewListValue(l), err == nil
}

func object(in *json.Decoder, depth int) (*structpb.Value, bool) {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for in.More() {
		token, err := in.Token()
		key, isKey := token.(string)
		if err != nil || !isKey || strings.ContainsRune(key, utf8.RuneError) || s.Fields[key] != nil {
			return nil, false
		}
		v, ok := value(in, depth+1)
		if !ok {
			return nil, false
		}
		s.Fields[key] = v
	}
	_, err := in.Token()
	return structpb.NewStructValue(s), err == nil
}

// exact returns the float64 of a number and whether a reader of its shortest form reads the number again.
func exact(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, false
	}
	digits, power, ok := decimal(text)
	again, powerAgain, _ := decimal(strconv.FormatFloat(f, 'e', -1, 64))
	return f, ok && digits == again && power == powerAgain
}

// decimal returns a number's digits without zeros around them, with its sign, and the power of ten of the first one.
func decimal(text string) (digits string, power int, ok bool) {
	text, sign := strings.CutPrefix(text, "-")
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if exponent != "" {
		n, err := strconv.Atoi(exponent)
		if err != nil {
			return "", 0, false
		}
		power = n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	trimmed := strings.TrimLeft(all, "0")
	power += len(whole) - (len(all) - len(trimmed))
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		power = 0
	}
	if sign {
		trimmed = "-" + trimmed
	}
	return trimmed, power, true
}
