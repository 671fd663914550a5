package server

import (
	"context"

	"github.com/domaind/domaind/gen/api"
)

// PutRoute answers PUT /v2/domains/{domain}/route.
func (s *Server) PutRoute(ctx context.Context, r api.PutRouteRequestObject) (api.PutRouteResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	p, err := s.fromRoute(*r.Body, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	d, err := s.cfg.Store.PutRoute(ctx, t, n, p)
	if err != nil {
		return nil, err
	}
	return api.PutRoute200JSONResponse{
		Body:    s.toDetails(d),
		Headers: api.PutRoute200ResponseHeaders{ETag: ptr(etag(d.Route.Version))},
	}, nil
}
