package main

import (
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// resolvConf is where the system names its resolvers.
const resolvConf = "/etc/resolv.conf"

// dnsStack is how this process asks DNS.
type dnsStack struct {
	config  dnscheck.Config
	closers []io.Closer
}

// newDNS wires clients, caches and vantages as the flags say. Close ends it.
func newDNS(f dnsFlags, x expectFlags, onQuery func(rcode, transport string)) (*dnsStack, error) {
	host, err := x.host()
	if err != nil {
		return nil, err
	}
	servers := []netip.AddrPort(f.DNSServers)
	if len(servers) == 0 {
		if servers, err = resolve.SystemServers(resolvConf); err != nil {
			return nil, fmt.Errorf("DOMAIND_DNS_SERVERS (--dns-servers) is not set, and %w", err)
		}
	}
	client, err := resolve.NewClient(resolve.Config{Servers: servers, OnQuery: onQuery})
	if err != nil {
		return nil, err
	}
	cache := resolve.NewCache(client, resolve.CacheConfig{})
	d := &dnsStack{closers: []io.Closer{client, cache}}
	d.config = dnscheck.Config{Fresh: cache.Fresh(), Shared: cache.Shared(), SendingIPs: x.SendingIPs, Suffix: publicsuffix.PublicSuffix}
	if host != "" {
		d.config.MXHosts = []string{host}
	}
	if f.DNSDirect {
		direct := resolve.NewDirect(resolve.DirectConfig{Resolver: cache.Shared(), Allow: f.AllowPrivateDNS, OnQuery: onQuery})
		d.closers = append(d.closers, direct)
		d.config.Direct = direct
	}
	if len(servers) > 1 {
		d.config.Second = client.Except
	}
	return d, nil
}

// Close ends all lookups and releases the sockets.
func (d *dnsStack) Close() {
	for i := len(d.closers); i > 0; i-- {
		_ = d.closers[i-1].Close()
	}
}
