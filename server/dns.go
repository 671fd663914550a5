package server

import (
	"context"
	"errors"
	"strings"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/gen/api"
)

// GetDNS answers GET /v2/domains/{domain}/dns.
func (s *Server) GetDNS(ctx context.Context, r api.GetDNSRequestObject) (api.GetDNSResponseObject, error) {
	d, err := s.read(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	return api.GetDNS200JSONResponse{Domain: toDomain(d.Domain), DNS: each(d.Records, toRecord)}, nil
}

// GetZone answers GET /v2/domains/{domain}/zone.
func (s *Server) GetZone(ctx context.Context, r api.GetZoneRequestObject) (api.GetZoneResponseObject, error) {
	d, err := s.read(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	zone := dnscheck.Zone(toPublish(d.Records))
	return api.GetZone200TextDNSResponse{Body: strings.NewReader(zone), ContentLength: int64(len(zone))}, nil
}

// VerifyDNS answers POST /v2/domains/{domain}/dns/verify. What the check saw
// is in the domain afterwards; a check that took too long has changed nothing.
func (s *Server) VerifyDNS(ctx context.Context, r api.VerifyDNSRequestObject) (api.VerifyDNSResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	if s.cfg.CheckNow == nil {
		return nil, newProblem(codeUnavailable)
	}
	id, err := s.cfg.Store.DomainID(ctx, t, n)
	if err != nil {
		return nil, err
	}
	if err := s.limits.verify(t.UserID); err != nil {
		return nil, err
	}
	_, err = s.cfg.CheckNow(ctx, id, func(ctx context.Context) (dnscheck.Job, error) {
		return s.cfg.Store.ClaimDomain(ctx, t, n)
	})
	if err != nil && !(errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil) {
		return nil, err
	}
	d, err := s.cfg.Store.Domain(ctx, t, n)
	if err != nil {
		return nil, err
	}
	return api.VerifyDNS200JSONResponse(s.toDetails(d)), nil
}

// MarkDNS answers POST /v2/domains/{domain}/dns/mark.
func (s *Server) MarkDNS(ctx context.Context, r api.MarkDNSRequestObject) (api.MarkDNSResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	m, err := fromMark(*r.Body)
	if err != nil {
		return nil, err
	}
	d, err := s.cfg.Store.MarkRecord(ctx, t, n, m)
	if err != nil {
		return nil, err
	}
	s.wake()
	return api.MarkDNS200JSONResponse(s.toDetails(d)), nil
}

// RotateDKIM answers POST /v2/domains/{domain}/dkim/rotate.
func (s *Server) RotateDKIM(ctx context.Context, r api.RotateDKIMRequestObject) (api.RotateDKIMResponseObject, error) {
	t, n, err := s.target(ctx, r.Domain, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	d, err := s.cfg.Store.RotateDKIM(ctx, t, n)
	if err != nil {
		return nil, err
	}
	s.wake()
	return api.RotateDKIM202JSONResponse(s.toDetails(d)), nil
}
