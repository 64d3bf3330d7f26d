// SPDX-License-Identifier: Apache-2.0

// Listing: the sessions of a subject, and all that live.

package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// List returns the live sessions of a subject, the oldest first. One whose history this program cannot read, as during
// an upgrade, has Version 0: it says whose it is, from which device, since when and until when, and can be ended and
// revoked by its ID like the others.
func (s *Sessions) List(ctx context.Context, tenant, subject string) ([]Session, error) {
	if err := validSubject(tenant, subject); err != nil {
		return nil, err
	}
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	all, err := s.taken(ctx, passport.SubjectKey(tenant, subject))
	if err != nil {
		return nil, err
	}
	var list []Session
	for _, t := range all {
		l, err := s.see(ctx, t.sid)
		if errors.Is(err, entity.ErrHistory) {
			l, err = s.outline(ctx, tenant, subject, t)
		}
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", t.sid, err)
		}
		if l.end(clock.Now()) == nil {
			list = append(list, l.session())
		}
	}
	slices.SortStableFunc(list, func(a, b Session) int { return a.Started.Compare(b.Started) })
	return list, nil
}

// LiveSession is what has to be known of a session to watch whether it is idle.
type LiveSession struct {
	ID   string
	Idle time.Duration // for how long it may be silent
}

// Live yields all live sessions, in no order of meaning, page by page. Those that begin or end meanwhile may be seen or
// not, and so may those that were revoked together and not ended one by one: what [Sessions.Idle] does for them is
// right. The last pair has an error if there was one.
func (s *Sessions) Live(ctx context.Context) iter.Seq2[LiveSession, error] {
	return func(yield func(LiveSession, error) bool) {
		q := journal.RecordQuery{Kind: liveKind}
		for {
			page, err := s.log.Records(ctx, q)
			if err != nil {
				yield(LiveSession{}, err)
				return
			}
			for _, r := range page {
				var p place
				_, sid, _ := strings.Cut(r.Key, "/")
				if err := json.Unmarshal(r.Value, &p); err != nil {
					yield(LiveSession{}, fmt.Errorf("record %s/%s: %w", r.Kind, r.Key, err))
					return
				}
				if !yield(LiveSession{sid, time.Duration(p.IdleMS) * time.Millisecond}, nil) {
					return
				}
			}
			if len(page) < journal.MaxPage {
				return
			}
			q.After = page[len(page)-1].Key
		}
	}
}
