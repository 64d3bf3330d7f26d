// SPDX-License-Identifier: Apache-2.0

// Every protocol says the same, and JSON loses nothing.

package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/vidimus/journal"
	"example.com/vidimus/server"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

func itoa(i int) string { return strconv.Itoa(i) }

const (
	appendPath = vidimusv1connect.JournalServiceAppendProcedure
	pagePath   = vidimusv1connect.JournalServicePageProcedure
	pollPath   = vidimusv1connect.JournalServicePollProcedure
	headPath   = vidimusv1connect.JournalServiceHeadProcedure
)

func TestEveryProtocolAppendsReadsAndFollows(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	token := n.token(t, "read:*", "append:*")
	for name, options := range map[string][]connect.ClientOption{
		"connect":      nil,
		"connect json": {connect.WithProtoJSON()},
		"connect gzip": {connect.WithSendGzip()},
		"grpc":         {connect.WithGRPC()},
		"grpc json":    {connect.WithGRPC(), connect.WithProtoJSON()},
		"grpc-web":     {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := n.client(t, token, options...)
			stream := "order-" + strings.ReplaceAll(name, " ", "")
			req := &pb.AppendRequest{Appends: []*pb.Append{{Stream: stream, Events: []*pb.Event{
				{Id: journal.NewID().String(), Type: "order.placed", Data: []byte(`{"n":1}`), Tags: []string{"a"}},
			}}}}
			first, err := c.Append(ctx, req)
			if err != nil || first.GetVersions()[0] != 1 || len(first.GetIds()) != 0 {
				t.Fatalf("append answered %v, %v", first, err)
			}
			again, err := c.Append(ctx, req)
			if err != nil || !again.GetDuplicate() || again.GetPosition() != first.GetPosition() {
				t.Fatalf("the same append again answered %v, %v, want the duplicate of %v", again, err, first)
			}
			read, err := c.ReadStream(ctx, &pb.ReadStreamRequest{Stream: stream})
			if err != nil || !read.Receive() || string(read.Msg().GetEvents()[0].GetData()) != `{"n":1}` {
				t.Fatalf("read %v, %v", read.Msg(), errors.Join(err, read.Err()))
			}
			if read.Receive() || read.Err() != nil {
				t.Fatalf("read goes on with %v, %v", read.Msg(), read.Err())
			}
			follow, err := c.Follow(ctx, &pb.FollowRequest{Filter: []*pb.Match{{Stream: stream}}})
			if err != nil || !follow.Receive() || len(follow.Msg().GetEvents()) != 1 {
				t.Fatalf("followed %v, %v", follow.Msg(), errors.Join(err, follow.Err()))
			}
			req.Appends[0].Expect, req.Appends[0].Events[0].Id = "none", journal.NewID().String()
			_, err = c.Append(ctx, req)
			if connect.CodeOf(err) != connect.CodeAborted {
				t.Fatalf("a conflict has code %v: %v", connect.CodeOf(err), err)
			}
			cancel()
			for follow.Receive() {
			}
			if connect.CodeOf(follow.Err()) != connect.CodeCanceled {
				t.Fatalf("following ended with %v, want canceled", follow.Err())
			}
		})
	}
}

func TestCurlWritesAndReadsJSONInPlace(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	status, body := n.post(t, appendPath, "", `{"appends":[{"stream":"order-1","events":[
		{"type":"order.placed","json":{"total": 9007199254740993, "items":["é", 1.50]},"metaJson":{"actor":"x"}}]}]}`)
	if status != 200 || !strings.Contains(body, `"ids":["`) {
		t.Fatalf("append answered %d %s", status, body)
	}
	var stored journal.Event
	for e, err := range n.log.Read(t.Context(), journal.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		stored = e
	}
	if want := `{"total":9007199254740993,"items":["é",1.50]}`; string(stored.Data) != want {
		t.Errorf("stored %s, want %s", stored.Data, want)
	}
	if want := `{"actor":"x"}`; string(stored.Meta) != want {
		t.Errorf("stored meta %s, want %s", stored.Meta, want)
	}
	status, body = n.post(t, pagePath, "", `{"json":true}`)
	if status != 200 || !strings.Contains(body, `"metaJson":{"actor":"x"}`) || !strings.Contains(body, `"data":"`) {
		t.Errorf("page answered %d %s; want meta in place, and data as bytes because a number would change", status, body)
	}
	status, body = n.post(t, pollPath, "", `{"json":true,"filter":[{"category":"order"}],"from":{"position":"1"}}`)
	if status != 200 || strings.Contains(body, "events") || !strings.Contains(body, `"caughtUp":true`) {
		t.Errorf("poll answered %d %s", status, body)
	}
}

func TestJSONRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	for _, tt := range []struct{ name, body, want string }{
		{"misspelt check", `{"appends":[{"stream":"a-1","expectt":"none"}]}`, "expectt"},
		{"misspelt beside json", `{"appends":[{"stream":"a-1","events":[{"type":"x","json":{},"tag":"y"}]}]}`, "tag"},
		{"expectation", `{"appends":[{"stream":"a-1","expect":"-1"}]}`, "appends[0].expect"},
		{"bytes and json", `{"appends":[{"stream":"a-1","events":[{"type":"x","json":{},"data":"e30="}]}]}`, "data"},
		{"id", `{"appends":[{"stream":"a-1","events":[{"type":"x","id":"7"}]}]}`, "appends[0].events[0].id"},
		{"no type", `{"appends":[{"stream":"a-1","events":[{}]}]}`, "appends[0].events[0].type"},
		{"place", `{"appends":[{"stream":"a-1","events":[{"type":"x","version":"3"}]}]}`, "appends[0].events[0]"},
		{"time", `{"appends":[{"stream":"a-1","events":[{"type":"x","time":"yesterday"}]}]}`, "Timestamp"},
		{"empty", ``, "empty"},
		{"no JSON", `{"appends":[{"events":[{"json":{]}]}`, "JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, body := n.post(t, appendPath, "", tt.body)
			if status != 400 || !strings.Contains(body, tt.want) {
				t.Errorf("answered %d %s, want 400 naming %s", status, body, tt.want)
			}
		})
	}
}

func TestBinaryCallersMayGiveValues(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	value, err := structpb.NewValue(map[string]any{"total": 12.5, "items": []any{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	c := n.client(t, "", connect.WithGRPC())
	_, err = c.Append(t.Context(), &pb.AppendRequest{
		Appends: []*pb.Append{{Stream: "a-1", Events: []*pb.Event{{Type: "x", Json: value}}}},
		Records: []*pb.RecordWrite{{Kind: "basket", Key: "b", ValueJson: value}},
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.Page(t.Context(), &pb.ReadRequest{})
	if want := `{"items":["a"],"total":12.5}`; err != nil || string(page.GetEvents()[0].GetData()) != want {
		t.Errorf("stored %v, %v, want %s", page, err, want)
	}
	r, err := c.GetRecord(t.Context(), &pb.GetRecordRequest{Kind: "basket", Key: "b", Json: true})
	if err != nil || r.GetValueJson().GetStructValue().GetFields()["total"].GetNumberValue() != 12.5 {
		t.Errorf("the record is %v, %v", r, err)
	}
}

func TestUnknownFieldsOfAWriteAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	c := n.client(t, n.token(t, "append:*"))
	a := &pb.Append{Stream: "a-1", Events: []*pb.Event{{Type: "x"}}}
	a.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 0x01}) // field 127, a number
	_, err := c.Append(t.Context(), &pb.AppendRequest{Appends: []*pb.Append{a}})
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "appends[0]") {
		t.Fatalf("got %v, want invalid_argument naming appends[0]", err)
	}
}

func TestUnknownFieldsOfAnyCallAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	for _, procedure := range []string{
		"/vidimus.v1.JournalService/AppendMany", "/vidimus.v1.TokenService/CreateToken",
		"/vidimus.v1.LeaseService/StartSession", "/vidimus.v1.JournalService/Page",
	} {
		status, body := n.post(t, procedure, n.token(t, "admin"), "\xf8\x07\x01", "Content-Type", "application/proto")
		if status != http.StatusBadRequest || !strings.Contains(body, "does not know") {
			t.Errorf("%s: answered %d %s, want 400", procedure, status, body)
		}
	}
}

func TestRefusalsStaySmall(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	long := strings.Repeat("x", 1<<20)
	for procedure, body := range map[string]string{
		"Append": `{"appends":[{"stream":"a","expect":"` + long + `"}]}`,
		"Head":   `{"` + long + `":1}`,
	} {
		status, answer := n.post(t, "/vidimus.v1.JournalService/"+procedure, "", body)
		if status != http.StatusBadRequest || len(answer) > 64<<10 {
			t.Errorf("%s: answered %d with %d bytes, want 400 with few", procedure, status, len(answer))
		}
	}
}

func TestAnswersInJSONAreTight(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	n.fill(t, "order-1", 2)
	_, body := n.post(t, pagePath, "", `{"json":true,"limit":"1","backwards":true}`)
	var page struct {
		Events []struct {
			Version string
			JSON    map[string]int
		}
		More bool
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Events) != 1 || page.Events[0].Version != "2" || page.Events[0].JSON["n"] != 1 || !page.More {
		t.Errorf("page is %s", body)
	}
	if strings.ContainsAny(body, " \n") {
		t.Errorf("white space in %s", body)
	}
}
