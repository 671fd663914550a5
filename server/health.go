package server

import (
	"context"
	"fmt"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
)

// GetLivez answers GET /livez: the process runs.
func (s *Server) GetLivez(context.Context, api.GetLivezRequestObject) (api.GetLivezResponseObject, error) {
	return api.GetLivez200JSONResponse{Status: "ok", Version: optional(s.cfg.Version)}, nil
}

// GetReadyz answers GET /readyz: the database answers, and nobody has called
// Drain.
func (s *Server) GetReadyz(ctx context.Context, _ api.GetReadyzRequestObject) (api.GetReadyzResponseObject, error) {
	if s.draining.Load() {
		return nil, newProblem(codeUnavailable)
	}
	if err := s.cfg.Store.Ready(ctx); err != nil {
		// 503 whatever it is, a full disk too: a probe asks for no more. The log
		// has the rest.
		return nil, fmt.Errorf("%w: %s", store.ErrUnavailable, err.Error())
	}
	return api.GetReadyz200JSONResponse{Status: "ok", Version: optional(s.cfg.Version)}, nil
}
