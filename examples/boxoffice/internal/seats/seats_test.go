// SPDX-License-Identifier: Apache-2.0

// The service over HTTP: what passports allow, and what happens when many ask at once.

package seats_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/entity"
	"example.com/vidimus/examples/boxoffice/internal/seats"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
)

// stage is the service with a journal of its own, and a view that the test feeds.
type stage struct {
	t      *testing.T
	log    *journal.Log
	signer *passport.Signer
	view   *heartbeat.View
	url    string
	moved  time.Duration // what the view's clock is ahead of ours
	mu     sync.Mutex
}

const issuer, audience = "https://id.example", "boxoffice.example"

func newStage(t *testing.T) *stage {
	s := &stage{t: t, log: mem.Open()}
	began := time.Now()
	s.view = heartbeat.NewView(&heartbeat.ViewConfig{Clock: func() (monotonic, wall time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		now := time.Since(began) + s.moved
		return now, now
	}})
	var err error
	s.signer, err = passport.NewSigner(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "")
	s.must(err)
	keys, err := passport.NewKeySet(s.signer.Public())
	s.must(err)
	v, err := passport.New(passport.Config{Issuer: issuer, Audience: audience, Keys: keys, View: s.view})
	s.must(err)
	c, err := cell.Open(t.Context(), cell.Config{Log: s.log})
	s.must(err)
	service, err := seats.New(seats.Config{Cell: c, Verifier: v})
	s.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, c) }()
	server := httptest.NewServer(service.Handler())
	s.url = server.URL
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		s.must(s.log.Close())
	})
	s.refresh()
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// head is the end of the log.
func (s *stage) head() passport.Mark {
	at, err := s.log.Head(s.t.Context())
	s.must(err)
	return passport.Mark{Log: at.Log, Epoch: int64(at.Epoch), Position: int64(at.Position)}
}

// refresh makes the view as fresh as now.
func (s *stage) refresh() {
	head := s.head()
	s.must(s.view.Apply(heartbeat.Frame{
		Log: head.Log, Epoch: head.Epoch, After: head.Position, Through: head.Position, Snapshot: true,
	}))
	s.must(s.view.PingAnswered(s.view.PingSent(), head))
}

// pass lets time pass for the view.
func (s *stage) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved += d
}

// write appends an event to a stream, as the authority would, and returns the stream's version.
func (s *stage) write(stream string) int64 {
	res, err := s.log.Append(s.t.Context(), journal.Stream(stream), journal.Any, journal.EventData{Type: "x.changed"})
	s.must(err)
	return int64(res.Versions[0])
}

// ticket is a passport of somebody as they are now.
func (s *stage) ticket(who, permit string, limit int) string {
	key := passport.SubjectKey("t", who)
	session := (who + strings.Repeat("x", 22))[:22]
	now := time.Now()
	token, err := s.signer.Sign(&passport.Claims{
		Issuer: issuer, Audience: audience, IssuedAt: now, ExpiresAt: now.Add(time.Minute), Txn: "txn", Subject: who,
		Workload: "test", Session: session, Tenant: "t", Mark: s.head(), AsOf: now, Schema: "boxoffice/1",
		Scope:   "account seats",
		Version: s.write("session-" + session), SubjectVersion: s.write("subject-" + key),
		State: json.RawMessage(fmt.Sprintf(`{"subject":{"permit":%q,"limit":%d}}`, permit, limit)),
	})
	s.must(err)
	return token
}

// ask sends a request and returns the status and the answer.
func (s *stage) ask(token, method, path string) (int, string) {
	r, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	if token != "" {
		r.Header.Set("Txn-Token", token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Error(err)
	}
	if code := res.Header.Get("WWW-Authenticate"); code != "" {
		return res.StatusCode, code
	}
	return res.StatusCode, res.Header.Get("Vidimus-Staleness") + " " + string(body)
}

// want asks and complains about another status, or an answer without the words.
func (s *stage) want(token, method, path string, status int, words string) {
	s.t.Helper()
	if got, answer := s.ask(token, method, path); got != status || !strings.Contains(answer, words) {
		s.t.Errorf("%s %s: %d %s; want %d with %q", method, path, got, answer, status, words)
	}
}

func TestPermitDecidesWhereSeatsAreHeld(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ada := s.ticket("ada", "NJ", 300_00)
	s.want(ada, "POST", "/api/seats/lyra-a1/hold", 200, `"name":"A1","is":"mine"`)
	s.want(ada, "POST", "/api/seats/tempest-a1/hold", 403, "your permit is for NJ")
	s.want(s.ticket("eve", "", 300_00), "POST", "/api/seats/lyra-a2/hold", 403, "your permit is for nowhere")
	s.want(ada, "POST", "/api/seats/lyra-z9/hold", 404, "no such seat")
	s.want("", "POST", "/api/seats/lyra-a1/hold", 401, "Txn-Token")
}

func TestSeatGoesFromHandToHand(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ada, ben := s.ticket("ada", "NJ", 300_00), s.ticket("ben", "NJ", 300_00)
	s.want(ada, "POST", "/api/seats/lyra-b1/hold", 200, "mine")
	s.want(ben, "POST", "/api/seats/lyra-b1/hold", 409, "Somebody else holds")
	s.want(ben, "POST", "/api/seats/lyra-b1/buy", 409, "do not hold")
	s.want(ada, "POST", "/api/seats/lyra-b1/release", 200, "free")
	s.want(ben, "POST", "/api/seats/lyra-b1/hold", 200, "mine")
	s.want(ben, "GET", "/api/seats", 200, `{"id":"lyra-b1","number":1,"is":"mine"`)
	s.want(ada, "GET", "/api/seats", 200, `{"id":"lyra-b1","number":1,"is":"held"`)
	s.want(ben, "POST", "/api/seats/lyra-b1/buy", 200, `"is":"bought","cost":7000`)
	s.want(ben, "POST", "/api/seats/lyra-b1/buy", 409, "sold")
	s.want(ben, "GET", "/api/seats", 200, `"spent":7000`)
	s.want(ben, "GET", "/api/seats", 200, `{"id":"lyra-b1","number":1,"is":"bought"}`)
	s.want(ada, "GET", "/api/seats", 200, `{"id":"lyra-b1","number":1,"is":"sold"}`)
}

func TestASeatIsHeldAgainAndAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ada, ben := s.ticket("ada", "NJ", 300_00), s.ticket("ben", "NJ", 300_00)
	for range entity.CarryAfter {
		s.want(ada, "POST", "/api/seats/lyra-b1/hold", 200, "mine")
		s.want(ada, "POST", "/api/seats/lyra-b1/release", 200, "free")
	}
	s.want(ada, "POST", "/api/seats/lyra-b1/hold", 200, "mine")
	s.want(ben, "POST", "/api/seats/lyra-b1/hold", 409, "Somebody else holds")
	s.want(ben, "GET", "/api/seats", 200, `{"id":"lyra-b1","number":1,"is":"held"`)
}

func TestManyWhoHoldOneSeatGetItOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var work sync.WaitGroup
	held := make([]bool, 16)
	for i := range held {
		token := s.ticket(fmt.Sprint("person", i), "NJ", 300_00)
		work.Go(func() {
			status, _ := s.ask(token, "POST", "/api/seats/lyra-a1/hold")
			held[i] = status == 200
		})
	}
	work.Wait()
	if n := count(held); n != 1 {
		t.Errorf("%d hold the seat", n)
	}
}

func count(of []bool) (n int) {
	for _, yes := range of {
		if yes {
			n++
		}
	}
	return n
}

func TestTwentyPurchasesAtOnceStayWithinTheLimit(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ada := s.ticket("ada", "NJ", 400_00)
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fmt.Sprintf("lyra-%c%d", 'a'+i/8, i%8+1)
		s.want(ada, "POST", "/api/seats/"+ids[i]+"/hold", 200, "mine")
	}
	var work sync.WaitGroup
	bought := make([]bool, len(ids))
	for i, id := range ids {
		work.Go(func() {
			status, answer := s.ask(ada, "POST", "/api/seats/"+id+"/buy")
			bought[i] = status == 200
			if status != 200 && (status != 409 || !strings.Contains(answer, "spending limit")) {
				t.Errorf("%s: %d %s", id, status, answer)
			}
		})
	}
	work.Wait()
	var total int
	for i := range ids {
		if bought[i] {
			total += []int{90_00, 70_00, 50_00}[i/8]
		}
	}
	if total > 400_00 || total < 400_00-90_00+1 {
		t.Errorf("%d purchases for %d in all, with a limit of 40000", count(bought), total)
	}
	s.want(ada, "GET", "/api/seats", 200, fmt.Sprintf(`"spent":%d,`, total))
}

func TestPurchaseIsRefusedWhenThePassportIsOvertaken(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]string{
		"the account changed":              "subject-" + passport.SubjectKey("t", "ada"),
		"the session changed, or is ended": "session-" + ("ada" + strings.Repeat("x", 22))[:22],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			ada := s.ticket("ada", "NJ", 300_00)
			s.want(ada, "POST", "/api/seats/lyra-a1/hold", 200, "mine")
			s.write(stream) // no view has heard of it
			s.want(ada, "POST", "/api/seats/lyra-a1/buy", 401, "superseded")
			s.want(s.ticket("ada", "NJ", 300_00), "POST", "/api/seats/lyra-a1/buy", 200, "bought")
		})
	}
}

func TestRoutesObeyTheirBounds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ada := s.ticket("ada", "NJ", 300_00)
	s.want(ada, "POST", "/api/seats/lyra-a1/hold", 200, "mine")
	s.pass(3 * time.Second)
	s.want(ada, "POST", "/api/seats/lyra-a2/hold", 503, "stale")
	s.want(ada, "POST", "/api/seats/lyra-a1/buy", 503, "")
	if _, answer := s.ask(ada, "GET", "/api/seats"); strings.Contains(answer, "read-only") {
		t.Errorf("after 3 s: %s", answer)
	}
	s.pass(3 * time.Second)
	s.want(ada, "GET", "/api/seats", 200, "read-only")
	s.refresh()
	s.want(ada, "POST", "/api/seats/lyra-a2/hold", 401, "superseded") // the base is above it: the view forgot
	s.want(s.ticket("ada", "NJ", 300_00), "POST", "/api/seats/lyra-a2/hold", 200, "mine")
}

func TestBrowsersAreToldWhenSeatsChange(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ada := s.ticket("ada", "NJ", 300_00)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/seats/events", nil)
	s.must(err)
	r.Header.Set("Txn-Token", ada)
	res, err := http.DefaultClient.Do(r)
	s.must(err)
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("the stream is answered %d %s", res.StatusCode, kind)
	}
	s.want(ada, "POST", "/api/seats/lyra-a1/hold", 200, "mine")
	var heard strings.Builder
	buf := make([]byte, 64)
	for !strings.Contains(heard.String(), "data: ") {
		n, err := res.Body.Read(buf)
		s.must(err)
		heard.Write(buf[:n])
	}
}
