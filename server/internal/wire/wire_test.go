// SPDX-License-Identifier: Apache-2.0

// What goes over the wire comes back, and what does not fit is refused.

package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/vidimus/journal"
	"example.com/vidimus/server/internal/wire"
	pb "example.com/vidimus/server/vidimusv1"
)

func whole() journal.Unit {
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	id := journal.ID{1, 2, 3}
	return journal.Unit{
		Fences: []journal.Fence{{Lease: "seat", Epoch: 7}},
		Appends: []journal.Append{
			{Stream: "order-1", Expect: journal.Exactly(4), Events: []journal.EventData{
				{ID: id, Type: "order.placed", Schema: 2, Time: at, Data: []byte("{}"), Meta: []byte("m"), Tags: []string{"a"}},
			}},
			{Stream: "order-2", Expect: journal.Exists},
			{Stream: "order-3", Expect: journal.Any},
			{Stream: "order-4"},
		},
		Conditions: []journal.Condition{{After: 9, Filter: journal.Filter{
			{Stream: "s", Category: "c", Types: []string{"t"}, Tags: []string{"g"}}, {},
		}}},
		Records: []journal.RecordWrite{
			{Kind: "k", Key: "a", Expect: journal.None, Due: at, Value: []byte("v")},
			{Op: journal.Delete, Kind: "k", Key: "b", Expect: journal.Exactly(3)},
			{Op: journal.Check, Kind: "k", Key: "c", Expect: journal.Any},
		},
	}
}

func TestUnitsComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	want := whole()
	data, err := proto.Marshal(wire.Unit("main", &want))
	if err != nil {
		t.Fatal(err)
	}
	var m pb.AppendRequest
	if err := proto.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	got, made, err := wire.ToUnit(&m)
	if err != nil || made != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, %v\nwant %+v", got, made, err, want)
	}
}

// The wire has a number for each operation on records; that they are the same is no chance.
func TestRecordOpsHaveTheSameNumbers(t *testing.T) {
	t.Parallel()
	for op, number := range map[journal.RecordOp]pb.RecordOp{
		journal.Put: pb.RecordOp_RECORD_OP_PUT, journal.Delete: pb.RecordOp_RECORD_OP_DELETE,
		journal.Check: pb.RecordOp_RECORD_OP_CHECK,
	} {
		if int(op) != int(number) {
			t.Errorf("operation %d is %d on the wire", op, number)
		}
	}
}

func TestInlineKeepsEverythingOrStaysAway(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]bool{
		`{"a":1}`: true, `[1,-2.5,1e3,0.1,1e-7,123456789012]`: true, `"text"`: true, `null`: true, `{}`: true, `true`: true,
		`1.50`: true, `-0`: true, `{"a":{"b":[{}]}}`: true, `"😀"`: true, `"\ud83d\ude00"`: true, `0`: true, `1e22`: true,
		`9007199254740993`: false, `0.1000000000000000055`: false, `1e400`: false, `{"a":1,"a":2}`: false, ``: false,
		`{`: false, `{} {}`: false, "\xff": false, `"\ud800"`: false, `nope`: false, `1e999999999999`: false,
	} {
		if got := wire.Inline([]byte(data)) != nil; got != want {
			t.Errorf("%s stands in place: %v, want %v", data, got, want)
		}
	}
}

func FuzzInline(f *testing.F) {
	for _, data := range []string{
		`{"a":[1,2.5,"x",null,true]}`, `9007199254740993`, `"\ud800"`, `{"a":1,"a":2}`, `1e-320`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := wire.Inline(data)
		if v == nil {
			return
		}
		text, err := protojson.Marshal(v)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", data, err)
		}
		if got, want := decoded(t, text), decoded(t, data); !reflect.DeepEqual(got, want) {
			t.Errorf("%q came back as %q", data, text)
		}
	})
}

func decoded(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%q is no JSON: %v", data, err)
	}
	return v
}

func FuzzUnitFromJSON(f *testing.F) {
	want := whole()
	data, err := wire.Codec{}.Marshal(wire.Unit("main", &want))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, text := range []string{
		`{"appends":[{"stream":"a-1","expect":"12","events":[{"type":"x","json":{"a":[1,{"json":2}]},"meta_json":7}]}]}`,
		`{"records":[{"kind":"k","key":"a","valueJson":null,"op":"RECORD_OP_DELETE"}]}`,
		`{"appends":[{"events":[{"json":1,"json":2}]}]}`, `{"json":{"json":{}}}`, `[]`, `{"conditions":[{"filter":[{}]}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m pb.AppendRequest
		if (wire.Codec{}).Unmarshal(data, &m) != nil {
			return
		}
		u, _, err := wire.ToUnit(&m)
		if err != nil {
			if !errors.Is(err, journal.ErrInvalid) {
				t.Errorf("%q: %v, want invalid", data, err)
			}
			return
		}
		if u.Validate() != nil {
			return
		}
		again, made, err := wire.ToUnit(wire.Unit("", &u))
		if err != nil || made != nil || !sameUnit(&again, &u) {
			t.Errorf("%q is %+v and comes back as %+v, %v", data, u, again, err)
		}
	})
}

// sameUnit compares what is stored: no list is like an empty one.
func sameUnit(a, b *journal.Unit) bool {
	return bytes.Equal(text(a), text(b))
}

func text(u *journal.Unit) []byte {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(wire.Unit("", u))
	if err != nil {
		return nil
	}
	return data
}

func TestEveryDetailComesBack(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&journal.InvalidError{Field: "f", Problem: "p"},
		&journal.ConflictError{Name: "n", Expect: journal.Exists, Actual: 4},
		&journal.FencedError{Lease: "l", Held: 2, Current: 3},
		&wire.PermissionError{Right: "read:order", Remedy: "r"},
	} {
		if got := wire.FromDetail(wire.Detail(err, nil)); !reflect.DeepEqual(got, err) {
			t.Errorf("%#v came back as %#v", err, got)
		}
	}
	if got := wire.FromDetail(&pb.ErrorDetail{Reason: "OF_THE_FUTURE", Message: "m"}); got == nil || got.Error() != "m" {
		t.Errorf("a reason of the future came back as %v", got)
	}
}

func TestARequestHasSoManyParts(t *testing.T) {
	t.Parallel()
	const most = 1 << 17
	deep := []byte{}
	for range 6000 { // a value in a list in a value ...
		deep = protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType),
			protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), deep))
	}
	for name, c := range map[string]struct {
		n, inner int
		refused  bool
	}{"as many as may be": {most, 0, false}, "one too many": {most + 1, 0, true}, "within": {most / 2, 2, true}} {
		part := append([]byte{0x1a, byte(2 * c.inner)}, bytes.Repeat([]byte{0x1a, 0}, c.inner)...) // appends, with events
		err := wire.Binary{}.Unmarshal(bytes.Repeat(part, c.n), new(pb.AppendRequest))
		if (err != nil) != c.refused {
			t.Errorf("binary, %s: %v, want refused %v", name, err, c.refused)
		}
		text := strings.Repeat(`{"events":[`+strings.TrimSuffix(strings.Repeat(`{},`, c.inner), ",")+`]},`, c.n-1)
		err = wire.Codec{}.Unmarshal([]byte(`{"appends":[`+strings.TrimSuffix(text, ",")+`]}`), new(pb.AppendRequest))
		if (err != nil) != c.refused {
			t.Errorf("JSON, %s: %v, want refused %v", name, err, c.refused)
		}
	}
	if err := (wire.Binary{}).Unmarshal(bytes.Repeat(deep, 40), new(structpb.Value)); err == nil {
		t.Error("many deep values were not refused")
	}
}

func TestJSONInPlaceMendsNothingInSilence(t *testing.T) {
	t.Parallel()
	for text, refused := range map[string]bool{
		`{"appends":[{"stream":"a-\u00e9\ud83d\ude00","events":[{"json":1}]}]}`: false,
		"{\"appends\":[{\"stream\":\"a-\xff\",\"events\":[{\"json\":1}]}]}":     true,
		`{"appends":[{"stream":"a-\ud800","events":[{"json":1}]}]}`:             true,
		"{\"appends\":[{\"stream\":\"a\",\"events\":[{\"json\":\"\xff\"}]}]}":   true,
	} {
		if err := (wire.Codec{}).Unmarshal([]byte(text), new(pb.AppendRequest)); (err != nil) != refused {
			t.Errorf("%s: %v, want refused %v", text, err, refused)
		}
	}
	var m pb.AppendRequest
	text := `{"appends":[{"events":[{"\u006ason" : 12345678901234567890 , "type":"x"}]}], "cell" : "c"}`
	if err := (wire.Codec{}).Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if e := m.GetAppends()[0].GetEvents()[0]; string(e.GetData()) != "12345678901234567890" || e.GetType() != "x" {
		t.Errorf("read %v, want all digits", e)
	}
}
