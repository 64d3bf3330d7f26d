// SPDX-License-Identifier: Apache-2.0

// What a node says of a request, in the words of the command line.

package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"example.com/vidimus/journal"
)

// flagError says what is wrong with a flag: an error that named the field of a request.
type flagError struct {
	flag, text string
	err        error
}

func (e *flagError) Error() string { return e.text }
func (e *flagError) Unwrap() error { return e.err }

// sessionFlags are the flags and arguments that the fields of commands on sessions are given by.
func sessionFlags() map[string]string {
	return map[string]string{
		"Start.Tenant": "--tenant", "Start.Subject": "subject", "Start.State": "--set", "Start.SubjectState": "--subject-set",
		"Start.Scopes": "--scope", "Start.ACR": "--acr", "Start.AMR": "--amr", "Start.Device.Name": "--device",
		"Start.Idle": "--idle", "Start.Absolute": "--absolute",
		"Change.Set": "--set", "Change.Unset": "--unset", "Change.Via": "--via", "Change.By": "--by",
		"Ended.By": "--by", "Ended.Reason": "--reason", "tenant": "--tenant", "subject": "subject",
	}
}

// inFlags names the flag that a bad field was given by. Other errors stay what they are.
func inFlags(err error, flags map[string]string) error {
	bad, ok := errors.AsType[*journal.InvalidError](err)
	if !ok {
		return err
	}
	problem := strings.Replace(bad.Problem, "declare it there", "declare it in the file of the node's --public", 1)
	for field := bad.Field; field != ""; field = field[:max(strings.LastIndexAny(field, ".["), 0)] {
		if flag := flags[field]; flag != "" {
			text := flag
			if inside := bad.Field[len(field):]; strings.HasPrefix(inside, ".") {
				text += " " + inside[1:]
			}
			return &flagError{flag, text + ": " + problem, err}
		}
	}
	return err
}

// reached says which node it is that cannot be reached, and what to do.
func (w *where) reached(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && w.Server != "" {
		return fmt.Errorf("no node answers at %s; start one with `vidimus dev`, or name another by --server: %w",
			w.Server, err)
	}
	return err
}
