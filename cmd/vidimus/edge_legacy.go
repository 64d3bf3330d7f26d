// SPDX-License-Identifier: Apache-2.0

// vidimus edge --legacy: users with cookies of an older application are taken over; and how that goes.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/edge/legacy/sessionlegacy"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

// legacyEvery is how often it is said how the migration goes.
const legacyEvery = time.Minute

// legacyGate is a gate with what its operator is told.
type legacyGate struct {
	*legacy.Gate
	logger *slog.Logger
	json   bool
}

// openLegacy opens the gate that the flag --legacy describes; without the flag there is none.
func (c *edgeCmd) openLegacy(ctx context.Context, a *app, log *remote.Log) (*legacyGate, error) {
	if c.Legacy == "" {
		return nil, nil
	}
	bad := func(err error) error { return usage("--legacy", "%s: %v", c.Legacy, err) }
	f, err := readLegacy(c.Legacy)
	if err != nil {
		return nil, bad(err)
	}
	logger := a.logger()
	reader, err := f.reader(a.getenv, &seldom{logger: logger})
	if err != nil {
		return nil, bad(err)
	}
	f.warn(ctx, logger)
	if err := f.mayAsk(ctx, log); err != nil {
		return nil, err
	}
	if err := f.mayHold(ctx, log); err != nil {
		return nil, bad(err)
	}
	gate, err := legacy.NewGate(legacy.GateConfig{
		Reader: reader, Journal: &legacyJournal{sessionlegacy.New(log.Sessions(), log), &seldom{logger: logger}},
		Stage: f.stage, Before: f.before, Sample: f.sample, Patience: f.patience, Logger: logger,
	})
	if err != nil {
		return nil, bad(err)
	}
	return &legacyGate{gate, logger, a.json}, nil
}

// reader returns the reader of the cookies. Why a cookie stands for nobody is told, without what it holds.
func (f *legacyFile) reader(getenv func(string) string, tell *seldom) (*legacy.Reader, error) {
	var config legacy.Config
	by := map[string]*legacyCookie{}
	for i := range f.cookies {
		cookie, err := f.cookie(i, getenv)
		if err != nil {
			return nil, err
		}
		config.Cookies = append(config.Cookies, cookie)
		by[cookie.Name] = &f.cookies[i]
	}
	config.Map = func(t legacy.Token) (legacy.Identity, error) {
		id, err := by[t.Cookie].identify(&t)
		if err != nil {
			tell.warn("a cookie of the older application stands for nobody", "cookie", t.Cookie, "error", err)
		}
		return id, err
	}
	r, err := legacy.NewReader(config)
	if bad, ok := errors.AsType[*legacy.InvalidError](err); ok {
		return nil, fmt.Errorf("%s %s", inFile(bad.Field), bad.Problem)
	}
	return r, err
}

// inFile is the name in the file of a reader's field. A key stands for its secret there.
func inFile(field string) string { return strings.TrimSuffix(strings.ToLower(field), ".secret") }

// warn says which keys others can read.
func (f *legacyFile) warn(ctx context.Context, logger *slog.Logger) {
	for _, c := range f.cookies {
		for _, k := range c.keys {
			if k.file == "" || f.stage == legacy.Refuse {
				continue
			}
			if info, err := os.Stat(k.path(f.dir)); err == nil && info.Mode().Perm()&0o007 != 0 {
				logger.WarnContext(ctx, "others on this machine can read a key of older cookies; allow its owner alone",
					"file", k.path(f.dir))
			}
		}
	}
}

// mayAsk finds out at the start whether the token has the rights that the stage needs. An authority that does not
// answer is no reason not to start.
func (f *legacyFile) mayAsk(ctx context.Context, log *remote.Log) error {
	if f.stage == legacy.Refuse {
		return nil
	}
	const nobody = "nobody"
	ctx, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	for _, c := range f.cookies {
		if c.tenantClaim != nil {
			continue
		}
		_, err := log.Sessions().Subject(ctx, c.tenant, nobody)
		if err == nil && f.stage == legacy.Shadow {
			stream := session.SubjectStream(c.tenant, nobody)
			for _, err = range log.ReadStream(ctx, stream, &journal.StreamOptions{Limit: 1}) {
				break
			}
		}
		if errors.Is(err, remote.ErrPermission) || errors.Is(err, remote.ErrUnauthenticated) {
			return usage("--token", "%v; to take cookies over it needs session:TENANT or session:*, and to compare them "+
				"read:subject", err)
		}
	}
	return nil
}

// firstWait is how long an authority may take to answer what is asked of it at the start.
const firstWait = 5 * time.Second

// mayHold finds out at the start whether the public schema declares what the cookies are mapped to. Where the authority
// does not answer, the first cookie tells.
func (f *legacyFile) mayHold(ctx context.Context, log *remote.Log) error {
	if f.stage == legacy.Refuse {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	public, err := log.Sessions().Public(ctx)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return f.undeclared(public)
}

// report says how the migration goes, now and then and at the end, if there is news.
func (g *legacyGate) report(ctx context.Context) {
	var said uint64
	for ended := false; !ended; {
		ended = clock.Sleep(ctx, legacyEvery) != nil
		stats := g.Stats()
		if n := handled(&stats); n != said {
			said = n
			if g.json {
				g.logger.Info("legacy", "stats", stats)
			} else {
				g.logger.Info("legacy " + legacyLine(&stats))
			}
		}
	}
}

// handled returns how many cookies were counted.
func handled(s *legacy.Stats) uint64 {
	n := s.Imported + s.Failed + sum(s.Refused)
	if s.Shadow != nil {
		n += s.Shadow.Compared
	}
	return n
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// legacyLine says in one line how the migration goes.
func legacyLine(s *legacy.Stats) string {
	parts := []string{fmt.Sprintf("%s: %s imported", s.Stage, figure(s.Imported))}
	refused := "refused"
	if d := s.Shadow; d != nil {
		refused = "would be refused"
		parts = []string{
			fmt.Sprintf("%s: %s compared", s.Stage, figure(d.Compared)),
			figure(d.Agree) + " agree",
			fmt.Sprintf("%s differ%s, %s stale and %s contrary", figure(d.Differ), counts(d.Attributes),
				figure(d.Stale), figure(d.Contrary)),
			figure(d.Unknown) + " unknown",
		}
	}
	parts = append(parts, fmt.Sprintf("%s %s%s", figure(sum(s.Refused)), refused, counts(s.Refused)),
		figure(s.Failed)+" without an answer")
	return strings.Join(parts, "; ")
}

// counts lists what was counted by name.
func counts(by map[string]uint64) string {
	if len(by) == 0 {
		return ""
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list = append(list, figure(by[name])+" "+name)
	}
	return " (" + strings.Join(list, ", ") + ")"
}

func figure(n uint64) string { return screen.Number(int64(n)) }

// legacyJournal tells why the journal has no answer, which a gate only counts.
type legacyJournal struct {
	legacy.Journal
	tell *seldom
}

// Find is as in [legacy.Journal].
func (j *legacyJournal) Find(ctx context.Context, tenant, subject string) (legacy.Known, error) {
	known, err := j.Journal.Find(ctx, tenant, subject)
	if err != nil && !errors.Is(err, context.Canceled) {
		j.tell.warn("a cookie of the older application is not compared; raise patience if time is short", "error", err)
	}
	return known, err
}

// Foretell is as in [legacy.Journal].
func (j *legacyJournal) Foretell(ctx context.Context, s legacy.SignIn) error {
	err := j.Journal.Foretell(ctx, s)
	switch {
	case errors.Is(err, legacy.ErrUnfit):
		j.tell.warn("a cookie of the older application would not be imported", "error", inMap(err))
	case err != nil && !errors.Is(err, legacy.ErrSpent) && !errors.Is(err, context.Canceled):
		j.tell.warn("a cookie of the older application is not compared; raise patience if time is short", "error", err)
	}
	return err
}

// inMap says of state that does not fit where the file maps it to.
func inMap(err error) error {
	bad, ok := errors.AsType[*journal.InvalidError](err)
	if !ok {
		return err
	}
	for field, place := range map[string]string{"Start.SubjectState": "subject_state", "Start.State": "session_state"} {
		if rest, ok := strings.CutPrefix(bad.Field, field); ok {
			return fmt.Errorf("%s%s %s", place, rest, bad.Problem)
		}
	}
	return err
}

// Start is as in [legacy.Journal].
func (j *legacyJournal) Start(ctx context.Context, s legacy.SignIn) (string, error) {
	handle, err := j.Journal.Start(ctx, s)
	if err != nil && !errors.Is(err, legacy.ErrSpent) && !errors.Is(err, context.Canceled) {
		j.tell.warn("a cookie of the older application is not imported", "error", inMap(err))
	}
	return handle, err
}
