// SPDX-License-Identifier: Apache-2.0

// The shop that keeps its state on the server: a session store as it is commonly used, which loads a session when a
// request begins and saves the whole of it when the request ends.

package lostupdates

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"example.com/vidimus/internal/chance"
)

// storeKeeper keeps sessions by token, serialised as they would be in a cache beside the shop.
type storeKeeper struct {
	mu       sync.Mutex
	sessions map[string][]byte
	limit    int
}

func openStoreShop(context.Context, string) (*shop, error) {
	k := &storeKeeper{sessions: map[string][]byte{}}
	return usualShop(k, func() int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.limit
	}), nil
}

func (k *storeKeeper) load(r *http.Request) (s state, ok bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return state{}, false
	}
	k.mu.Lock()
	text, known := k.sessions[c.Value]
	k.mu.Unlock()
	if !known || json.Unmarshal(text, &s) != nil {
		return state{}, false
	}
	return s, true
}

// save writes the session and its cookie, as middleware does that commits a session which was changed.
func (k *storeKeeper) save(w http.ResponseWriter, r *http.Request, s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	token := newToken()
	if c, err := r.Cookie(cookieName); err == nil {
		token = c.Value
	}
	k.mu.Lock()
	k.sessions[token] = text
	k.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

func (k *storeKeeper) end(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		k.mu.Lock()
		delete(k.sessions, c.Value)
		k.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
}

// operate changes the account and, since it can reach them, the customer's sessions.
func (k *storeKeeper) operate(limit int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.limit = limit
	for token, text := range k.sessions {
		var s state
		if json.Unmarshal(text, &s) != nil {
			continue
		}
		s.Limit = limit
		if changed, err := json.Marshal(s); err == nil {
			k.sessions[token] = changed
		}
	}
}

// newToken names a session so that nobody guesses it.
func newToken() string {
	raw := make([]byte, 32)
	chance.Fill(raw)
	return encode(raw)
}
