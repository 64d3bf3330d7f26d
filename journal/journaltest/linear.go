// SPDX-License-Identifier: Apache-2.0

// Cases that check histories of concurrent clients for linearizability.

package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

func linearCases() []testCase {
	return []testCase{
		{name: "appends, retries and reads of streams happen at one moment each", run: linearStreams},
		{name: "puts, deletions and reads of records happen at one moment each", run: linearRecords},
	}
}

const (
	clients       = 6
	opsPerClient  = 30
	checkPatience = 20 * time.Second
)

// history collects what clients asked and were answered.
type history struct {
	start time.Time
	mu    struct {
		sync.Mutex
		ops []porcupine.Operation
	}
}

// run has one client do one thing. An answer that is unknown may take effect at any time later.
func (h *history) run(client int, in, unknown any, do func() any) {
	call := clock.Since(h.start)
	out := do()
	back := clock.Since(h.start)
	if out == unknown {
		back = time.Duration(1<<63 - 1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.ops = append(h.mu.ops, porcupine.Operation{
		ClientId: client, Input: in, Output: out, Call: int64(call), Return: int64(back),
	})
}

// check fails the case unless the history is that of a journal.
func (k *kit) check(seed uint64, model *porcupine.Model, h *history) {
	k.Helper()
	switch result := porcupine.CheckOperationsTimeout(*model, h.mu.ops, checkPatience); result {
	case porcupine.Ok:
	case porcupine.Unknown:
		k.Fatalf("seed %d: a history of %d operations takes too long to check", seed, len(h.mu.ops))
	default:
		slices.SortFunc(h.mu.ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, op := range h.mu.ops {
			k.Logf("%8d..%8d client %d: %s", op.Call/1000, op.Return/1000, op.ClientId,
				model.DescribeOperation(op.Input, op.Output))
		}
		k.Fatalf("seed %d: the history is not linearizable", seed)
	}
}

// streamIn asks for an append, or for a read where token is 0.
type streamIn struct {
	stream journal.Stream
	expect journal.Expect
	token  byte
}

// streamOut is the answer: a version, or the tokens read.
type streamOut struct {
	kind    string // read, added, duplicate, conflict, unknown, nothing
	version journal.Version
	tokens  string
}

// streamModel keeps the tokens appended to one stream.
func streamModel() *porcupine.Model {
	return &porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			return partition(ops, func(in any) string { return string(in.(streamIn).stream) })
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			return stepStream(state.(string), input.(streamIn), output.(streamOut))
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
}

func stepStream(s string, in streamIn, out streamOut) (bool, any) {
	if out.kind == "nothing" {
		return true, s
	}
	if in.token == 0 {
		return out.tokens == s, s
	}
	at := slices.Index([]byte(s), in.token)
	switch {
	case at >= 0:
		return out.kind == "unknown" || out.kind == "duplicate" && out.version == journal.Version(at+1), s
	case !in.expect.Holds(journal.Version(len(s))):
		return out.kind == "unknown" || out.kind == "conflict" && out.version == journal.Version(len(s)), s
	default:
		ok := out.kind == "unknown" || out.kind == "added" && out.version == journal.Version(len(s)+1)
		return ok, s + string([]byte{in.token})
	}
}

func partition(ops []porcupine.Operation, by func(in any) string) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, op := range ops {
		parts[by(op.Input)] = append(parts[by(op.Input)], op)
	}
	out := make([][]porcupine.Operation, 0, len(parts))
	for _, part := range parts {
		out = append(out, part)
	}
	return out
}

func linearStreams(k *kit) {
	k.eachSeed(func(k *kit, seed uint64) {
		h := &history{start: clock.Now()}
		k.crowd(clients, func(client int, log *journal.Log) {
			c := &chance{state: seed<<8 + uint64(client)}
			for n := range opsPerClient {
				in := streamIn{
					stream: journal.Stream(fmt.Sprintf("s-%d", c.below(3))),
					expect: pick(c, journal.Any, journal.None, journal.Exists, journal.Exactly(journal.Version(c.below(12)))),
				}
				if !c.one(3) {
					in.token = byte(client*opsPerClient + n + 1)
					if n > 0 && c.one(4) { // a retry, or an id reused with another stream
						in.token -= byte(c.below(n + 1))
					}
				}
				giveUp := c.one(6)
				h.run(client, in, streamOut{kind: "unknown"}, func() any { return k.askStream(log, in, giveUp) })
			}
		})
		k.check(seed, streamModel(), h)
	})
}

// askStream does what in says; when it gives up, the context ends while the commit is under way.
func (k *kit) askStream(log *journal.Log, in streamIn, giveUp bool) streamOut {
	if in.token == 0 {
		var tokens []byte
		for e, err := range log.ReadStream(k.ctx, in.stream, nil) {
			if err != nil {
				k.Errorf("read: %v", err)
			}
			tokens = append(tokens, e.ID[15])
		}
		return streamOut{kind: "read", tokens: string(tokens)}
	}
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	if giveUp {
		go cancel()
	}
	e := journal.EventData{ID: journal.ID{1, 15: in.token}, Type: "test.token"}
	res, err := log.Append(ctx, in.stream, in.expect, e)
	var conflict *journal.ConflictError
	switch {
	case err == nil && res.Duplicate:
		return streamOut{kind: "duplicate", version: res.Versions[0]}
	case err == nil:
		return streamOut{kind: "added", version: res.Versions[0]}
	case errors.As(err, &conflict):
		return streamOut{kind: "conflict", version: conflict.Actual}
	case errors.Is(err, journal.ErrUncertain):
		return streamOut{kind: "unknown"}
	case errors.Is(err, context.Canceled):
		return streamOut{kind: "nothing"}
	}
	k.Errorf("append: %v", err)
	return streamOut{kind: "unknown"}
}

// recordIn asks for a write of a record, or for a read where op is -1.
type recordIn struct {
	key    string
	op     journal.RecordOp
	expect journal.Expect
	value  int
}

type recordOut struct {
	kind    string // read, done, conflict
	version journal.Version
	value   int
}

type recordState struct {
	version journal.Version
	value   int
}

func recordModel() *porcupine.Model {
	return &porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			return partition(ops, func(in any) string { return in.(recordIn).key })
		},
		Init: func() any { return recordState{} },
		Step: func(state, input, output any) (bool, any) {
			return stepRecord(state.(recordState), input.(recordIn), output.(recordOut))
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
}

func stepRecord(s recordState, in recordIn, out recordOut) (bool, any) {
	if in.op < 0 {
		return out == recordOut{kind: "read", version: s.version, value: s.value}, s
	}
	if !in.expect.Holds(s.version) {
		return out == recordOut{kind: "conflict", version: s.version}, s
	}
	switch in.op {
	case journal.Put:
		s = recordState{version: s.version + 1, value: in.value}
	case journal.Delete:
		s = recordState{}
	}
	return out == recordOut{kind: "done", version: s.version}, s
}

func linearRecords(k *kit) {
	k.eachSeed(func(k *kit, seed uint64) {
		h := &history{start: clock.Now()}
		k.crowd(clients, func(client int, log *journal.Log) {
			c := &chance{state: seed<<8 + uint64(client)}
			for n := range opsPerClient {
				in := recordIn{
					key:    fmt.Sprintf("r%d", c.below(3)),
					op:     pick(c, -1, journal.Put, journal.Put, journal.Put, journal.Delete, journal.Check),
					expect: pick(c, journal.Any, journal.None, journal.Exists, journal.Exactly(journal.Version(c.below(5)))),
					value:  client*1000 + n + 1,
				}
				h.run(client, in, nil, func() any { return k.askRecord(log, in) })
			}
		})
		k.check(seed, recordModel(), h)
	})
}

func (k *kit) askRecord(log *journal.Log, in recordIn) recordOut {
	if in.op < 0 {
		r, err := log.Record(k.ctx, "note", in.key)
		if err != nil && !errors.Is(err, journal.ErrNotFound) {
			k.Errorf("record: %v", err)
		}
		out := recordOut{kind: "read", version: r.Version}
		_, _ = fmt.Sscan(string(r.Value), &out.value)
		return out
	}
	res, err := log.Commit(k.ctx, journal.Unit{Records: []journal.RecordWrite{{
		Op: in.op, Kind: "note", Key: in.key, Expect: in.expect, Value: fmt.Append(nil, in.value),
	}}})
	var conflict *journal.ConflictError
	switch {
	case errors.As(err, &conflict):
		return recordOut{kind: "conflict", version: conflict.Actual}
	case err != nil:
		k.Errorf("commit: %v", err)
		return recordOut{}
	}
	return recordOut{kind: "done", version: res.Records[0]}
}
