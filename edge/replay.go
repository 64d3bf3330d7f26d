// SPDX-License-Identifier: Apache-2.0

// Idempotency-Key: the same request again is answered with the same answer.

package edge

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

// The limits of what is remembered. An edge that forgets lets the service decide.
const (
	replayAge    = 24 * time.Hour
	replayCount  = 10_000
	replayTotal  = 16 << 20
	replayAnswer = 64 << 10
	keyMax       = 255
)

// replays are the answers to requests with an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), by
// session and key, in the memory of this edge. They save a service most of its repetitions; the service that gets
// the header must still be right when an edge forgot, restarted, or was not the same one.
type replays struct {
	mu    sync.Mutex
	by    map[digest]*replay
	order []*replay // that are done, oldest first
	bytes int
}

type digest = [sha256.Size]byte

// replay is one answer, or a request under way.
type replay struct {
	key     digest
	request digest // of method, target and body
	done    bool
	at      time.Time
	status  int
	header  http.Header
	body    []byte
}

func newReplays() *replays { return &replays{by: map[digest]*replay{}} }

func (s *replays) size() (count, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by), s.bytes
}

// keyed reports the methods that are not idempotent by themselves (RFC 9110, section 9.2.2).
func keyed(method string) bool { return method == http.MethodPost || method == http.MethodPatch }

func errNoKey() *refusal {
	return refuse(http.StatusBadRequest, "no_idempotency_key",
		"send Idempotency-Key with a name of this request that is new")
}

// serve passes a request on, or answers it as it was answered before.
func (s *replays) serve(w http.ResponseWriter, v *visit, next http.Handler) {
	keys := v.in.Header["Idempotency-Key"]
	switch {
	case !keyed(v.in.Method) || len(keys) == 0 && v.route.Idempotency == Replay:
		next.ServeHTTP(w, v.in)
		return
	case len(keys) == 0:
		errNoKey().answer(w)
		return
	case len(keys) > 1 || keys[0] == "" || len(keys[0]) > keyMax:
		refuse(http.StatusBadRequest, "idempotency_key", "send one Idempotency-Key of 1 to %d bytes", keyMax).answer(w)
		return
	case v.held == nil:
		next.ServeHTTP(w, v.in) // without a session, whose key it is cannot be told
		return
	}
	one := &replay{
		key:     sum(v.held.claims.Session, keys[0]),
		request: sum(v.in.Method, v.in.RequestURI, string(v.body)),
	}
	if before := s.begin(one); before != nil {
		before.answer(w, one.request)
		return
	}
	record, returned := &recorder{ResponseWriter: w, one: one}, false
	defer func() { s.finish(one, returned && record.complete && !record.failed && v.whole()) }()
	next.ServeHTTP(record, v.in) // panics when the answer breaks off
	returned = true
}

// whole reports whether the body of the request is at hand, so that the next one can be compared with it.
func (v *visit) whole() bool { return v.body != nil || v.in.ContentLength == 0 }

// sum is a digest of parts that no other parts have.
func sum(parts ...string) digest {
	h := sha256.New()
	for _, p := range parts {
		part := sha256.Sum256([]byte(p))
		h.Write(part[:])
	}
	return digest(h.Sum(nil))
}

// begin takes a key, or returns who has it: the answer if it is done, and otherwise no more than that it is not.
func (s *replays) begin(one *replay) *replay {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(clock.Now())
	if before := s.by[one.key]; before != nil {
		if before.done {
			return before
		}
		return &replay{}
	}
	s.by[one.key] = one
	return nil
}

// finish keeps the answer, or lets go of the key.
func (s *replays) finish(one *replay, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !keep {
		delete(s.by, one.key)
		return
	}
	one.done, one.at = true, clock.Now()
	s.order = append(s.order, one)
	s.bytes += one.bytes()
	s.expire(one.at)
}

// bytes is about what an answer takes in memory.
func (r *replay) bytes() int {
	n := len(r.body) + 512
	for name, values := range r.header {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// expire forgets what is too old, or too much.
func (s *replays) expire(now time.Time) {
	for len(s.order) > 0 {
		oldest := s.order[0]
		if now.Sub(oldest.at) < replayAge && len(s.order) <= replayCount && s.bytes <= replayTotal {
			return
		}
		s.order[0] = nil
		s.order = s.order[1:]
		s.bytes -= oldest.bytes()
		delete(s.by, oldest.key)
	}
}

// answer says what was said before.
func (r *replay) answer(w http.ResponseWriter, request digest) {
	switch {
	case !r.done:
		refuse(http.StatusConflict, "under_way", "the first request with this Idempotency-Key is under way").
			after(time.Second).answer(w)
		return
	case r.request != request:
		refuse(http.StatusUnprocessableEntity, "key_reused", "this Idempotency-Key was sent with another request").answer(w)
		return
	}
	maps.Copy(w.Header(), r.header)
	w.Header().Set("Idempotent-Replayed", "true")
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}

// recorder passes an answer on and keeps it, if it is final and small.
type recorder struct {
	http.ResponseWriter
	one      *replay
	complete bool // there is an answer to keep
	failed   bool // it is too large, or did not arrive
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if status >= 200 && r.one.status == 0 {
		r.one.status, r.complete = status, isFinal(status)
		r.one.header = r.Header().Clone()
		for _, name := range []string{"Set-Cookie", "Date", "Vidimus-Staleness", "Trailer"} {
			r.one.header.Del(name)
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	if err != nil || len(r.one.body)+n > replayAnswer {
		r.failed = true
		return n, err
	}
	if r.complete && !r.failed {
		r.one.body = append(r.one.body, p[:n]...)
	}
	return n, err
}

// isFinal reports the answers that would be the same again: not those that ask to try again, or to sign in.
func isFinal(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly,
		http.StatusTooManyRequests:
		return false
	}
	return status < http.StatusInternalServerError
}
