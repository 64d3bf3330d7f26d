// SPDX-License-Identifier: Apache-2.0

// Settings in JSON, as people write them by hand: what nobody knows, or stands there twice, is refused with its place.

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// settingsMax is how large a file of settings may be.
const settingsMax = 64 << 10

// setting reads the value of a field. What it says of a value never quotes it: that might be a secret in the wrong
// place.
type setting func(at string, raw json.RawMessage) error

// settings are the fields that an object may have.
type settings map[string]setting

// readFile reads a file that holds one object.
func (s settings) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, settingsMax+1))
	switch {
	case err != nil:
		return err
	case len(text) > settingsMax:
		return fmt.Errorf("is longer than %d bytes", settingsMax)
	}
	return s.readText(text)
}

// readText reads what such a file holds.
func (s settings) readText(text []byte) error {
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("line %d is no JSON: %w", 1+bytes.Count(text[:min(int(bad.Offset), len(text))], []byte("\n")), err)
		}
		return err
	}
	return s.read("", raw)
}

// read is a [setting] for an object with these fields.
func (s settings) read(at string, raw json.RawMessage) error {
	return eachField(at, raw, func(at, name string, raw json.RawMessage) error {
		read := s[name]
		if read == nil {
			return fmt.Errorf("%s is no field; use %s", at, strings.Join(slices.Sorted(maps.Keys(s)), ", "))
		}
		return read(at, raw)
	})
}

// eachField reads an object. The place of its fields begins with its own, which is empty for the file.
func eachField(at string, raw json.RawMessage, read func(at, name string, raw json.RawMessage) error) error {
	in := json.NewDecoder(bytes.NewReader(raw))
	if open, err := in.Token(); err != nil || open != json.Delim('{') {
		return errors.New(strings.TrimPrefix(at+" is no object; write {...}", " "))
	}
	seen := map[string]bool{}
	for in.More() {
		token, err := in.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		field := strings.TrimPrefix(at+"."+name, ".")
		if seen[name] {
			return fmt.Errorf("%s is there twice; give it once", field)
		}
		seen[name] = true
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return err
		}
		if err := read(field, name, value); err != nil {
			return err
		}
	}
	return nil
}

// eachOf is a setting for a list.
func eachOf(read func(at string, i int, raw json.RawMessage) error) setting {
	return func(at string, raw json.RawMessage) error {
		var all []json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil || all == nil {
			return fmt.Errorf("%s is no list; write [...]", at)
		}
		for i, one := range all {
			if err := read(fmt.Sprintf("%s[%d]", at, i), i, one); err != nil {
				return err
			}
		}
		return nil
	}
}

// value is a setting for what encoding/json reads. The remedy completes the sentence "is no ...".
func value[T any](to *T, remedy string) setting {
	return func(at string, raw json.RawMessage) error {
		if string(raw) == "null" || json.Unmarshal(raw, to) != nil {
			return fmt.Errorf("%s is no %s", at, remedy)
		}
		return nil
	}
}

// text is a setting for a text that is not empty.
func text[T ~string](to *T, example string) setting {
	return func(at string, raw json.RawMessage) error {
		if err := value(to, fmt.Sprintf("text; write it as %q", example))(at, raw); err != nil || *to != "" {
			return err
		}
		return fmt.Errorf("%s is empty; leave it out, or write it as %q", at, example)
	}
}

// duration is a setting for a time span above 0.
func duration(to *time.Duration, example string) setting {
	return func(at string, raw json.RawMessage) error {
		var written string
		err := json.Unmarshal(raw, &written)
		if err == nil {
			*to, err = time.ParseDuration(written)
		}
		if err != nil || *to <= 0 {
			return fmt.Errorf("%s is no duration above 0; write it as %q", at, example)
		}
		return nil
	}
}

// texts is a setting for a list of texts that are not empty.
func texts(to *[]string, example string) setting {
	return func(at string, raw json.RawMessage) error {
		*to = nil
		err := eachOf(func(at string, _ int, raw json.RawMessage) error {
			var one string
			err := text(&one, example)(at, raw)
			*to = append(*to, one)
			return err
		})(at, raw)
		if err == nil && len(*to) == 0 {
			err = fmt.Errorf("%s is empty; leave it out, or write it as [%q]", at, example)
		}
		return err
	}
}

// oneOf is a setting for one of some words, which stand for values.
func oneOf[T any](to *T, words map[string]T) setting {
	return func(at string, raw json.RawMessage) error {
		var word string
		if json.Unmarshal(raw, &word) == nil {
			if value, ok := words[word]; ok {
				*to = value
				return nil
			}
		}
		return fmt.Errorf("%s is unknown; use one of %q", at, slices.Sorted(maps.Keys(words)))
	}
}
