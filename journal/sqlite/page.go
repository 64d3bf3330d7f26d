// SPDX-License-Identifier: Apache-2.0

// Turning rows into events with few allocations.

package sqlite

import (
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/journal"
)

// eventColumns are what pageBuilder.add reads.
const eventColumns = "e.position, e.stream, e.version, e.id, e.type, e.schema, e.time, e.tags, e.meta, e.data"

// internedTypes bounds the names of types that a connection remembers.
const internedTypes = 4096

// pageBuilder collects the events of a page. Text and payload of all go into one piece of memory each, so a page
// costs a handful of allocations. A connection keeps one and uses it again.
type pageBuilder struct {
	events []journal.Event
	parts  []parts
	text   []byte
	data   []byte
	types  map[string]string
}

// parts says where an event's pieces end in text and data; each begins where the one before ended.
type parts struct{ stream, tags, meta, data int }

// keptBytes bounds the memory that a connection keeps for its next page.
const keptBytes = 1 << 20

func (b *pageBuilder) reset() {
	b.events, b.parts, b.text, b.data = b.events[:0], b.parts[:0], b.text[:0], b.data[:0]
	if cap(b.data) > keptBytes {
		b.data = nil
	}
	if b.types == nil || len(b.types) > internedTypes {
		b.types = map[string]string{}
	}
}

// add takes the current row of a statement that selects eventColumns first.
func (b *pageBuilder) add(st *sqlite3.Stmt) {
	var e journal.Event
	e.Position = journal.Position(st.ColumnInt64(0))
	b.text = append(b.text, st.ColumnRawText(1)...)
	p := parts{stream: len(b.text)}
	e.Version = journal.Version(st.ColumnInt64(2))
	copy(e.ID[:], st.ColumnRawBlob(3))
	e.Type = b.intern(st.ColumnRawText(4))
	e.Schema = st.ColumnInt(5)
	e.Time = time.UnixMicro(st.ColumnInt64(6)).UTC()
	b.text = append(b.text, st.ColumnRawText(7)...)
	p.tags = len(b.text)
	b.data = append(b.data, st.ColumnRawBlob(8)...)
	p.meta = len(b.data)
	b.data = append(b.data, st.ColumnRawBlob(9)...)
	p.data = len(b.data)
	b.events, b.parts = append(b.events, e), append(b.parts, p)
}

func (b *pageBuilder) intern(raw []byte) string {
	if name, ok := b.types[string(raw)]; ok {
		return name
	}
	name := string(raw)
	b.types[name] = name
	return name
}

// size is how much payload was added.
func (b *pageBuilder) size() int { return len(b.data) }

// last is the event added last; there must be one.
func (b *pageBuilder) last() *journal.Event { return &b.events[len(b.events)-1] }

// finish returns the events, in memory of their own.
func (b *pageBuilder) finish() []journal.Event {
	if len(b.events) == 0 {
		return nil
	}
	events := slices.Clone(b.events)
	text, data := string(b.text), slices.Clone(b.data)
	textAt, dataAt := 0, 0
	for i := range events {
		e, p := &events[i], &b.parts[i]
		e.Stream = journal.Stream(text[textAt:p.stream])
		if p.tags > p.stream {
			e.Tags = strings.Split(text[p.stream:p.tags], "\n")
		}
		if p.meta > dataAt {
			e.Meta = data[dataAt:p.meta:p.meta]
		}
		if p.data > p.meta {
			e.Data = data[p.meta:p.data:p.data]
		}
		textAt, dataAt = p.tags, p.data
	}
	return events
}
