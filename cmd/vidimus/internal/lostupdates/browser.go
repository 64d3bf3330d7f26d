// SPDX-License-Identifier: Apache-2.0

// The browser: tabs that share one cookie jar.

package lostupdates

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"time"
)

// requestTimeout bounds each request; the slowest works for a fifth of a second.
const requestTimeout = 30 * time.Second

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// browser is a client with a jar. Its tabs are the goroutines that use it.
type browser struct {
	shop   string
	client *http.Client
}

// cart is what a shop shows of the state.
type cart struct {
	Items []int `json:"items"`
	Limit int   `json:"limit"`
}

func newBrowser(shop string) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &browser{shop, &http.Client{
		Jar: localJar{jar}, Timeout: requestTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * MaxTabs},
	}}, nil
}

// copied returns another browser with the cookies of this one, as a thief has it.
func (b *browser) copied() (*browser, error) {
	other, err := newBrowser(b.shop)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(b.shop)
	if err != nil {
		return nil, err
	}
	other.client.Jar.SetCookies(at, b.client.Jar.Cookies(at))
	return other, nil
}

// close gives the connections back.
func (b *browser) close() { b.client.CloseIdleConnections() }

// localJar keeps cookies as browsers do for this machine, where a cookie that wants a secure connection needs none.
type localJar struct{ *cookiejar.Jar }

// Cookies returns the cookies to send to u.
func (j localJar) Cookies(u *url.URL) []*http.Cookie { return j.Jar.Cookies(secure(u)) }

// SetCookies keeps the cookies that u set.
func (j localJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.Jar.SetCookies(secure(u), cookies)
}

func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

// do sends one request and returns the status and the body of the answer.
func (b *browser) do(ctx context.Context, method, path string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, b.shop+path, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return answer.StatusCode, body, err
}

// want sends a request that has to be answered with one of the statuses, and returns which.
func (b *browser) want(ctx context.Context, method, path string, statuses ...int) (int, []byte, error) {
	status, body, err := b.do(ctx, method, path)
	if err != nil {
		return 0, nil, err
	}
	for _, s := range statuses {
		if s == status {
			return status, body, nil
		}
	}
	return 0, nil, fmt.Errorf("%s %s was answered %d: %.200s", method, path, status, body)
}

func (b *browser) signIn(ctx context.Context) error {
	_, _, err := b.want(ctx, http.MethodPost, "/sign-in", http.StatusNoContent)
	return err
}

func (b *browser) signOut(ctx context.Context) error {
	_, _, err := b.want(ctx, http.MethodPost, "/sign-out", http.StatusNoContent)
	return err
}

// add puts an item into the cart and reports whether the shop said that it is kept. A shop may refuse it to somebody
// who is not signed in any more.
func (b *browser) add(ctx context.Context, item int, work time.Duration) (kept bool, err error) {
	path := "/add?item=" + strconv.Itoa(item) + "&work=" + url.QueryEscape(work.String())
	status, _, err := b.want(ctx, http.MethodPost, path, http.StatusNoContent, http.StatusUnauthorized)
	return status == http.StatusNoContent, err
}

// look reads the state; signedIn is false if the shop does not know the browser.
func (b *browser) look(ctx context.Context) (c cart, signedIn bool, err error) {
	status, body, err := b.want(ctx, http.MethodGet, "/cart", http.StatusOK, http.StatusUnauthorized)
	if err != nil || status == http.StatusUnauthorized {
		return cart{}, false, err
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return cart{}, false, fmt.Errorf("the shop shows %.200q: %w", body, err)
	}
	return c, true, nil
}

// operate changes the customer's limit, as an operator does from elsewhere.
func (b *browser) operate(ctx context.Context, limit int) error {
	_, _, err := b.want(ctx, http.MethodPost, "/limit?value="+strconv.Itoa(limit), http.StatusNoContent)
	return err
}
