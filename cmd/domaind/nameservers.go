package main

import (
	"context"

	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/server"
)

// nameServers finds the zone that a domain lies in and who serves it; the zero
// Zone when that is no zone of a customer's, such as a registry's.
func nameServers(r resolve.Resolver) func(context.Context, string) (server.Zone, error) {
	return func(ctx context.Context, domain string) (server.Zone, error) {
		registered, err := publicsuffix.EffectiveTLDPlusOne(domain)
		if err != nil {
			return server.Zone{}, nil //nolint:nilerr // a public suffix itself
		}
		answer, err := r.Lookup(ctx, domain, resolve.TypeNS)
		if err != nil {
			return server.Zone{}, err
		}
		if len(answer.Hosts) > 0 && len(answer.Chain) == 0 {
			return server.Zone{Name: domain, Servers: answer.Hosts}, nil
		}
		apex := answer.Zone // by the SOA record of the negative answer
		if apex == "" {
			apex = registered
		}
		if !name.Under(apex, registered) || !name.Under(domain, apex) {
			return server.Zone{}, nil
		}
		answer, err = r.Lookup(ctx, apex, resolve.TypeNS)
		if err != nil || len(answer.Hosts) == 0 {
			return server.Zone{}, err
		}
		return server.Zone{Name: apex, Servers: answer.Hosts}, nil
	}
}
