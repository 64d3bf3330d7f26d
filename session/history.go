// SPDX-License-Identifier: Apache-2.0

// What happened to a session or a subject, as a whole and page by page.

package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"iter"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// History yields everything that happened to a session, from its start to its end, with the old handles that were
// refused. Events that only carry the state on are left out, so there are gaps between the versions. There is nothing
// of a session that never was. The last pair has an error if there was one.
func (s *Sessions) History(ctx context.Context, id string) iter.Seq2[Entry, error] {
	return s.all(ctx, sessionPast(id))
}

// SubjectHistory yields everything that happened to a subject: its changes and revocations, and when its sessions began
// and ended, in the order of the journal. See [Sessions.History].
func (s *Sessions) SubjectHistory(ctx context.Context, tenant, subject string) iter.Seq2[Entry, error] {
	return s.all(ctx, subjectPast(tenant, subject))
}

// HistoryPage returns up to limit entries of [Sessions.History], 1,000 for 0, and fewer when they are large. Next is
// the page behind them, empty at the end; it is opaque, and good for this history alone. A page costs what is on it,
// not what came before. It returns a journal.InvalidError for a page that was not got in this way.
func (s *Sessions) HistoryPage(
	ctx context.Context, id, page string, limit int,
) (entries []Entry, next string, err error) {
	return s.page(ctx, sessionPast(id), page, limit)
}

// SubjectHistoryPage returns a page of [Sessions.SubjectHistory], see [Sessions.HistoryPage].
func (s *Sessions) SubjectHistoryPage(
	ctx context.Context, tenant, subject, page string, limit int,
) (entries []Entry, next string, err error) {
	return s.page(ctx, subjectPast(tenant, subject), page, limit)
}

// past is where a history is: in a stream of its own, and for subjects in that of their activities.
type past struct{ own, activity journal.Stream }

func sessionPast(id string) past { return past{own: Stream(id)} }

func subjectPast(tenant, subject string) past {
	return past{SubjectStream(tenant, subject), activityStream(passport.SubjectKey(tenant, subject))}
}

// spot is how far a past was read.
type spot struct{ own, activity journal.Version }

// line is an entry and the spot behind it.
type line struct {
	Entry
	spot
}

// pageBytes is where a page ends at the latest, unless its first entry is larger.
const pageBytes = 1 << 20

func (s *Sessions) page(
	ctx context.Context, of past, page string, limit int,
) (entries []Entry, next string, err error) {
	at, err := of.open(page)
	if err != nil {
		return nil, "", err
	}
	if limit <= 0 || limit > journal.MaxPage {
		limit = journal.MaxPage
	}
	size := 0
	for l, err := range s.lines(ctx, of, at) {
		if err != nil {
			return nil, "", err
		}
		size += len(l.Detail)
		if len(entries) == limit || len(entries) > 0 && size > pageBytes {
			return entries, of.token(at), nil
		}
		entries, at = append(entries, l.Entry), l.spot
	}
	return entries, "", nil
}

// checkSize is how many bytes of a page's token say which history it is of.
const checkSize = 4

func (p past) check() []byte {
	sum := sha256.Sum256([]byte("vidimus history\n" + p.own))
	return sum[:checkSize]
}

// token writes the page that begins behind a spot.
func (p past) token(at spot) string {
	data := binary.AppendUvarint(p.check(), uint64(at.own))
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(data, uint64(at.activity)))
}

// open reads what token wrote.
func (p past) open(page string) (at spot, err error) {
	if page == "" {
		return at, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(page)
	if err == nil && len(data) > checkSize {
		own, n := binary.Uvarint(data[checkSize:])
		activity, _ := binary.Uvarint(data[checkSize+max(n, 0):])
		at = spot{journal.Version(own), journal.Version(activity)}
	}
	if at.own < 0 || at.activity < 0 || p.token(at) != page {
		return at, &journal.InvalidError{
			Field: "page_token", Problem: "is none of this history: give what came with the page before, or nothing to begin",
		}
	}
	return at, nil
}

func (s *Sessions) all(ctx context.Context, of past) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for l, err := range s.lines(ctx, of, spot{}) {
			if !yield(l.Entry, err) {
				return
			}
		}
	}
}

// lines yields what is behind a spot, in the order of the journal.
func (s *Sessions) lines(ctx context.Context, of past, at spot) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		next, stop := iter.Pull2(s.entries(ctx, of.activity, at.activity))
		defer stop()
		other, err, more := next()
		for e, failed := range s.entries(ctx, of.own, at.own) {
			for more && err == nil && failed == nil && other.Position < e.Position {
				at.activity = other.Version
				if !yield(line{other, at}, nil) {
					return
				}
				other, err, more = next()
			}
			at.own = e.Version
			if !yield(line{e, at}, failed) || failed != nil {
				return
			}
		}
		for more {
			at.activity = other.Version
			if !yield(line{other, at}, err) {
				return
			}
			other, err, more = next()
		}
	}
}

// entries yields the events of a stream behind a version; none of no stream.
func (s *Sessions) entries(
	ctx context.Context, stream journal.Stream, after journal.Version,
) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if stream == "" {
			return
		}
		for e, err := range s.log.ReadStream(ctx, stream, &journal.StreamOptions{After: after}) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if carries(e.Type) {
				continue // nothing happened
			}
			var who struct {
				By string `json:"by"`
			}
			_ = json.Unmarshal(e.Data, &who) // nobody, if it does not say
			entry := Entry{e.Position, e.Version, e.Time, e.Type, who.By, e.Data}
			if !yield(entry, nil) {
				return
			}
		}
	}
}
