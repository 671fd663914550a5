package server

import (
	"context"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
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
	if err := s.mayForward(ctx, t, n, p); err != nil {
		return nil, err
	}
	d, err := s.cfg.Store.PutRoute(ctx, t, n, p)
	if err != nil {
		return nil, err
	}
	s.wakeDelivery() // of what was held for the route
	return api.PutRoute200JSONResponse{
		Body:    s.toDetails(d),
		Headers: api.PutRoute200ResponseHeaders{ETag: ptr(etag(d.Route.Version))},
	}, nil
}

// mayForward refuses a route that forwards where nothing does, or where the
// mail would come back. What a route keeps for another mode harms nobody.
func (s *Server) mayForward(ctx context.Context, t store.Tenant, domain string, p store.PutRoute) error {
	if p.Mode != store.ForwardModeForwardEmail {
		return nil
	}
	if s.cfg.ForwardingOff {
		return refusal(&fieldError{"/forward_mode", "forwarding-not-configured", "this service forwards no mail"})
	}
	if _, err := s.cfg.Store.DomainID(ctx, t, domain); err != nil {
		return err
	}
	_, to := store.SplitAddress(p.ForwardTo)
	loop, err := s.cfg.Store.ForwardLoop(ctx, domain, to)
	if loop {
		return refusal(&fieldError{"/forward_to_email", "forward-loop", "mail that is forwarded there comes back to this domain"})
	}
	return err
}

// TestRoute answers POST /v2/domains/{domain}/route/test.
func (s *Server) TestRoute(ctx context.Context, r api.TestRouteRequestObject) (api.TestRouteResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	if s.cfg.TestEndpoint == nil {
		return nil, newProblem(codeUnavailable)
	}
	if _, err := s.cfg.Store.DomainID(ctx, t, n); err != nil {
		return nil, err
	}
	if err := s.limits.test(t.UserID); err != nil {
		return nil, err
	}
	a, err := s.cfg.TestEndpoint(ctx, t, n)
	if err != nil {
		return nil, err
	}
	return api.TestRoute200JSONResponse{Ok: a.Error == "", Attempt: toAttempt(a)}, nil
}
