package inbound

import (
	"net"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

// GuardedDialer returns a dialer that connects to public addresses only, and to
// those of the prefixes. It judges each address when it is dialled, so that no
// name can lead elsewhere between a check and its use.
func GuardedDialer(allow []netip.Prefix) *net.Dialer {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return &net.Dialer{Timeout: 10 * time.Second, Control: guardian.Safe}
}
