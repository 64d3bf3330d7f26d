// SPDX-License-Identifier: Apache-2.0

// Who calls, within the cell that a request names.

package server

import (
	"context"

	"example.com/vidimus/server/internal/door"
)

// visit is a call within one cell.
type visit struct {
	*door.Visit
	cell *cell
}

// enter returns the cell that a request names, and what the caller may do there; see [door.Door.Enter].
func (s *Server) enter(ctx context.Context, name string) (*visit, error) {
	v, err := s.door.Enter(ctx, name)
	if err != nil {
		return nil, err
	}
	return &visit{v, s.cells[v.Cell]}, nil
}

// stream is a call that lasts, within one cell.
type stream struct {
	*door.Stream
	cell *cell
}

// open enters a cell for a call that lasts; see [door.Door.Open].
func (s *Server) open(ctx context.Context, name string) (*stream, error) {
	st, err := s.door.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &stream{st, s.cells[st.Cell]}, nil
}
