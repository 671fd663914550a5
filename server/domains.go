package server

import (
	"context"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
)

// CreateDomain answers POST /v2/domain.
func (s *Server) CreateDomain(ctx context.Context, r api.CreateDomainRequestObject) (api.CreateDomainResponseObject, error) {
	n, err := s.bodyName(r.Body.Domain)
	if err != nil {
		return nil, err
	}
	org := value(r.Body.OrganizationID)
	t, err := tenant(ctx, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	if err := mayUseOrganization(t, org); err != nil {
		return nil, err
	}
	d, created, err := s.cfg.Store.CreateDomain(ctx, t, store.NewDomain{Name: n.ASCII, Unicode: n.Unicode, OrganizationID: org})
	if err != nil {
		return nil, err
	}
	if !created {
		return api.CreateDomain200JSONResponse{Message: "Domain already exists", Domain: s.toDetails(d)}, nil
	}
	s.wake()
	return api.CreateDomain201JSONResponse{Message: "Domain created", Domain: s.toDetails(d)}, nil
}

// ListDomains answers GET /v2/domains.
func (s *Server) ListDomains(ctx context.Context, r api.ListDomainsRequestObject) (api.ListDomainsResponseObject, error) {
	t, err := tenant(ctx, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	f := fromListParams(r.Params)
	if err := mayUseOrganization(t, f.OrganizationID); err != nil {
		return nil, err
	}
	domains, next, err := s.cfg.Store.Domains(ctx, t, f)
	if err != nil {
		return nil, err
	}
	return api.ListDomains200JSONResponse{Domains: each(domains, toDomain), NextCursor: optional(next)}, nil
}

// DeleteDomain answers POST /v2/domains/delete.
func (s *Server) DeleteDomain(ctx context.Context, r api.DeleteDomainRequestObject) (api.DeleteDomainResponseObject, error) {
	n, err := s.bodyName(r.Body.Domain)
	if err != nil {
		return nil, err
	}
	t, err := tenant(ctx, r.Body.UserID)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Store.DeleteDomain(ctx, t, n.ASCII); err != nil {
		return nil, err
	}
	return api.DeleteDomain200JSONResponse{Ok: true, Deleted: n.ASCII}, nil
}

// GetDomain answers GET /v2/domains/{domain}/info.
func (s *Server) GetDomain(ctx context.Context, r api.GetDomainRequestObject) (api.GetDomainResponseObject, error) {
	d, err := s.read(ctx, r.Domain, r.Params.UserID)
	if err != nil {
		return nil, err
	}
	return infoAnswer(s.toDetails(d)), nil
}

// read returns the domain that a pure read is about.
func (s *Server) read(ctx context.Context, domain, userID string) (store.Details, error) {
	t, n, err := s.target(ctx, domain, userID)
	if err != nil {
		return store.Details{}, err
	}
	return s.cfg.Store.Domain(ctx, t, n)
}

// target reads what most calls begin with: whose domain, and which.
func (s *Server) target(ctx context.Context, domain, userID string) (store.Tenant, string, error) {
	n, err := s.pathName(domain)
	if err != nil {
		return store.Tenant{}, "", err
	}
	t, err := tenant(ctx, userID)
	return t, n, err
}
