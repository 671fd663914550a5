package server

import (
	"context"

	"github.com/domaind/domaind/gen/api"
)

// defaultLimit is the length of a page when the caller names none.
const defaultLimit = 50

// ListEvents answers GET /v2/domains/{domain}/events.
func (s *Server) ListEvents(ctx context.Context, r api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	events, next, err := s.cfg.Store.Events(ctx, t, n, valueOr(r.Params.Limit, defaultLimit), value(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	return api.ListEvents200JSONResponse{Events: each(events, toEvent), NextCursor: optional(next)}, nil
}
