// SPDX-License-Identifier: Apache-2.0

// The few texts that most passports share, kept once.

package passport

import (
	"maps"
	"strings"
	"sync/atomic"
)

// maxWords is how many texts, and how many lists, are kept. Others are as good, but each passport has its own.
const maxWords = 128

// words are texts and lists of them. Goroutines may share it.
type words struct {
	texts atomic.Pointer[map[string]string]
	lists atomic.Pointer[map[string][]string] // by their JSON
}

// text returns a text that is equal to s, and the same one for most.
func (w *words) text(s string) string {
	if kept, ok := get(&w.texts, s); ok {
		return kept
	}
	if kept := w.texts.Load(); kept == nil || len(*kept) < maxWords {
		s = strings.Clone(s) // not the passport that it is a part of
		put(&w.texts, s, s)
	}
	return s
}

// list returns the strings of a JSON array that was checked.
func (w *words) list(raw []byte) []string {
	if kept := w.lists.Load(); kept != nil {
		if list, ok := (*kept)[string(raw)]; ok {
			return list
		}
	}
	list := methods(raw)
	put(&w.lists, string(raw), list)
	return list
}

func get[V any](from *atomic.Pointer[map[string]V], key string) (v V, ok bool) {
	if kept := from.Load(); kept != nil {
		v, ok = (*kept)[key]
	}
	return v, ok
}

// put adds to a map that others read meanwhile. Who loses against another one adds it the next time.
func put[V any](to *atomic.Pointer[map[string]V], key string, v V) {
	kept := to.Load()
	if kept != nil && len(*kept) >= maxWords {
		return
	}
	next := map[string]V{key: v}
	if kept != nil {
		maps.Copy(next, *kept)
	}
	to.CompareAndSwap(kept, &next)
}
