package resolve

import (
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// SystemServers returns the name servers of a resolv.conf(5) file, at least
// one, in its order and on port 53.
func SystemServers(path string) ([]netip.AddrPort, error) {
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read name servers: %w", err)
	}
	var servers []netip.AddrPort
	for _, s := range conf.Servers {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("read name servers of %s: %w", path, err)
		}
		servers = append(servers, netip.AddrPortFrom(ip, dnsPort))
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("read name servers of %s: there are none", path)
	}
	return servers, nil
}
