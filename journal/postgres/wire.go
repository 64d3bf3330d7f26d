// SPDX-License-Identifier: Apache-2.0

// PostgreSQL's binary format, for the few types the journal is made of.

package postgres

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"example.com/vidimus/journal"
)

// binaryFormat is the format code for all parameters and results.
var binaryFormat = []int16{1} //nolint:gochecknoglobals // a constant that Go cannot spell

// epochMicro is the beginning of PostgreSQL's time, 2000-01-01, in Unix microseconds.
const epochMicro = 946_684_800_000_000

// params collects the parameters of one statement. Its buffer is used again for the next one.
type params struct {
	buf    []byte
	ends   []int // where each parameter ends in buf
	null   bool  // the parameter at hand
	nulls  []bool
	oids   []uint32
	values [][]byte
}

func (p *params) reset() {
	p.buf, p.ends, p.nulls, p.oids = p.buf[:0], p.ends[:0], p.nulls[:0], p.oids[:0]
}

func (p *params) end(oid uint32) {
	p.ends = append(p.ends, len(p.buf))
	p.nulls = append(p.nulls, p.null)
	p.null = false
	p.oids = append(p.oids, oid)
}

// list returns the parameters, valid until reset.
func (p *params) list() [][]byte {
	p.values = p.values[:0]
	at := 0
	for i, end := range p.ends {
		value := p.buf[at:end:end]
		if p.nulls[i] {
			value = nil
		}
		p.values, at = append(p.values, value), end
	}
	return p.values
}

func (p *params) int8(v int64) {
	p.buf = binary.BigEndian.AppendUint64(p.buf, uint64(v))
	p.end(pgtype.Int8OID)
}

func (p *params) int4(v int) {
	p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(v))
	p.end(pgtype.Int4OID)
}

func (p *params) text(s string) {
	p.buf = append(p.buf, s...)
	p.end(pgtype.TextOID)
}

func (p *params) time(t time.Time) {
	p.buf = binary.BigEndian.AppendUint64(p.buf, uint64(t.UnixMicro()-epochMicro))
	p.end(pgtype.TimestamptzOID)
}

// array begins an array of n elements; as many elements must follow, then end. An empty one becomes null, which costs
// the server less to read.
func (p *params) array(element uint32, n int) {
	if n == 0 {
		p.null = true
		return
	}
	p.buf = binary.BigEndian.AppendUint32(p.buf, 1) // dimensions
	p.buf = binary.BigEndian.AppendUint32(p.buf, 1) // there may be nulls
	p.buf = binary.BigEndian.AppendUint32(p.buf, element)
	p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(n))
	p.buf = binary.BigEndian.AppendUint32(p.buf, 1) // the lower bound
}

// none is a null.
func (p *params) none(oid uint32) {
	p.null = true
	p.end(oid)
}

func (p *params) elementInt8(v int64) {
	p.buf = binary.BigEndian.AppendUint32(p.buf, 8)
	p.buf = binary.BigEndian.AppendUint64(p.buf, uint64(v))
}

func (p *params) elementInt4(v int) {
	p.buf = binary.BigEndian.AppendUint32(p.buf, 4)
	p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(v))
}

func (p *params) elementTime(t time.Time) { p.elementInt8(t.UnixMicro() - epochMicro) }

// elementDue writes a time, null for the zero time.
func (p *params) elementDue(t time.Time) {
	if t.IsZero() {
		p.elementNull()
		return
	}
	p.elementTime(t)
}

func (p *params) elementID(id journal.ID) {
	p.buf = binary.BigEndian.AppendUint32(p.buf, 16)
	p.buf = append(p.buf, id[:]...)
}

func (p *params) elementIDOrNull(id journal.ID) {
	if id == (journal.ID{}) {
		p.elementNull()
		return
	}
	p.elementID(id)
}

func (p *params) elementText(s string) {
	p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(len(s)))
	p.buf = append(p.buf, s...)
}

func (p *params) elementBytes(b []byte) {
	if len(b) == 0 {
		p.elementNull()
		return
	}
	p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(len(b)))
	p.buf = append(p.buf, b...)
}

func (p *params) elementNull() { p.buf = append(p.buf, 0xff, 0xff, 0xff, 0xff) }

// elementTags writes tags as the text of an array, because arrays of PostgreSQL cannot hold arrays of different
// lengths.
func (p *params) elementTags(tags []string) {
	if len(tags) == 0 {
		p.elementNull()
		return
	}
	at := len(p.buf)
	p.buf = append(p.buf, 0, 0, 0, 0)
	p.buf = appendArrayText(p.buf, tags)
	binary.BigEndian.PutUint32(p.buf[at:], uint32(len(p.buf)-at-4))
}

func appendArrayText(buf []byte, items []string) []byte {
	buf = append(buf, '{')
	for i, item := range items {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, '"')
		for k := range len(item) {
			if item[k] == '"' || item[k] == '\\' {
				buf = append(buf, '\\')
			}
			buf = append(buf, item[k])
		}
		buf = append(buf, '"')
	}
	return append(buf, '}')
}

func (p *params) texts(items []string) {
	p.array(pgtype.TextOID, len(items))
	for _, s := range items {
		p.elementText(s)
	}
	p.end(pgtype.TextArrayOID)
}

func (p *params) int8s(items []int64) {
	p.array(pgtype.Int8OID, len(items))
	for _, v := range items {
		p.elementInt8(v)
	}
	p.end(pgtype.Int8ArrayOID)
}

// row reads one row of a result, column by column. The first mistake sticks.
type row struct {
	columns [][]byte
	err     error
}

// next returns the next column, nil for null.
func (r *row) next() []byte {
	if len(r.columns) == 0 {
		r.fail("a column too few")
		return nil
	}
	c := r.columns[0]
	r.columns = r.columns[1:]
	return c
}

func (r *row) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("unexpected answer of the database: %s", what)
	}
}

func (r *row) fixed(size int) []byte {
	c := r.next()
	if c != nil && len(c) != size {
		r.fail(fmt.Sprintf("%d bytes instead of %d", len(c), size))
		return nil
	}
	return c
}

// int8 returns the next column, 0 for null.
func (r *row) int8() int64 {
	if c := r.fixed(8); c != nil {
		return int64(binary.BigEndian.Uint64(c))
	}
	return 0
}

func (r *row) int4() int {
	if c := r.fixed(4); c != nil {
		return int(int32(binary.BigEndian.Uint32(c)))
	}
	return 0
}

func (r *row) bool() bool {
	c := r.fixed(1)
	return c != nil && c[0] != 0
}

func (r *row) text() string { return string(r.next()) }

func (r *row) id() (id journal.ID) {
	copy(id[:], r.fixed(16))
	return id
}

// time returns the next column, the zero time for null.
func (r *row) time() time.Time {
	c := r.fixed(8)
	if c == nil {
		return time.Time{}
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(c)) + epochMicro).UTC()
}

// array returns the elements of the next column, an array without nulls; none for null.
func (r *row) array() [][]byte {
	c := r.next()
	if len(c) == 0 {
		return nil
	}
	if len(c) < 12 {
		r.fail("a short array")
		return nil
	}
	if binary.BigEndian.Uint32(c) == 0 {
		return nil
	}
	if len(c) < 20 {
		r.fail("a short array")
		return nil
	}
	n := int(binary.BigEndian.Uint32(c[12:]))
	if c = c[20:]; n < 0 || n > len(c)/4 {
		r.fail("a short array")
		return nil
	}
	items := make([][]byte, 0, n)
	for range n {
		if len(c) < 4 {
			r.fail("a short array")
			return nil
		}
		size := int(int32(binary.BigEndian.Uint32(c)))
		if c = c[4:]; size < 0 || size > len(c) {
			r.fail("a short array")
			return nil
		}
		items, c = append(items, c[:size]), c[size:]
	}
	return items
}

func (r *row) int8s() []int64 {
	items := r.array()
	out := make([]int64, 0, len(items))
	for _, item := range items {
		if len(item) != 8 {
			r.fail("an array of other numbers")
			return nil
		}
		out = append(out, int64(binary.BigEndian.Uint64(item)))
	}
	return out
}

func (r *row) ids() []journal.ID {
	items := r.array()
	out := make([]journal.ID, len(items))
	for i, item := range items {
		copy(out[i][:], item)
	}
	return out
}

func (r *row) texts() []string {
	items := r.array()
	out := make([]string, 0, len(items))
	for _, item := range items {
		out = append(out, string(item))
	}
	return out
}
