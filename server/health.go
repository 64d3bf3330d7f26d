// SPDX-License-Identifier: Apache-2.0

// Whether the node serves, and why not.

package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

// grpcHealth is where gRPC's own health checks ask. Their messages look the same on the wire.
const grpcHealth = "/grpc.health.v1.Health/Check"

const (
	healthAge     = time.Second     // how old an answer about a journal may be
	healthTimeout = 2 * time.Second // how long a journal may take to answer
)

// health remembers whether a journal can be used, so that anybody may ask without burdening it.
type health struct {
	mu struct {
		sync.Mutex
		asked time.Time
		err   error
	}
}

// check asks the journal, or answers what it said within the last second. Only one caller asks, the others wait. News
// is true for the one that asked.
func (h *health) check(ctx context.Context, log *journal.Log) (news bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.mu.asked.IsZero() && clock.Since(h.mu.asked) < healthAge {
		return false, h.mu.err
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	_, h.mu.err = log.Head(limited)
	h.mu.asked = clock.Now()
	return true, h.mu.err
}

// reasons says why the node is not ready. Anybody may read it, so it names no cells and no causes.
func (s *Server) reasons(ctx context.Context) []string {
	reasons := []string{}
	if s.draining.Load() {
		reasons = append(reasons, "the node is shutting down")
	}
	down := 0
	for _, name := range s.names() {
		c := s.cells[name]
		news, err := c.health.check(ctx, c.log)
		if err == nil {
			continue
		}
		down++
		if news {
			s.config.Logger.WarnContext(ctx, "journal is not ready", "cell", name, "error", err)
		}
	}
	if down > 0 {
		reasons = append(reasons,
			fmt.Sprintf("%d of %d journals cannot be used; the node's log says why", down, len(s.cells)))
	}
	return reasons
}

// livez says that the process runs. It depends on nothing.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]bool{"live": true})
}

// readyz says whether the node can do its work, and why not.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	reasons := s.reasons(r.Context())
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons"`
	}{len(reasons) == 0, reasons})
}

type healthService struct{ s *Server }

// Check implements the service.
func (h *healthService) Check(ctx context.Context, m *pb.CheckRequest) (*pb.CheckResponse, error) {
	switch m.GetService() {
	case "", vidimusv1connect.JournalServiceName, vidimusv1connect.LeaseServiceName, vidimusv1connect.TokenServiceName,
		vidimusv1connect.HealthServiceName:
	default:
		return nil, errors.Join(journal.ErrNotFound, fmt.Errorf("no service %q here", m.GetService()))
	}
	status := pb.CheckResponse_STATUS_SERVING
	if len(h.s.reasons(ctx)) > 0 {
		status = pb.CheckResponse_STATUS_NOT_SERVING
	}
	return &pb.CheckResponse{Status: status}, nil
}
