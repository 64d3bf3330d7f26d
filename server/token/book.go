// SPDX-License-Identifier: Apache-2.0

// The book of a journal's tokens.

package token

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

const (
	// Bound is how long a node may believe what it has read of the book: a token that was revoked before the call
	// began, by any node, is refused after this time at the latest. A new one is known everywhere by then, too.
	Bound = time.Second
	// Max is how many tokens a journal takes, so that all of them fit into memory.
	Max = journal.MaxPage
	// loadTimeout bounds reading the book.
	loadTimeout = 5 * time.Second
)

// Book holds the tokens of one journal. Goroutines may share it.
type Book struct {
	log *journal.Log
	mu  struct {
		sync.Mutex
		load *load // the last reading, finished or under way; nil when the book was changed since
	}
}

// load is one reading of the book that many may wait for. What it holds is final once done is closed.
type load struct {
	began time.Time
	done  chan struct{}
	page  map[string]entry // by id
	err   error
}

type entry struct {
	Token
	hash []byte
}

// NewBook returns the book that a journal holds.
func NewBook(log *journal.Log) *Book { return &Book{log: log} }

// stored is the value of a token's record. Its names never change.
type stored struct {
	Name    string     `json:"name"`
	Hash    []byte     `json:"sha256"`
	Last4   string     `json:"last4"`
	Rights  []string   `json:"rights"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
}

// Create makes a token and returns its text, which is kept nowhere and cannot be had again. It returns a
// [journal.InvalidError], [journal.ErrOverloaded] when there are [Max] tokens, or what [journal.Log.Commit] returns.
func (b *Book) Create(ctx context.Context, s Spec) (text string, t Token, err error) {
	now := clock.Now().UTC().Truncate(time.Microsecond)
	if err := s.validate(now); err != nil {
		return "", Token{}, err
	}
	present, err := b.log.Records(ctx, journal.RecordQuery{Kind: Kind})
	if err != nil {
		return "", Token{}, err
	}
	if len(present) >= Max {
		return "", Token{}, fmt.Errorf("%w: there are %d tokens, which is the limit; revoke some", journal.ErrOverloaded, Max)
	}
	secret := newSecret()
	t = Token{
		ID: chance.Short(), Name: s.Name, Rights: slices.Clone(s.Rights), Last4: secret[len(secret)-4:],
		Created: now, Expires: s.Expires,
	}
	sum := sha256.Sum256([]byte(secret))
	v := stored{Name: t.Name, Hash: sum[:], Last4: t.Last4, Rights: t.Rights.Strings(), Created: t.Created}
	if !t.Expires.IsZero() {
		v.Expires = &t.Expires
	}
	value, err := json.Marshal(v)
	if err != nil {
		return "", Token{}, fmt.Errorf("token %s: %w", t.ID, err)
	}
	write := journal.RecordWrite{Kind: Kind, Key: t.ID, Expect: journal.None, Value: value}
	if _, err := b.log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{write}}); err != nil {
		return "", Token{}, err
	}
	b.forget()
	return prefix + t.ID + "_" + secret, t, nil
}

// List returns all tokens, those that have expired too, by id. It returns what [journal.Log.Records] returns.
func (b *Book) List(ctx context.Context) ([]Token, error) {
	records, err := b.log.Records(ctx, journal.RecordQuery{Kind: Kind})
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, 0, len(records))
	for i := range records {
		e, err := decode(&records[i])
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, e.Token)
	}
	return tokens, nil
}

// Revoke ends a token for ever. It returns [journal.ErrNotFound], or what [journal.Log.Commit] returns. This node
// obeys at once, others within [Bound].
func (b *Book) Revoke(ctx context.Context, id string) error {
	record, err := b.log.Record(ctx, Kind, id)
	if err != nil {
		return fmt.Errorf("token %q: %w", id, err)
	}
	write := journal.RecordWrite{
		Op: journal.Delete, Kind: Kind, Key: id, Expect: journal.Exactly(record.Version),
	}
	_, err = b.log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{write}})
	b.forget()
	return err
}

// Any reports whether there is a token that is good now. It returns what [journal.Log.Records] returns.
func (b *Book) Any(ctx context.Context) (bool, error) {
	tokens, err := b.List(ctx)
	now := clock.Now()
	return slices.ContainsFunc(tokens, func(t Token) bool { return !t.expired(now) }), err
}

// Verify returns the token that a text is. It returns [ErrUnauthenticated], what [journal.Log.Records] returns when
// the journal cannot be read, or the error of ctx. However many texts are tried, the journal is read once per
// [Bound] at most.
func (b *Book) Verify(ctx context.Context, text string) (Token, error) {
	id, secret, err := parse(text)
	if err != nil {
		return Token{}, err
	}
	e, known, err := b.find(ctx, id)
	switch {
	case err != nil:
		return Token{}, err
	case !known || !matches(secret, e.hash):
		return Token{}, fmt.Errorf("%w: the token is unknown, revoked or mistyped; ask for a new one", ErrUnauthenticated)
	case e.expired(clock.Now()):
		return Token{}, fmt.Errorf("%w: the token has expired; ask for a new one", ErrUnauthenticated)
	}
	return e.Token, nil
}

// Still reports whether a verified token is still good, for calls that last: nil, or what [Book.Verify] returns.
func (b *Book) Still(ctx context.Context, t Token) error {
	e, known, err := b.find(ctx, t.ID)
	if err != nil {
		return err
	}
	if !known || e.expired(clock.Now()) {
		return fmt.Errorf("%w: the token was revoked or has expired; ask for a new one", ErrUnauthenticated)
	}
	return nil
}

func (t *Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// find looks an id up in the page, and reads the page again when it is too old.
func (b *Book) find(ctx context.Context, id string) (entry, bool, error) {
	for {
		l, mine := b.begin()
		if mine {
			b.read(context.WithoutCancel(ctx), l)
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return entry{}, false, ctx.Err()
		}
		if l.err != nil {
			return entry{}, false, l.err
		}
		// What was read after this call began is good however long it took.
		if b.unchanged(l) && (mine || clock.Age(l.began) < Bound) {
			e, known := l.page[id]
			return e, known, nil
		}
	}
}

// begin returns the last load if it is young enough, the one under way, or a new one, which is the caller's to do.
func (b *Book) begin() (l *load, mine bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.load == nil || b.mu.load.finished() && (b.mu.load.err != nil || clock.Age(b.mu.load.began) >= Bound) {
		b.mu.load = &load{done: make(chan struct{}), began: clock.Now()}
		return b.mu.load, true
	}
	return b.mu.load, false
}

func (l *load) finished() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// unchanged reports whether the load is still the one to believe.
func (b *Book) unchanged(l *load) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.load == l
}

// read reads the book on behalf of all who wait.
func (b *Book) read(ctx context.Context, l *load) {
	defer close(l.done)
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	records, err := b.log.Records(ctx, journal.RecordQuery{Kind: Kind})
	l.err = err
	l.page = make(map[string]entry, len(records))
	for i := range records {
		if e, err := decode(&records[i]); err == nil { // one that cannot be read lets nobody in
			l.page[e.ID] = e
		}
	}
}

// forget makes the next call read the book again, even while it is being read.
func (b *Book) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.load = nil
}

func decode(r *journal.Record) (entry, error) {
	var v stored
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return entry{}, fmt.Errorf("token %s: %w", r.Key, err)
	}
	rights, err := ParseRights(v.Rights...)
	if err != nil {
		return entry{}, fmt.Errorf("token %s: %w", r.Key, err)
	}
	t := Token{ID: r.Key, Name: v.Name, Rights: rights, Last4: v.Last4, Created: v.Created}
	if v.Expires != nil {
		t.Expires = *v.Expires
	}
	return entry{Token: t, hash: v.Hash}, nil
}
