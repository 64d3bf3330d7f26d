// SPDX-License-Identifier: Apache-2.0

// Package answer writes what the services of the box office answer: JSON, and problems as RFC 9457 describes them.
package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// MaxBody is how many bytes the body of a request may have.
const MaxBody = 4 << 10

// Problem is a refusal that the caller is told.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"` // what to do about it
}

func (p *Problem) Error() string { return p.Title }

// JSON answers with a value.
func JSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		Error(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // nobody is left to tell
}

// Error answers with a [Problem], and with status 500 to any other error, whose text stays inside.
func Error(w http.ResponseWriter, err error) {
	p := (*Problem)(nil)
	if !errors.As(err, &p) {
		p = &Problem{Status: http.StatusInternalServerError, Title: "Something went wrong.", Detail: "Try again."}
	}
	body, _ := json.Marshal(p) // numbers and strings always marshal
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // nobody is left to tell
}

// Read decodes the body of a request into a value: one JSON object with known fields. It returns a [Problem].
func Read(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.Decode(&struct{}{}) != io.EOF {
		err = errors.New("there is more than one value")
	}
	if err != nil {
		return &Problem{http.StatusBadRequest, "The body cannot be read.", fmt.Sprintf("Send one JSON object: %v.", err)}
	}
	return nil
}
