package server

import (
	"context"
	"errors"
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
		return nil, fmt.Errorf("%w: %w", notReady(err), err)
	}
	return api.GetReadyz200JSONResponse{Status: "ok", Version: optional(s.cfg.Version)}, nil
}

// notReady is 503 whatever it is, a full disk too: a probe asks for no more. The
// detail is for whoever reads it; the log has the rest.
func notReady(err error) *problem {
	p := newProblem(codeUnavailable).header("Retry-After", retryAfter)
	switch {
	case errors.Is(err, store.ErrFull):
		return p.with("The storage is full; what is there can be read.")
	case errors.Is(err, store.ErrReadOnly):
		return p.with("The storage is read-only; what is there can be read.")
	case errors.Is(err, store.ErrDamaged):
		return p.with("The database is damaged.")
	case errors.Is(err, store.ErrMasterKey):
		return p.with("The master key file does not hold the key that seals this database.")
	default:
		return p.with("The database does not answer, or cannot be written.")
	}
}
