package client

import (
	"context"

	gen "github.com/domaind/domaind/gen/client"
)

// Create makes a domain with the records that its owner must publish, and
// reports whether it is new: a user who has the name already gets the domain
// that stands. The organization may be "".
func (c *Client) Create(ctx context.Context, domain, organization string) (d DomainDetails, created bool, err error) {
	body := gen.CreateDomainRequest{Domain: domain, UserID: c.user}
	if organization != "" {
		body.OrganizationID = &organization
	}
	r, err := c.API.CreateDomainWithResponse(ctx, body)
	if err != nil {
		return d, false, err
	}
	document := r.JSON200
	if r.JSON201 != nil {
		document, created = r.JSON201, true
	}
	result, err := given(document, r)
	return result.Domain, created, err
}

// Get returns a domain with its records and its route.
func (c *Client) Get(ctx context.Context, domain string) (DomainDetails, error) {
	r, err := c.API.GetDomainWithResponse(ctx, domain, &gen.GetDomainParams{UserID: c.user})
	if err != nil {
		return DomainDetails{}, err
	}
	return given(r.JSON200, r)
}

// Verify has DNS checked now, and returns the domain as it is then.
func (c *Client) Verify(ctx context.Context, domain string) (DomainDetails, error) {
	r, err := c.API.VerifyDNSWithResponse(ctx, domain, gen.VerifyDNSRequest{UserID: c.user})
	if err != nil {
		return DomainDetails{}, err
	}
	return given(r.JSON200, r)
}

// Zone returns the records to publish as lines of a zone file (RFC 1035
// section 5).
func (c *Client) Zone(ctx context.Context, domain string) (string, error) {
	r, err := c.API.GetZoneWithResponse(ctx, domain, &gen.GetZoneParams{UserID: c.user})
	if err != nil {
		return "", err
	}
	return string(r.Body), nil
}

// PutRoute says what happens to the domain's inbound mail; its UserID is set
// here. A secret that this call generated is in the answer, and in no later one.
func (c *Client) PutRoute(ctx context.Context, domain string, route Route) (DomainDetails, error) {
	route.UserID = c.user
	r, err := c.API.PutRouteWithResponse(ctx, domain, nil, route)
	if err != nil {
		return DomainDetails{}, err
	}
	return given(r.JSON200, r)
}

// Delete removes a domain.
func (c *Client) Delete(ctx context.Context, domain string) error {
	_, err := c.API.DeleteDomainWithResponse(ctx, gen.DeleteDomainRequest{Domain: domain, UserID: c.user})
	return err
}

// Message returns one message with its content.
func (c *Client) Message(ctx context.Context, domain, id string) (gen.MessageDetails, error) {
	r, err := c.API.GetMessageWithResponse(ctx, domain, id, &gen.GetMessageParams{UserID: c.user})
	if err != nil {
		return gen.MessageDetails{}, err
	}
	return given(r.JSON200, r)
}

// RawMessage returns the octets of a message as they came.
func (c *Client) RawMessage(ctx context.Context, domain, id string) ([]byte, error) {
	r, err := c.API.GetMessageRawWithResponse(ctx, domain, id, &gen.GetMessageRawParams{UserID: &c.user})
	if err != nil {
		return nil, err
	}
	return r.Body, nil
}
