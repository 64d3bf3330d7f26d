// SPDX-License-Identifier: Apache-2.0

// Where frames and heads come from: an authority in this process, or one over HTTP.

package heartbeat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"example.com/vidimus/passport"
)

// Source is an authority as a [Client] sees it: feed.Feed in the same process, [Remote] over HTTP.
type Source interface {
	// Subscribe returns the frames behind a place in the log, then those to come, until ctx ends or the source cuts the
	// reader off, who may subscribe again from where it is. The zero Mark, or a place that the source does not remember,
	// is answered with a snapshot first. Frames that say nothing new come now and then, to show that the source lives.
	// The last pair has an error.
	Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[Frame, error]
	// Ping returns the end of the log, read from the store after the call began: everything acknowledged before it, by any
	// node, stands at or below.
	Ping(ctx context.Context) (Head, error)
}

// Remote is an authority over HTTP: GET URL/v1/feed is its feed as server-sent events, POST URL/v1/ping answers with
// its head as JSON. Goroutines may share it once its fields are set.
type Remote struct {
	// URL is where the authority is, such as "https://authority.example:7420".
	URL string
	// Token, if not empty, is sent as the bearer token.
	Token string
	// HTTP is the client to use; nil for [http.DefaultClient]. It must not have a Timeout: the feed does not end.
	HTTP *http.Client
}

// Limits of what an authority answers to a ping, and of what is quoted of its errors.
const (
	maxHead  = 4 << 10
	maxQuote = 512
)

// Subscribe implements [Source].
func (r *Remote) Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		header := http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}}
		if from.Valid() {
			header.Set("Last-Event-ID", from.String())
		}
		res, err := r.do(ctx, http.MethodGet, "/v1/feed", header)
		if err != nil {
			yield(Frame{}, err)
			return
		}
		defer res.Body.Close()
		if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
			yield(Frame{}, invalid("content-type", "of the feed is %.80q; want text/event-stream", kind))
			return
		}
		for events := newEventReader(res.Body); ; {
			f, err := events.next()
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // a feed has no end
			}
			if err != nil {
				yield(Frame{}, fmt.Errorf("feed of %s: %w", r.URL, err))
				return
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Ping implements [Source].
func (r *Remote) Ping(ctx context.Context) (Head, error) {
	res, err := r.do(ctx, http.MethodPost, "/v1/ping", http.Header{"Accept": {"application/json"}})
	if err != nil {
		return Head{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxHead))
	if err != nil {
		return Head{}, fmt.Errorf("ping %s: %w", r.URL, err)
	}
	return parseHead(body)
}

// do sends a request without a body, and makes an error of every answer that is not 200.
func (r *Remote) do(ctx context.Context, method, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.URL, "/")+path, nil)
	if err != nil {
		return nil, invalid("url", "%v", err)
	}
	req.Header = header
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	client := r.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxQuote)) // what there is
		_ = res.Body.Close()
		return nil, &answerError{method + " " + req.URL.Redacted(), res.StatusCode, reason(body)}
	}
	return res, nil
}

// answerError is an answer that is not 200.
type answerError struct {
	asked  string
	status int
	reason string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.asked, e.status, http.StatusText(e.status), e.reason)
}

// reason is what the body of a refusal says, in one line: the message of an error as JSON, or else the text, quoted.
func reason(body []byte) string {
	var said struct{ Message, Detail string }
	if err := json.Unmarshal(body, &said); err != nil || said.Message+said.Detail == "" {
		return strconv.Quote(string(body))
	}
	return strings.Join(strings.Fields(cmp.Or(said.Message, said.Detail)), " ")
}
