package server

import (
	"context"
	"time"

	"github.com/domaind/domaind/gen/api"
)

// defaultLinkHours is how long a setup link is valid where nobody says.
const defaultLinkHours = 72

// CreateSetupLink answers POST /v2/domains/{domain}/setup-link.
func (s *Server) CreateSetupLink(ctx context.Context, r api.CreateSetupLinkRequestObject) (api.CreateSetupLinkResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(valueOr(r.Body.TTLHours, defaultLinkHours)) * time.Hour
	link, err := s.cfg.Store.CreateSetupLink(ctx, t, n, ttl)
	if err != nil {
		return nil, err
	}
	return api.CreateSetupLink201JSONResponse{
		URL: s.cfg.PublicURL + "/setup/" + link.Token.Reveal(), ExpiresAt: link.ExpiresAt,
	}, nil
}

// RevokeSetupLinks answers DELETE /v2/domains/{domain}/setup-link.
func (s *Server) RevokeSetupLinks(ctx context.Context, r api.RevokeSetupLinksRequestObject) (api.RevokeSetupLinksResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	revoked, err := s.cfg.Store.RevokeSetupLinks(ctx, t, n)
	if err != nil {
		return nil, err
	}
	return api.RevokeSetupLinks200JSONResponse{Ok: true, Revoked: revoked}, nil
}
