package resolve

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// maxWalk bounds the labels that are walked up to find a zone cut.
const maxWalk = 10

// cut returns the apex of the zone that c.name is in. It walks up label by
// label, for any of them may be delegated, _domainkey too; the SOA record of
// a negative answer mostly names the apex at once.
func (d *Direct) cut(ctx context.Context, c *chase) (string, *Error) {
	name := c.name
	for range maxWalk {
		a, err := d.config.Resolver.Lookup(ctx, name, TypeSOA)
		var e *Error
		switch {
		case errors.As(err, &e) && e.Code == CodeCNAMELoop, err == nil && len(a.Chain) > 0:
			// An alias is never an apex: it lies in the zone of its parent.
		case err != nil:
			return "", c.wrap(err)
		case len(a.SOA) > 0:
			return name, nil
		case !a.Weak && within(name, a.Zone):
			return a.Zone, nil
		}
		if name == "" {
			break
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return "", c.fail(CodeLame, "The zone that the name is in cannot be found.")
}

// servers returns where the zone's servers are to be asked: at least one
// address, none of them refused.
func (d *Direct) servers(ctx context.Context, c *chase, zone string) ([]netip.AddrPort, *Error) {
	a, err := d.config.Resolver.Lookup(ctx, zone, TypeNS)
	if err != nil {
		return nil, c.wrap(err)
	}
	hosts := slices.Sorted(slices.Values(a.Hosts))
	hosts = hosts[:min(len(hosts), maxNameServers)]
	found := make([][]netip.Addr, len(hosts))
	var wg sync.WaitGroup
	for i, host := range hosts {
		wg.Go(func() { found[i] = d.addrs(ctx, host) })
	}
	wg.Wait()
	var addrs []netip.AddrPort
	refused := 0
	for _, ips := range found {
		for _, ip := range ips {
			addr := netip.AddrPortFrom(ip, d.config.Port)
			switch {
			case !d.global(ip):
				refused++
			case !slices.Contains(addrs, addr):
				addrs = append(addrs, addr)
			}
		}
	}
	switch {
	case len(addrs) > 0:
		return addrs, nil
	case refused > 0:
		return nil, c.fail(CodeRefused, "The zone's name servers have no public address; private ones are not asked.")
	}
	return nil, c.fail(CodeLame, "The zone's name servers have no addresses.")
}

// global says that an address may be asked: the customer chooses the names of
// the name servers, and must not point us at our own network.
func (d *Direct) global(ip netip.Addr) bool {
	return ip.IsValid() && d.guard.SafeAddr(ip) == nil
}

// addrs returns a few addresses of a name server, of both families where it
// has both.
func (d *Direct) addrs(ctx context.Context, host string) []netip.Addr {
	var found [2][]netip.Addr
	var wg sync.WaitGroup
	for i, t := range []Type{TypeA, TypeAAAA} {
		wg.Go(func() {
			if a, err := d.config.Resolver.Lookup(ctx, host, t); err == nil {
				found[i] = slices.SortedFunc(slices.Values(a.Addrs), netip.Addr.Compare)
			}
		})
	}
	wg.Wait()
	v4, v6 := found[0], found[1]
	if len(v4) > 0 && len(v6) > 0 {
		return []netip.Addr{v4[0], v6[0]}
	}
	all := slices.Concat(v4, v6)
	return all[:min(len(all), maxServerAddrs)]
}

// wrap makes an error of a lookup on the way one about the caller's question.
func (c *chase) wrap(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return c.fail(e.Code, e.Detail).because(err)
	}
	return c.fail(CodeTimeout, "The zone's name servers cannot be found.").because(err)
}
