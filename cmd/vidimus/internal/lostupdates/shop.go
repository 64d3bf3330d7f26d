// SPDX-License-Identifier: Apache-2.0

// What the two usual shops have in common: their pages, and how long they work.

package lostupdates

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"example.com/vidimus/internal/clock"
)

// maxItems is how many items a cart shows, the newest: a cookie holds no more.
const maxItems = 60

// state is what both keep: the whole of it is read when a request begins and written when it ends.
type state struct {
	Customer string `json:"customer"`
	Items    []int  `json:"items"`
	Limit    int    `json:"limit"`
}

// add returns the state with one item more.
func (s state) add(item int) state {
	s.Items = append(slices.Clone(s.Items), item)
	s.Items = s.Items[max(0, len(s.Items)-maxItems):]
	return s
}

// keeper is where a usual shop keeps the state between requests.
type keeper interface {
	// load returns the state as it is when the request begins, and false for somebody unknown.
	load(r *http.Request) (state, bool)
	// save writes the whole state.
	save(w http.ResponseWriter, r *http.Request, s state) error
	// end forgets the state.
	end(w http.ResponseWriter, r *http.Request)
	// operate changes the customer's limit from elsewhere.
	operate(limit int)
}

// pages are those of a usual shop.
func pages(k keeper, limit func() int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		answerSaved(w, k.save(w, r, state{Customer: "ada", Limit: limit()}))
	})
	mux.HandleFunc("POST /add", func(w http.ResponseWriter, r *http.Request) {
		s, ok := k.load(r)
		item, work, err := addition(r)
		if err != nil || !ok {
			refuse(w, ok, err)
			return
		}
		if err := clock.Sleep(r.Context(), work); err != nil { // the prices, the stock, the payment
			answerSaved(w, err)
			return
		}
		answerSaved(w, k.save(w, r, s.add(item)))
	})
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, r *http.Request) {
		s, ok := k.load(r)
		if !ok {
			refuse(w, ok, nil)
			return
		}
		show(w, cart{s.Items, s.Limit})
	})
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		k.end(w, r)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /limit", func(w http.ResponseWriter, r *http.Request) {
		value, err := strconv.Atoi(r.URL.Query().Get("value"))
		if err == nil {
			k.operate(value)
		}
		answerSaved(w, err)
	})
	return mux
}

// addition reads what is to be added, and how long that works.
func addition(r *http.Request) (item int, work time.Duration, err error) {
	item, err = strconv.Atoi(r.URL.Query().Get("item"))
	if err != nil {
		return 0, 0, err
	}
	work, err = time.ParseDuration(r.URL.Query().Get("work"))
	return item, min(work, slowest), err
}

func answerSaved(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuse answers somebody who is unknown, or a request that makes no sense.
func refuse(w http.ResponseWriter, known bool, err error) {
	if !known {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
}

func show(w http.ResponseWriter, c cart) {
	body, err := json.Marshal(c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a browser that left needs no answer
}

// listen serves a handler on a free port of this machine.
func listen(ctx context.Context, h http.Handler) (url string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: requestTimeout, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	return "http://" + l.Addr().String(), func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		err := server.Shutdown(ctx)
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// usualShop makes a shop of a keeper, which has nothing to retry and promises nothing.
func usualShop(k keeper, limit func() int) *shop {
	return &shop{
		serve:   func(ctx context.Context) (string, func() error, error) { return listen(ctx, pages(k, limit)) },
		retries: func() int { return 0 },
	}
}
