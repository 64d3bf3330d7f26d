// SPDX-License-Identifier: Apache-2.0

// What tests of this package share.

package feed_test

import (
	"net/http"

	"example.com/vidimus/heartbeat/feed"
)

// paths mounts a feed as an authority does.
func paths(f *feed.Feed) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/feed", f)
	mux.Handle("POST /v1/ping", f)
	return mux
}
