package server

import (
	"context"

	"github.com/domaind/domaind/gen/api"
)

// ListDeliveries answers GET /v2/domains/{domain}/deliveries.
func (s *Server) ListDeliveries(ctx context.Context, r api.ListDeliveriesRequestObject) (api.ListDeliveriesResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Store.Deliveries(ctx, t, n, fromDeliveryParams(r.Params))
	if err != nil {
		return nil, err
	}
	return api.ListDeliveries200JSONResponse{Deliveries: each(list, toDelivery), NextCursor: optional(next)}, nil
}

// RetryDelivery answers POST /v2/domains/{domain}/deliveries/{id}/retry.
func (s *Server) RetryDelivery(ctx context.Context, r api.RetryDeliveryRequestObject) (api.RetryDeliveryResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	d, err := s.cfg.Store.RetryDelivery(ctx, t, n, r.ID)
	if err != nil {
		return nil, err
	}
	s.wakeDelivery()
	return api.RetryDelivery202JSONResponse(toDelivery(d)), nil
}

// RetryDeliveries answers POST /v2/domains/{domain}/deliveries/retry.
func (s *Server) RetryDeliveries(ctx context.Context, r api.RetryDeliveriesRequestObject) (api.RetryDeliveriesResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	span, err := fromRetryRange(*r.Body)
	if err != nil {
		return nil, err
	}
	retried, err := s.cfg.Store.RetryDeliveries(ctx, t, n, span)
	if err != nil {
		return nil, err
	}
	s.wakeDelivery()
	return api.RetryDeliveries202JSONResponse{Ok: true, Retried: retried}, nil
}
