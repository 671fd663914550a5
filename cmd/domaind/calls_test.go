package main_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/domaind/domaind/gen/client"
)

// create makes a domain; it is an error when it was there before.
func (s *service) create(ctx context.Context, domain string) (client.DomainDetails, error) {
	reply, err := s.CreateDomainWithResponse(ctx, client.CreateDomainJSONRequestBody{Domain: domain, UserID: labUser})
	if err != nil {
		return client.DomainDetails{}, err
	}
	if reply.JSON201 == nil {
		return client.DomainDetails{}, unexpected(reply)
	}
	return reply.JSON201.Domain, nil
}

// info reads a domain.
func (s *service) info(ctx context.Context, domain string) (client.DomainDetails, error) {
	reply, err := s.GetDomainWithResponse(ctx, domain, &client.GetDomainParams{UserID: labUser})
	if err != nil {
		return client.DomainDetails{}, err
	}
	if reply.JSON200 == nil {
		return client.DomainDetails{}, unexpected(reply)
	}
	return *reply.JSON200, nil
}

// verify asks for a check now.
func (s *service) verify(ctx context.Context, domain string) (client.DomainDetails, error) {
	reply, err := s.VerifyDNSWithResponse(ctx, domain, client.VerifyDNSJSONRequestBody{UserID: labUser})
	if err != nil {
		return client.DomainDetails{}, err
	}
	if reply.JSON200 == nil {
		return client.DomainDetails{}, unexpected(reply)
	}
	return *reply.JSON200, nil
}

// rotate gives the domain a new DKIM key.
func (s *service) rotate(ctx context.Context, domain string) (client.DomainDetails, error) {
	reply, err := s.RotateDKIMWithResponse(ctx, domain, client.RotateDKIMJSONRequestBody{UserID: labUser})
	if err != nil {
		return client.DomainDetails{}, err
	}
	if reply.JSON202 == nil {
		return client.DomainDetails{}, unexpected(reply)
	}
	return *reply.JSON202, nil
}

func unexpected(reply interface {
	Status() string
	GetBody() []byte
}) error {
	return fmt.Errorf("%s: %s", reply.Status(), reply.GetBody())
}

// must returns v, and fails the test on an error.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// record returns the domain's record for a purpose; of several, the one whose
// name is not without.
func record(d client.DomainDetails, purpose, without string) (client.DNSRecord, error) {
	for _, r := range d.DNS {
		if string(r.Purpose) == purpose && (without == "" || r.Name != without) {
			return r, nil
		}
	}
	return client.DNSRecord{}, fmt.Errorf("%s has no %s record", d.Domain.Domain, purpose)
}
