// SPDX-License-Identifier: Apache-2.0

// The headers, by example.

package header_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"example.com/vidimus/passport/header"
)

// A service says that a request changed the state of its session: to the edge, so that the next request sees it, and
// to the client, which can have another edge see it by sending the position back.
func ExampleSetEffect() {
	w := httptest.NewRecorder()
	header.SetEffect(w.Header(), header.Effect{
		Mark:    header.Mark{Log: "c3", Epoch: 7, Position: 184470},
		Version: 413,
	})
	w.WriteHeader(http.StatusNoContent)
	fmt.Println(w.Header().Get("Vidimus-Effect"))
	fmt.Println(w.Header().Get("Vidimus-Position"))
	// Output:
	// pos="c3.7:184470";ver=413
	// c3.7:184470
}

// A mark is carried from the answer to a write to the request that must see it.
func ExampleParseMark() {
	wrote, err := header.ParseMark("c3.7:184467")
	if err != nil {
		fmt.Println(err)
		return
	}
	read := header.Mark{Log: "c3", Epoch: 7, Position: 184500}
	fmt.Println(read.Reaches(wrote))
	restored := header.Mark{Log: "c3", Epoch: 8, Position: 200000} // from a backup: another history
	fmt.Println(restored.Reaches(wrote))
	// Output:
	// true
	// false
}

// A reader asks for an answer that is at most two seconds old.
func ExampleParseConsistency() {
	c, err := header.ParseConsistency("minimize-latency;max-staleness=2000")
	fmt.Println(c.Mode, c.MaxStale, err)
	_, err = header.ParseConsistency("minimize-latency;max-stale=2000")
	fmt.Println(err)
	// Output:
	// minimize-latency 2s <nil>
	// Vidimus-Consistency has the unknown parameter max-stale
}
