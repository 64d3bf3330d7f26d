// SPDX-License-Identifier: Apache-2.0

// What verifiers follow, and what edges send: the feed, pings and beats.

package authority

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"connectrpc.com/connect"

	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
)

// enterFeed lets a request for plain HTTP in that takes the right to the feed.
func (a *Authority) enterFeed(r *http.Request, lasting bool) (*door.Visit, error) {
	v, err := a.door.Caller(r, a.cell.Name(), lasting)
	if err != nil {
		return nil, err
	}
	return v, door.Need(v.Rights, token.Feed, "")
}

// answerProblem writes an error where no standard says what it looks like.
func (a *Authority) answerProblem(w http.ResponseWriter, r *http.Request, err error) {
	var told *connect.Error
	if errors.As(a.door.Tell(r.Context(), r.URL.Path, err), &told) {
		status := statusOf(told.Code())
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", strconv.Itoa(1))
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="vidimus"`)
		}
		writeJSON(w, status, problem{told.Code().String(), told.Message()})
	}
}

// statusOf returns the status that goes with a code, as Connect has it.
func statusOf(code connect.Code) int {
	switch code {
	case connect.CodeInvalidArgument:
		return http.StatusBadRequest
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case connect.CodeUnavailable, connect.CodeCanceled, connect.CodeDeadlineExceeded:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// watch answers GET /v1/feed.
func (a *Authority) watch(w http.ResponseWriter, r *http.Request) {
	v, err := a.enterFeed(r, true)
	if err != nil {
		a.answerProblem(w, r, err)
		return
	}
	st, err := v.Last(r.Context())
	if err != nil {
		a.answerProblem(w, r, err)
		return
	}
	defer st.Close()
	a.feed.ServeHTTP(&guarded{ResponseWriter: w, st: st}, r.WithContext(st.Ctx))
}

// guarded is an answer that ends when the caller's token does.
type guarded struct {
	http.ResponseWriter
	st *door.Stream
}

// Write looks at the token again before each frame; frames come all the time.
func (g *guarded) Write(text []byte) (int, error) {
	if err := g.st.Still(g.st.Ctx); err != nil {
		return 0, err
	}
	return g.ResponseWriter.Write(text)
}

// Unwrap is for [http.ResponseController].
func (g *guarded) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// ping answers POST /v1/ping.
func (a *Authority) ping(w http.ResponseWriter, r *http.Request) {
	if _, err := a.enterFeed(r, false); err != nil {
		a.answerProblem(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	a.feed.ServeHTTP(w, r.WithContext(ctx))
}

// beats answers POST /v1/beats. Where another node keeps presence, it answers 307 with that node's address, or 503.
func (a *Authority) beats(w http.ResponseWriter, r *http.Request) {
	_, err := a.enterFeed(r, false)
	if err == nil && r.Header.Get("Content-Type") != presence.ContentType {
		writeJSON(w, http.StatusUnsupportedMediaType,
			problem{"invalid_argument", "Content-Type is not " + presence.ContentType + "; send a batch of beats"})
		return
	}
	var batch []byte
	if err == nil {
		batch, err = io.ReadAll(http.MaxBytesReader(w, r.Body, presence.MaxBatchBytes))
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			writeJSON(w, http.StatusRequestEntityTooLarge,
				problem{"invalid_argument", "the batch is too large; send at most " + strconv.Itoa(presence.MaxBatch) + " beats"})
			return
		} else if err != nil {
			err = &journal.InvalidError{Field: "batch", Problem: "did not come whole, or not in time; send it again"}
		}
	}
	if err == nil {
		err = a.takeBeats(r.Context(), batch)
	}
	var astray *wire.NotOwnerError
	switch {
	case errors.As(err, &astray) && astray.URL != "":
		w.Header().Set("Location", astray.URL+"/v1/beats")
		writeJSON(w, http.StatusTemporaryRedirect, problem{"not_owner", err.Error()})
	case errors.As(err, &astray):
		w.Header().Set("Retry-After", strconv.Itoa(1))
		writeJSON(w, http.StatusServiceUnavailable, problem{"not_owner", err.Error()})
	case err != nil:
		a.answerProblem(w, r, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

type feedService struct{ a *Authority }

// enter lets a call in that takes the right to the feed.
func (f *feedService) enter(ctx context.Context, cell string) error {
	v, err := f.a.door.Enter(ctx, cell)
	if err != nil {
		return err
	}
	return door.Need(v.Rights, token.Feed, "")
}

// Watch implements the service.
func (f *feedService) Watch(ctx context.Context, m *pb.WatchRequest, out *connect.ServerStream[pb.FeedFrame]) error {
	st, err := f.a.door.Open(ctx, m.GetCell())
	if err != nil {
		return err
	}
	defer st.Close()
	if err := door.Need(st.Rights, token.Feed, ""); err != nil {
		return err
	}
	for frame, err := range f.a.feed.Subscribe(st.Ctx, wire.ToMark(m.GetFrom())) {
		if err != nil {
			return door.Ending(st.Ctx, feedError(err))
		}
		if err := door.Send(st, out, wire.FeedFrame(&frame)); err != nil {
			return err
		}
	}
	return door.Ending(st.Ctx, wire.ErrDraining)
}

// feedError puts the feed's own errors among those of the table.
func feedError(err error) error {
	switch {
	case errors.Is(err, feed.ErrTooMany):
		return errors.Join(wire.ErrLimit, err)
	case errors.Is(err, feed.ErrStopped):
		return errors.Join(wire.ErrDraining, err)
	}
	return err
}

// Ping implements the service.
func (f *feedService) Ping(ctx context.Context, m *pb.PingRequest) (*pb.Mark, error) {
	if err := f.enter(ctx, m.GetCell()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	head, err := f.a.feed.Ping(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Mark(head), nil
}

// Beat implements the service.
func (f *feedService) Beat(ctx context.Context, m *pb.BeatRequest) (*pb.BeatResponse, error) {
	if err := f.enter(ctx, m.GetCell()); err != nil {
		return nil, err
	}
	return &pb.BeatResponse{}, f.a.takeBeats(ctx, m.GetBatch())
}
