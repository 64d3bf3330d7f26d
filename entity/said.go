// SPDX-License-Identifier: Apache-2.0

// What a command said, so that its id under another one is noticed.

package entity

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"example.com/vidimus/journal"
)

// meta goes along with the first event of a command that has an id. Its name is stored.
type meta struct {
	Said string `json:"said,omitempty"` // the digest
}

// digest returns a short name of what a command said: the same for the same JSON, however that is written. It is empty
// for what is no JSON.
func digest(said any) string {
	text, err := json.Marshal(said)
	if err != nil {
		return ""
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	var canonical any // with the names of objects in order
	if err := in.Decode(&canonical); err != nil {
		return ""
	}
	if text, err = json.Marshal(canonical); err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte("vidimus command\n"), text...))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// said returns the digest of the command.
func (t *try[S]) said() string {
	if t.options.Said != nil {
		return digest(t.options.Said)
	}
	return digest(struct {
		Kind    string
		Command any
	}{fmt.Sprintf("%T", t.command), t.command})
}

// noted returns what goes along with the first event of a command that said this; nil for nothing.
func noted(said string) []byte {
	if said == "" {
		return nil
	}
	text, _ := json.Marshal(meta{said}) // a string in a struct always is JSON
	return text
}

// saidBy returns the digest that an event holds, empty if there is none.
func saidBy(e *journal.EventData) string {
	var m meta
	if json.Unmarshal(e.Meta, &m) != nil {
		return ""
	}
	return m.Said
}

// MaySay reports whether the command that an event is the first of may have said this, see [Options.Said]: false if it
// said something else, true also if nobody knows.
func MaySay(e *journal.EventData, said any) bool {
	return alike(saidBy(e), digest(said))
}

// alike reports whether two digests may be of the same: nobody knows of an empty one.
func alike(was, is string) bool { return was == "" || is == "" || was == is }

// same returns journal.ErrIDReused if the command that was found said something else.
func (t *try[S]) same(h *history[S]) error {
	if !alike(h.said, t.said()) {
		return fmt.Errorf("%s: %w: the command %s was carried out and said something else; give each command an id of "+
			"its own, and repeat one only as it was", t.entity.Stream(t.id), journal.ErrIDReused, t.name)
	}
	return nil
}
