// SPDX-License-Identifier: Apache-2.0

// The service of the shop on Vidimus, as its users write one: it believes passports, and changes state by commands that
// say which version they were decided on.

package lostupdates

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"example.com/vidimus/edge"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/session"
)

// maxTries is how often an addition is decided again because others were faster.
const maxTries = 10 * MaxTabs

func (v *vidimusShop) service(verifier *passport.Verifier) http.Handler {
	// A tab may write between the edge's passport and this service's look at it: then the passport is replaced.
	rule := &passport.Rule{Scopes: []string{"shop"}, MaxStale: maxStale, WhenStale: passport.AskAuthority}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", v.signIn)
	mux.HandleFunc("POST /limit", v.operate)
	mux.Handle("POST /sign-out", verifier.Require(http.HandlerFunc(v.signOut), rule))
	mux.Handle("POST /add", verifier.Require(http.HandlerFunc(v.add), rule))
	mux.Handle("GET /cart", verifier.Require(http.HandlerFunc(v.look), rule))
	return mux
}

func (v *vidimusShop) signIn(w http.ResponseWriter, r *http.Request) {
	limit, err := attribute("limit", 0)
	if err != nil {
		answer(w, err)
		return
	}
	s, err := v.sessions.Start(r.Context(), session.Start{Tenant: tenant, Subject: customer, SubjectState: limit})
	if err == nil {
		err = edge.SetHandle(w, s.Handle)
	}
	answer(w, err)
}

func (v *vidimusShop) signOut(w http.ResponseWriter, r *http.Request) {
	c, _ := passport.FromContext(r.Context())
	_, err := v.sessions.End(r.Context(), c.Session, session.Ended{Why: session.LoggedOut})
	if err == nil {
		edge.ClearHandle(w)
	}
	answer(w, err)
}

// add puts an item into the cart. It begins with the state that came with the request, however old that is when the
// work is done: if somebody was faster, the write is refused, and decided again on what they left.
func (v *vidimusShop) add(w http.ResponseWriter, r *http.Request) {
	c, _ := passport.FromContext(r.Context())
	s, err := passport.StateOf[attributes](c)
	item, work, wrong := addition(r)
	if err = errors.Join(err, wrong); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := clock.Sleep(r.Context(), work); err != nil { // the prices, the stock, the payment
		answer(w, err)
		return
	}
	changed, err := v.put(r.Context(), c, s.Session.Items, item)
	if err == nil {
		header.SetEffect(w.Header(), header.Effect{Mark: changed.Mark, Version: int64(changed.Version)})
	}
	answer(w, err)
}

func (v *vidimusShop) put(ctx context.Context, c *passport.Claims, items []int, item int) (session.Session, error) {
	version := journal.Version(c.Version)
	for try := 1; ; try++ {
		set, err := attribute("items", state{Items: items}.add(item).Items)
		if err != nil {
			return session.Session{}, err
		}
		changed, err := v.sessions.Change(ctx, c.Session, session.Change{Expect: journal.Exactly(version), Set: set})
		if !errors.Is(err, journal.ErrConflict) || try == maxTries {
			return changed, err
		}
		v.retries.Add(1)
		now, err := v.sessions.Get(ctx, c.Session)
		if err != nil {
			return now, err
		}
		items, version = nil, now.Version
		if text, ok := now.State["items"]; ok {
			if err := json.Unmarshal(text, &items); err != nil {
				return now, err
			}
		}
	}
}

func (v *vidimusShop) look(w http.ResponseWriter, r *http.Request) {
	c, _ := passport.FromContext(r.Context())
	s, err := passport.StateOf[attributes](c)
	if err != nil {
		answer(w, err)
		return
	}
	show(w, cart{s.Session.Items, s.Subject.Limit})
}

// operate changes the customer's limit, for the operator, who has no session here.
func (v *vidimusShop) operate(w http.ResponseWriter, r *http.Request) {
	value, err := strconv.Atoi(r.URL.Query().Get("value"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	set, err := attribute("limit", value)
	if err == nil {
		change := session.Change{Expect: journal.Any, Set: set, By: "operator"}
		_, err = v.sessions.ChangeSubject(r.Context(), tenant, customer, change)
	}
	answer(w, err)
}

// answer says whether what was asked for is done, and durable.
func answer(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, session.ErrEnded):
		http.Error(w, "the session has ended", http.StatusUnauthorized)
	case errors.Is(err, journal.ErrConflict):
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
