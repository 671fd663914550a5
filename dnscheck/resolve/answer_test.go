package resolve_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestAnswers(t *testing.T) {
	s := startServer(t)
	set(t, s,
		"Example.ORG. 300 IN SOA NS1.Example.org. hostmaster.example.org. 7 3600 600 86400 120",
		`example.org 60 TXT "v=spf1 " "-all" `,
		`example.org 30 TXT "a\"b\\c\;\000\195\164\127"`,
		"example.org 60 MX 10 MX1.Example.net.",
		"example.org 60 MX 20 .",
		"host.example.org 60 A 192.0.2.1",
		"host.example.org 60 AAAA 2001:db8::1",
		"alias.example.org 20 CNAME Host.example.org.",
		`odd\.label.example.org 60 TXT "odd"`,
		`odd.example.org 60 CNAME \@\000.example.org`,
		"1.2.0.192.in-addr.arpa 60 PTR Host.example.org",
		"deep.ent.example.org 60 A 192.0.2.2",
		`*.wild.example.org 60 TXT "wild"`,
	)
	server := s.Addr()
	tests := []struct {
		name  string
		qtype resolve.Type
		want  resolve.Answer
	}{
		{"example.org", resolve.TypeTXT, resolve.Answer{Name: "example.org", TTL: 30 * time.Second, TXT: []resolve.Text{
			{Strings: []string{"v=spf1 ", "-all"}}, {Strings: []string{"a\"b\\c;\x00\xc3\xa4\x7f"}},
		}}},
		{"EXAMPLE.org.", resolve.TypeMX, resolve.Answer{Name: "example.org", TTL: time.Minute, MX: []resolve.MX{
			{Host: "mx1.example.net", Preference: 10}, {Host: "", Preference: 20},
		}}},
		{"alias.example.org", resolve.TypeA, resolve.Answer{
			Name: "host.example.org", Chain: []string{"host.example.org"}, TTL: 20 * time.Second,
			Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		}},
		{"alias.example.org", resolve.TypeCNAME, resolve.Answer{Name: "alias.example.org", TTL: 20 * time.Second, Hosts: []string{"host.example.org"}}},
		{"host.example.org", resolve.TypeAAAA, resolve.Answer{Name: "host.example.org", TTL: time.Minute, Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}},
		{"alias.example.org", resolve.TypeTXT, resolve.Answer{
			Name: "host.example.org", Chain: []string{"host.example.org"}, TTL: 2 * time.Minute, Zone: "example.org",
		}},
		{`odd\.label.example.org`, resolve.TypeTXT, resolve.Answer{Name: `odd\.label.example.org`, TTL: time.Minute, TXT: []resolve.Text{{Strings: []string{"odd"}}}}},
		{"odd.example.org", resolve.TypeCNAME, resolve.Answer{Name: "odd.example.org", TTL: time.Minute, Hosts: []string{`\@\000.example.org`}}},
		{"@.example.org", resolve.TypeTXT, resolve.Answer{Name: `\@.example.org`, NXDomain: true, TTL: 2 * time.Minute, Zone: "example.org"}},
		{"1.2.0.192.in-addr.arpa", resolve.TypePTR, resolve.Answer{Name: "1.2.0.192.in-addr.arpa", TTL: time.Minute, Hosts: []string{"host.example.org"}}},
		{"ent.example.org", resolve.TypeA, resolve.Answer{Name: "ent.example.org", TTL: 2 * time.Minute, Zone: "example.org"}},
		{"x.y.wild.example.org", resolve.TypeTXT, resolve.Answer{Name: "x.y.wild.example.org", TTL: time.Minute, TXT: []resolve.Text{{Strings: []string{"wild"}}}}},
		{"example.org", resolve.TypeSOA, resolve.Answer{Name: "example.org", TTL: 5 * time.Minute, SOA: []resolve.SOA{
			{Zone: "example.org", Primary: "ns1.example.org", Minimum: 2 * time.Minute},
		}}},
		{"gone.invalid", resolve.TypeA, resolve.Answer{Name: "gone.invalid", NXDomain: true, TTL: 5 * time.Second}},
	}
	for transport, config := range transports {
		c := newClient(t, config, server)
		for _, tt := range tests {
			t.Run(transport+"/"+tt.name+"/"+time.Duration(tt.qtype).String(), func(t *testing.T) {
				got, err := c.Lookup(t.Context(), tt.name, tt.qtype)
				if err != nil {
					t.Fatal(err)
				}
				tt.want.Server = server
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestNamesThatCannotBeAsked(t *testing.T) {
	c := newClient(t, resolve.Config{}, startServer(t).Addr())
	long := ""
	for range 60 {
		long += "label."
	}
	for _, name := range []string{long + "example", "a..b", ".a", "this-label-has-more-than-sixty-three-octets-and-so-it-is-no-label-at-all.example"} {
		if _, err := c.Lookup(t.Context(), name, resolve.TypeA); code(t, err) != resolve.CodeMalformed {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A chain in one message and a chain over several must come to the same.
func TestChainOverSeveralMessages(t *testing.T) {
	s := startServer(t)
	set(t, s, `end.example 60 TXT "end"`)
	for i := range 9 {
		name := fmt.Sprintf("%d.part%d.example", i, i)
		set(t, s, fmt.Sprintf("%s 60 CNAME %d.part%d.example", name, i+1, i+1))
		s.Fault(name, dnstest.AliasOnly)
	}
	set(t, s,
		"9.part9.example 60 CNAME end.example",
		"x.one.example 60 CNAME x.two.example", "x.two.example 60 CNAME x.one.example",
		"to.nowhere.example 60 CNAME not.there.example",
	)
	for _, name := range []string{"x.one.example", "x.two.example", "to.nowhere.example"} {
		s.Fault(name, dnstest.AliasOnly)
	}
	tests := []struct {
		name, end, code string
		links           int
		nx              bool
	}{
		{name: "end.example", end: "end.example"},
		{name: "2.part2.example", end: "end.example", links: 8},
		{name: "1.part1.example", code: resolve.CodeCNAMELoop},
		{name: "x.one.example", code: resolve.CodeCNAMELoop},
		{name: "to.nowhere.example", end: "not.there.example", links: 1, nx: true},
	}
	c := newClient(t, resolve.Config{}, s.Addr())
	for _, tt := range tests {
		a, err := c.Lookup(t.Context(), tt.name, resolve.TypeTXT)
		if code(t, err) != tt.code || a.Name != tt.end || len(a.Chain) != tt.links || a.NXDomain != tt.nx {
			t.Errorf("%s: got %+v, %v", tt.name, a, err)
		}
	}
}
