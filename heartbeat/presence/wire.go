// SPDX-License-Identifier: Apache-2.0

// Batches of beats on the wire, and what an owner keeps over a restart.

package presence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// The wire form of a batch: a byte for the version, the number of beats, and for each beat its id and its age in
// tenths of a second, rounded down. Numbers are varints of encoding/binary in their shortest form. A beat that just
// happened takes 17 bytes.
const (
	// ContentType is the media type of a batch.
	ContentType = "application/vnd.vidimus.beats"
	// MaxBatchBytes is the size of the largest batch.
	MaxBatchBytes = 1 + 3 + MaxBatch*(16+5)

	batchVersion = 1
	ageUnit      = 100 * time.Millisecond
)

// AppendBatch appends the wire form of a batch to dst. Ages below 0 are written as 0, those above [MaxIdle] as
// MaxIdle. It returns an [*InvalidError] for more than [MaxBatch] beats.
func AppendBatch(dst []byte, beats []Beat) ([]byte, error) {
	if len(beats) > MaxBatch {
		return dst, invalid("batch", "has %d beats; send at most %d at once", len(beats), MaxBatch)
	}
	dst = append(dst, batchVersion)
	dst = binary.AppendUvarint(dst, uint64(len(beats)))
	for i := range beats {
		dst = append(dst, beats[i].ID[:]...)
		dst = binary.AppendUvarint(dst, uint64(min(max(beats[i].Age, 0), MaxIdle)/ageUnit))
	}
	return dst, nil
}

// ParseBatch appends the beats of a batch to dst, which may be nil. Bytes that AppendBatch would not have written are
// refused with an [*InvalidError].
func ParseBatch(dst []Beat, data []byte) ([]Beat, error) {
	bad := func(problem string) ([]Beat, error) { return dst, invalid("batch", "%s", problem) }
	if len(data) == 0 {
		return bad("is empty; send at least its version and the number of beats")
	}
	if data[0] != batchVersion {
		return bad(fmt.Sprintf("is of version %d; this owner reads version %d", data[0], batchVersion))
	}
	count, rest, ok := uvarint(data[1:])
	if !ok {
		return bad("does not say how many beats it has")
	}
	if count > MaxBatch {
		return bad(fmt.Sprintf("has %d beats; send at most %d at once", count, MaxBatch))
	}
	if uint64(len(rest)) < 17*count {
		return bad(fmt.Sprintf("is too short for %d beats", count))
	}
	out := dst
	for i := range count {
		if len(rest) < 17 {
			return bad(fmt.Sprintf("ends within beat %d of %d", i+1, count))
		}
		age, after, ok := uvarint(rest[16:])
		if !ok || age > uint64(MaxIdle/ageUnit) {
			return bad(fmt.Sprintf("has no age below %v at beat %d", MaxIdle, i+1))
		}
		out = append(out, Beat{ID: ID(rest[:16]), Age: time.Duration(age) * ageUnit})
		rest = after
	}
	if len(rest) > 0 {
		return bad(fmt.Sprintf("goes on for %d bytes after its last beat", len(rest)))
	}
	return out, nil
}

// uvarint reads a number in its shortest form.
func uvarint(data []byte) (value uint64, rest []byte, ok bool) {
	value, n := binary.Uvarint(data)
	if n <= 0 || n > 1 && data[n-1] == 0 {
		return 0, nil, false
	}
	return value, data[n:], true
}

// WriteTo writes how long sessions have been silent, those excepted which were heard within the last Interval: batches,
// each behind its length in four bytes, the last of length 0. It may run beside everything else and does not stop the
// owner for longer than a shard takes. The errors are those of w.
func (o *Owner) WriteTo(w io.Writer) (int64, error) {
	var written int64
	var beats []Beat
	buf := make([]byte, 0, 4096)
	put := func(beats []Beat) error {
		buf = append(buf[:0], 0, 0, 0, 0)
		if len(beats) > 0 {
			var err error
			if buf, err = AppendBatch(buf, beats); err != nil {
				return err
			}
		}
		binary.BigEndian.PutUint32(buf, uint32(len(buf)-4))
		n, err := w.Write(buf)
		written += int64(n)
		return err
	}
	for _, s := range o.shards {
		beats = o.quiet(s, beats[:0])
		for i := 0; i < len(beats); i += MaxBatch {
			if err := put(beats[i:min(i+MaxBatch, len(beats))]); err != nil {
				return written, err
			}
		}
	}
	return written, put(nil)
}

// quiet lists the sessions of a shard that were not heard within the last Interval.
func (o *Owner) quiet(s *shard, into []Beat) []Beat {
	s.Lock()
	defer s.Unlock()
	now, interval := o.now(), o.ticks(o.cfg.Interval)
	for _, e := range s.index.table {
		if e == 0 {
			continue
		}
		if sl := s.at(uint32(e) - 1); sl.last+interval < now {
			into = append(into, Beat{ID: sl.id, Age: time.Duration(now-sl.last-1) * o.cfg.Tick})
		}
	}
	return into
}

// ReadFrom reads what WriteTo wrote, in an earlier owner: the sessions it names, if they are tracked, go on being
// silent for as long as they had been then, and the time between counts for nobody. Call it after Track and before
// Run. It returns the number of bytes read, and an error for input that is damaged or incomplete; what came before the
// damage holds.
func (o *Owner) ReadFrom(r io.Reader) (int64, error) {
	if o.state.Load() != notRun {
		return 0, errors.New("presence: ReadFrom comes before Run")
	}
	var read int64
	var beats []Beat
	frame := make([]byte, MaxBatchBytes)
	for {
		n, err := io.ReadFull(r, frame[:4])
		read += int64(n)
		if err != nil {
			return read, fmt.Errorf("presence: read saved silence: %w", noEOF(err))
		}
		size := binary.BigEndian.Uint32(frame)
		if size == 0 {
			return read, nil
		}
		if size > MaxBatchBytes {
			return read, invalid("saved silence", "has a batch of %d bytes; it is damaged", size)
		}
		n, err = io.ReadFull(r, frame[:size])
		read += int64(n)
		if err != nil {
			return read, fmt.Errorf("presence: read saved silence: %w", noEOF(err))
		}
		if beats, err = ParseBatch(beats[:0], frame[:size]); err != nil {
			return read, fmt.Errorf("presence: read saved silence: %w", err)
		}
		o.resume(beats)
	}
}

// resume lets sessions go on being silent.
func (o *Owner) resume(beats []Beat) {
	now := o.now()
	for i := range beats {
		s, h := o.shard(&beats[i].ID)
		s.Lock()
		if j, ok := s.find(&beats[i].ID, h); ok {
			s.unlink(j)
			s.at(j).last = now - min(tick(beats[i].Age/o.cfg.Tick), farPast)
			s.arm(j)
		}
		s.Unlock()
	}
}

// noEOF makes an end that comes too early an error of its own.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
