// SPDX-License-Identifier: Apache-2.0

// XES, the IEEE 1849 format of process mining: a log of traces of events, all made of typed attributes.

package eventlog

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Names of the standard extensions of XES.
const (
	xesName = "concept:name"
	xesID   = "identity:id"
	xesTime = "time:timestamp"
)

// xesSource reads trace after trace, one event at a time.
type xesSource struct {
	xml         *xmlReader
	space       string // the namespace of <log>
	category    string
	options     Options
	times       times
	classifiers []classifier
	wanted      []string // keys of event attributes whose text is needed
	found       []string // their text in the current event; hasFound says whether it is there
	hasFound    []bool
	trace       int // counted from 1
	event       int // within the trace, from 1
	inTrace     bool
	stream      string
	attrs       xesAttributes
	caseAttrs   []byte // of the trace, until its first event took them
}

// classifier is a rule of the log by which events are of one type: the values of some attributes.
type classifier struct {
	name string
	keys []string
}

func newXES(text *bufio.Reader, category string, o Options) (*xesSource, error) {
	s := &xesSource{xml: newXMLReader(text), category: category, options: o, times: newTimes("")}
	s.attrs.xes = s
	s.want(cmp.Or(o.TypeColumn, xesName))
	s.want(cmp.Or(o.TimeColumn, xesTime))
	if o.CaseColumn != "" {
		s.want(o.CaseColumn)
	}
	for _, key := range o.TagColumns {
		s.want(key)
	}
	root, err := s.xml.next()
	if err != nil {
		return nil, err
	}
	if string(root.local) != "log" {
		return nil, s.fail("", fmt.Sprintf("the root element is <%.40s>, not <log>", root.local), "name an XES file")
	}
	s.space = root.space
	return s, nil
}

// want asks for the text of an event attribute.
func (s *xesSource) want(key string) {
	if !slices.Contains(s.wanted, key) {
		s.wanted = append(s.wanted, key)
		s.found = append(s.found, "")
		s.hasFound = append(s.hasFound, false)
	}
}

// text returns the text of a wanted attribute of the current event.
func (s *xesSource) text(key string) (string, bool) {
	i := slices.Index(s.wanted, key)
	return s.found[i], s.hasFound[i]
}

func (s *xesSource) fail(field, problem, remedy string) error {
	place := fmt.Sprintf("line %d", s.xml.line)
	if s.trace > 0 {
		place += fmt.Sprintf(", trace %d", s.trace)
	}
	if s.event > 0 {
		place += fmt.Sprintf(", event %d", s.event)
	}
	return &Error{Place: place, Field: field, Problem: problem, Remedy: remedy}
}

// next passes over what is not an event.
func (s *xesSource) next(r *Record) error {
	for {
		tag, err := s.xml.next()
		if err != nil {
			return err
		}
		if tag.end {
			s.inTrace, s.event, s.caseAttrs = false, 0, nil
			continue
		}
		local := string(tag.local)
		switch {
		case tag.space != s.space:
			err = s.skip()
		case local == "event":
			return s.readEvent(r)
		case s.inTrace:
			return s.fail("", fmt.Sprintf("<%.40s> after an event", local), "XES puts the attributes of a trace first")
		case local == "trace":
			s.trace++
			if done, err := s.readTrace(r); done || err != nil {
				return err
			}
		case local == "classifier":
			s.addClassifier(tag)
			err = s.skip()
		default:
			err = s.skip()
		}
		if err != nil {
			return err
		}
	}
}

// skip passes over the rest of an element.
func (s *xesSource) skip() error {
	for depth := s.xml.depth(); s.xml.depth() >= depth; {
		if _, err := s.xml.next(); err != nil {
			return err
		}
	}
	return nil
}

// addClassifier keeps a classifier if it may be needed to name types.
func (s *xesSource) addClassifier(tag *xmlTag) {
	c := classifier{name: string(tag.attr("name")), keys: classifierKeys(string(tag.attr("keys")))}
	if scope := tag.attr("scope"); string(scope) == "trace" || len(c.keys) == 0 || len(s.classifiers) == 100 {
		return
	}
	for _, key := range c.keys {
		s.want(key)
	}
	s.classifiers = append(s.classifiers, c)
}

// classifierKeys splits a list at spaces; keys that contain some are in single quotes.
func classifierKeys(list string) (keys []string) {
	for len(keys) < 100 {
		list = strings.TrimLeft(list, " ")
		if list == "" {
			break
		}
		end := " "
		if list[0] == '\'' {
			end, list = "'", list[1:]
		}
		var key string
		key, list, _ = strings.Cut(list, end)
		keys = append(keys, key)
	}
	return keys
}

// readTrace reads the attributes of a trace and its first event. It reports false for a trace without events.
func (s *xesSource) readTrace(r *Record) (bool, error) {
	var name string
	names := []string{cmp.Or(s.options.CaseColumn, xesName)}
	if s.options.CaseColumn == "" {
		names = append(names, xesID)
	}
	ranks := len(names)
	s.attrs.reset(func(key, text []byte) {
		if i := slices.Index(names, string(key)); i >= 0 && i < ranks {
			name, ranks = string(text), i
		}
	})
	hasEvent, err := s.attrs.object("event")
	if err != nil || !hasEvent {
		return false, err
	}
	s.inTrace, s.stream = true, ""
	s.caseAttrs = bytes.Clone(s.attrs.out)
	if name != "" {
		if s.stream, err = streamName(s.category, name); err != nil {
			return false, s.fail(names[ranks], err.Error(), "name another attribute as CaseColumn")
		}
	}
	return true, s.readEvent(r)
}

// readEvent reads an event whose start was read.
func (s *xesSource) readEvent(r *Record) error {
	s.event++
	clear(s.found)
	clear(s.hasFound)
	s.attrs.reset(func(key, text []byte) {
		for i, want := range s.wanted {
			if want == string(key) {
				s.found[i], s.hasFound[i] = string(text), true
			}
		}
	})
	if _, err := s.attrs.object(""); err != nil {
		return err
	}
	r.Schema, r.Data = 1, bytes.Clone(s.attrs.out)
	if err := s.setStream(r); err != nil {
		return err
	}
	if err := s.setType(r); err != nil {
		return err
	}
	if err := s.setTime(r); err != nil {
		return err
	}
	for _, key := range s.options.TagColumns {
		if text, ok := s.text(key); ok && text != "" {
			if err := addTag(r, key, text); err != nil {
				return s.fail(key, err.Error(), "leave it out of TagColumns")
			}
		}
	}
	if s.caseAttrs != nil && len(s.caseAttrs) > len("{}") {
		r.Meta = slices.Concat([]byte(`{"case":`), s.caseAttrs, []byte{'}'})
	}
	s.caseAttrs = nil
	return nil
}

// setStream takes the case from the trace, or from the event if the trace does not name it.
func (s *xesSource) setStream(r *Record) (err error) {
	if s.inTrace && s.stream != "" {
		r.Stream = s.stream
		return nil
	}
	const remedy = "name the attribute of the trace, or of its events, that tells cases apart as CaseColumn"
	if s.options.CaseColumn == "" {
		return s.fail(xesName, "the case has no name", remedy)
	}
	text, _ := s.text(s.options.CaseColumn)
	if r.Stream, err = streamName(s.category, text); err != nil {
		return s.fail(s.options.CaseColumn, err.Error(), remedy)
	}
	return nil
}

// setType takes the attribute or classifier asked for, else concept:name, else the first classifier that fits.
func (s *xesSource) setType(r *Record) error {
	asked := cmp.Or(s.options.TypeColumn, xesName)
	text, ok := s.text(asked)
	for _, c := range s.classifiers {
		if !ok && (s.options.TypeColumn == "" || s.options.TypeColumn == c.name) {
			text, ok = s.classify(c)
		}
	}
	if err := checkType(text); err != nil {
		return s.fail(asked, err.Error(), "name an attribute or classifier that each event has as TypeColumn")
	}
	r.Type = text
	return nil
}

// classify joins the values of a classifier's keys by '+', as process mining tools do.
func (s *xesSource) classify(c classifier) (string, bool) {
	var values []string
	for _, key := range c.keys {
		text, ok := s.text(key)
		if !ok {
			return "", false
		}
		values = append(values, text)
	}
	return strings.Join(values, "+"), true
}

// setTime leaves the time zero when the event has none, unless an attribute was asked for.
func (s *xesSource) setTime(r *Record) (err error) {
	key := cmp.Or(s.options.TimeColumn, xesTime)
	text, ok := s.text(key)
	if !ok && s.options.TimeColumn == "" {
		return nil
	}
	if r.Time, err = s.times.parse(text); err != nil {
		return s.fail(key, err.Error(), "write it as 2025-01-31T12:00:00+01:00, or name another as TimeColumn")
	}
	return nil
}
