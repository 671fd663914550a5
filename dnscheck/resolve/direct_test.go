package resolve_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// zoneServers starts servers that listen on 127.0.0.1, .2 and so on, all on
// one port, and publishes them as the name servers of example.org on the first,
// which is the recursor too.
func zoneServers(t *testing.T, n int) []*dnstest.Server {
	t.Helper()
	first := startServer(t)
	servers := []*dnstest.Server{first}
	for i := 2; i <= n; i++ {
		addr := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("127.0.0.%d", i)), first.Addr().Port())
		s, err := dnstest.StartAt(addr)
		if err != nil {
			t.Skipf("a second loopback address is needed: %v", err)
		}
		t.Cleanup(s.Close)
		servers = append(servers, s)
	}
	var lines []string
	var ns string
	for i := range servers {
		lines = append(lines, fmt.Sprintf("ns%d.example.org 60 A 127.0.0.%d", i+1, i+1))
		ns += fmt.Sprintf("example.org 60 NS ns%d.example.org\n", i+1)
	}
	for _, s := range servers {
		set(t, s, append(lines, ns)...)
	}
	return servers
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func newDirect(t *testing.T, servers []*dnstest.Server, allow []netip.Prefix) *resolve.Direct {
	t.Helper()
	addr := servers[0].Addr()
	d := resolve.NewDirect(resolve.DirectConfig{
		Resolver: newClient(t, resolve.Config{}, addr), Port: addr.Port(), Allow: allow, ServerTimeout: testTimeout,
	})
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestDirectMerges(t *testing.T) {
	const name = "name.example.org"
	ours, theirs := name+` 60 TXT "ours"`, name+` 60 TXT "theirs"`
	tests := map[string]struct {
		records      []string // by server
		faults       []dnstest.Behaviour
		want         string
		asked, agree int
		variants     int
		code         string
	}{
		"all agree":              {records: []string{ours, ours, ours}, want: "ours", asked: 3, agree: 3},
		"one has it already":     {records: []string{"", ours, ""}, want: "ours", asked: 3, agree: 1, variants: 1},
		"an old value on one":    {records: []string{theirs, ours, ours}, want: "ours", asked: 3, agree: 2, variants: 1},
		"none has it":            {records: []string{"", "", ""}, asked: 3, agree: 3},
		"a lame one":             {records: []string{ours, ours, ours}, faults: []dnstest.Behaviour{"", dnstest.Lame}, want: "ours", asked: 2, agree: 2},
		"a silent one":           {records: []string{"", ours, ours}, faults: []dnstest.Behaviour{"", dnstest.Silent}, want: "ours", asked: 2, agree: 1, variants: 1},
		"the case is lost":       {records: []string{ours, ours, ours}, faults: []dnstest.Behaviour{dnstest.LowerCase, dnstest.CaseMangled}, want: "ours", asked: 3, agree: 3},
		"all refuse":             {faults: []dnstest.Behaviour{dnstest.Refused, dnstest.Refused, dnstest.Refused}, code: resolve.CodeRefused},
		"all lame":               {faults: []dnstest.Behaviour{dnstest.Lame, dnstest.Lame, dnstest.Lame}, code: resolve.CodeLame},
		"all silent":             {faults: []dnstest.Behaviour{dnstest.Silent, dnstest.Silent, dnstest.Silent}, code: resolve.CodeTimeout},
		"silent but one refuses": {faults: []dnstest.Behaviour{dnstest.Silent, dnstest.Refused, dnstest.Silent}, code: resolve.CodeRefused},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			servers := zoneServers(t, 3)
			for i, r := range tt.records {
				if r != "" {
					set(t, servers[i], r)
				}
			}
			for i, b := range tt.faults {
				servers[i].Fault(name, b, "TXT")
			}
			a, err := newDirect(t, servers, loopback).Lookup(t.Context(), name, resolve.TypeTXT)
			if got := code(t, err); got != tt.code {
				t.Fatalf("got error %v, want code %q", err, tt.code)
			}
			got := ""
			if len(a.TXT) > 0 {
				got = a.TXT[0].Join()
			}
			if got != tt.want || a.Asked != tt.asked || a.Agree != tt.agree || len(a.Variants) != tt.variants {
				t.Errorf("got %q from %d of %d and %d variants, want %q, %d, %d, %d",
					got, a.Agree, a.Asked, len(a.Variants), tt.want, tt.agree, tt.asked, tt.variants)
			}
		})
	}
}

// Servers that do not agree about an alias have not agreed about what stands at
// its end, however many of the other zone's servers do.
func TestDirectCountsTheFirstZone(t *testing.T) {
	servers := zoneServers(t, 2)
	var ns []string
	for i := range servers {
		ns = append(ns, fmt.Sprintf("other.example 60 NS ns%d.example.org", i+1))
	}
	for i, s := range servers {
		set(t, s, append(ns, fmt.Sprintf(`end.other.example 60 TXT "%d"`, i))...)
	}
	set(t, servers[0], "name.example.org 60 CNAME end.other.example")
	a, err := newDirect(t, servers, loopback).Lookup(t.Context(), "name.example.org", resolve.TypeTXT)
	if err != nil || len(a.TXT) != 1 || a.Asked != 2 || a.Agree != 1 || len(a.Variants) != 0 {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestDirectRefusesLocalAddresses(t *testing.T) {
	servers := zoneServers(t, 1)
	before := servers[0].Queries("name.example.org")
	_, err := newDirect(t, servers, nil).Lookup(t.Context(), "name.example.org", resolve.TypeTXT)
	if code(t, err) != resolve.CodeRefused {
		t.Fatalf("got %v", err)
	}
	// The walk to the zone cut asks for the name once, at the recursor.
	if n := servers[0].Queries("name.example.org") - before; n != 1 {
		t.Errorf("the name was asked for %d times", n)
	}
}

func TestDirectFollowsDelegationsAndAliases(t *testing.T) {
	servers := zoneServers(t, 1)
	s := servers[0]
	s.Zone("_domainkey.example.org")
	set(t, s,
		`sel._domainkey.example.org 60 TXT "delegated"`,
		`alias.example.org 60 CNAME deep.other.example`,
		`deep.other.example 60 CNAME deeper.third.example`,
		`deeper.third.example 60 TXT "far away"`,
		`dangling.example.org 60 CNAME gone.other.example`,
		`broken.example.org 60 CNAME elsewhere.lame.example`,
		`elsewhere.lame.example 60 TXT "by the recursor"`,
		`lame.example 60 NS ns.nowhere.example`,
	)
	d := newDirect(t, servers, loopback)
	tests := []struct {
		name, want, end string
		links           int
		nx              bool
		asked           int
	}{
		{name: "sel._domainkey.example.org", want: "delegated", end: "sel._domainkey.example.org", asked: 1},
		{name: "alias.example.org", want: "far away", end: "deeper.third.example", links: 2, asked: 1},
		{name: "dangling.example.org", end: "gone.other.example", links: 1, nx: true, asked: 1},
		{name: "broken.example.org", want: "by the recursor", end: "elsewhere.lame.example", links: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := d.Lookup(t.Context(), tt.name, resolve.TypeTXT)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(a.TXT) > 0 {
				got = a.TXT[0].Join()
			}
			if got != tt.want || a.Name != tt.end || len(a.Chain) != tt.links || a.NXDomain != tt.nx || a.Asked != tt.asked || a.Agree != tt.asked {
				t.Errorf("got %q: %+v", got, a)
			}
		})
	}
}
