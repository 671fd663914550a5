package inbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// lookups speaks to the libraries in the terms of net.Resolver: a definite no
// is a net.DNSError that says so, anything else is temporary.
type lookups struct{ resolver resolve.Resolver }

func (l lookups) lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	a, err := l.resolver.Lookup(ctx, name, qtype)
	if err != nil {
		return a, &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true, IsTimeout: ctx.Err() != nil}
	}
	if a.Empty() {
		return a, &net.DNSError{Err: "no such record", Name: name, IsNotFound: true}
	}
	return a, nil
}

// LookupTXT implements spf.DNSResolver, as the others do.
func (l lookups) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, err := l.lookup(ctx, name, resolve.TypeTXT)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(a.TXT))
	for i, t := range a.TXT {
		list[i] = t.Join()
	}
	return list, nil
}

func (l lookups) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a, err := l.lookup(ctx, name, resolve.TypeMX)
	if err != nil {
		return nil, err
	}
	list := make([]*net.MX, len(a.MX))
	for i, m := range a.MX {
		list[i] = &net.MX{Host: m.Host, Pref: m.Preference}
	}
	return list, nil
}

func (l lookups) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	var list []net.IPAddr
	var failed error
	for _, qtype := range []resolve.Type{resolve.TypeA, resolve.TypeAAAA} {
		a, err := l.lookup(ctx, host, qtype)
		var e *net.DNSError
		if errors.As(err, &e) && !e.IsNotFound {
			failed = err
		}
		for _, addr := range a.Addrs {
			list = append(list, net.IPAddr{IP: addr.AsSlice()})
		}
	}
	switch {
	case len(list) > 0:
		return list, nil
	case failed != nil:
		return nil, failed
	default:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
}

func (l lookups) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	name, err := dns.ReverseAddr(ip.String())
	if err != nil {
		return nil, err
	}
	a, err := l.lookup(ctx, name, resolve.TypePTR)
	return a.Hosts, err
}
