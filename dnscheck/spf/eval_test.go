package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// appendixA is the zone of RFC 7208 appendix A.
func appendixA(record string) Zone {
	own := txt(record)
	own.Addrs = []string{"192.0.2.10", "192.0.2.11"}
	own.MX = []string{"10 mail-a.example.com", "20 mail-b.example.com"}
	return Zone{
		"example.com":              own,
		"amy.example.com":          {Addrs: []string{"192.0.2.65"}},
		"bob.example.com":          {Addrs: []string{"192.0.2.66"}},
		"mail-a.example.com":       {Addrs: []string{"192.0.2.129"}},
		"mail-b.example.com":       {Addrs: []string{"192.0.2.130"}},
		"example.org":              {MX: []string{"10 mail-c.example.org"}},
		"mail-c.example.org":       {Addrs: []string{"192.0.2.140"}},
		"10.2.0.192.in-addr.arpa":  {PTR: []string{"example.com"}},
		"65.2.0.192.in-addr.arpa":  {PTR: []string{"amy.example.com"}},
		"140.2.0.192.in-addr.arpa": {PTR: []string{"mail-c.example.org"}},
		"4.0.0.10.in-addr.arpa":    {PTR: []string{"bob.example.com"}},

		// A.4: users who may send from anywhere, and from one place.
		"mobile-users._spf.example.com":               txt("v=spf1 exists:%{l1r+}.%{d}"),
		"mary.mobile-users._spf.example.com":          {Addrs: []string{"127.0.0.2"}},
		"remote-users._spf.example.com":               txt("v=spf1 exists:%{ir}.%{l1r+}.%{d}"),
		"4.0.0.10.joel.remote-users._spf.example.com": {Addrs: []string{"127.0.0.2"}},
	}
}

func TestAppendixA(t *testing.T) {
	const users = "v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all"
	for _, c := range []struct {
		record, ip, sender string
		want               Result
	}{
		{"v=spf1 +all", "198.51.100.1", "", ResultPass},
		{"v=spf1 a -all", "192.0.2.11", "", ResultPass},
		{"v=spf1 a -all", "192.0.2.129", "", ResultFail},
		{"v=spf1 a:example.org -all", "192.0.2.140", "", ResultFail},
		{"v=spf1 mx -all", "192.0.2.130", "", ResultPass},
		{"v=spf1 mx:example.org -all", "192.0.2.140", "", ResultPass},
		{"v=spf1 mx mx:example.org -all", "192.0.2.129", "", ResultPass},
		{"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.131", "", ResultPass},
		{"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.143", "", ResultPass},
		{"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.132", "", ResultFail},
		{"v=spf1 ptr -all", "192.0.2.65", "", ResultPass},
		{"v=spf1 ptr -all", "192.0.2.140", "", ResultFail},
		{"v=spf1 ptr -all", "10.0.0.4", "", ResultFail},
		{"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.65", "", ResultFail},
		{"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.129", "", ResultPass},
		{users, "203.0.113.1", "mary+tag@example.com", ResultPass},
		{users, "10.0.0.4", "joel@example.com", ResultPass},
		{users, "10.0.0.5", "joel@example.com", ResultFail},
	} {
		q := Query{IP: netip.MustParseAddr(c.ip), Domain: "example.com", Sender: c.sender}
		if got := Check(context.Background(), appendixA(c.record), q); got.Result != c.want {
			t.Errorf("%q from %s: %s (%v), want %s", c.record, c.ip, got.Result, got.Problem, c.want)
		}
	}
}

// TestExpand has the examples of RFC 7208 section 7.4.
func TestExpand(t *testing.T) {
	for macro, want := range map[string]string{
		"%{s}": "strong-bad@email.example.com", "%{o}": "email.example.com", "%{d}": "email.example.com", "%{d4}": "email.example.com",
		"%{d3}": "email.example.com", "%{d2}": "example.com", "%{d1}": "com", "%{dr}": "com.example.email", "%{d2r}": "example.email",
		"%{l}": "strong-bad", "%{l-}": "strong.bad", "%{lr}": "strong-bad", "%{lr-}": "bad.strong", "%{l1r-}": "strong",
		"%{ir}.%{v}._spf.%{d2}": "3.2.0.192.in-addr._spf.example.com", "%{lr-}.lp._spf.%{d2}": "bad.strong.lp._spf.example.com",
		"%{d2}.trusted-domains.example.net": "example.com.trusted-domains.example.net",
		"%{S}.x.example":                    "strong-bad%40email.example.com.x.example",
		"a%%b%_c%-.x.example":               "a%b c%20.x.example", "%{h}": "mta.example.net", "%{p}": "unknown",
	} {
		term, err := ParseTerm("exists:" + macro)
		if err != nil {
			t.Errorf("%s: %v", macro, err)
			continue
		}
		e := newEvaluation(context.Background(), Zone{}, Query{
			IP: netip.MustParseAddr("192.0.2.3"), Domain: "email.example.com", Sender: "strong-bad@email.example.com", HELO: "mta.example.net",
		})
		if got := e.expand("email.example.com", term); got != strings.ToLower(want) {
			t.Errorf("%s: %q, want %q", macro, got, want)
		}
	}
	six := Query{IP: netip.MustParseAddr("2001:db8::cb01"), Domain: "email.example.com"}
	term, _ := ParseTerm("exists:%{ir}.%{v}._spf.%{d2}")
	const want = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
	if got := newEvaluation(context.Background(), Zone{}, six).expand("email.example.com", term); got != want {
		t.Errorf("IPv6: %q, want %q", got, want)
	}
}

// TestTrace: an outcome names the way to the term that decided.
func TestTrace(t *testing.T) {
	for record, want := range map[string]string{
		"v=spf1 a include:ours.example -all":                    "pass customer.example:1:include:ours.example ours.example:0:ip4:192.0.2.25 2/0",
		"v=spf1 redirect=alias.example":                         "pass customer.example:0:redirect=alias.example alias.example:0:ip4:192.0.2.25 1/0",
		"v=spf1 include:soft.example":                           "neutral 1/0",
		"v=spf1 mx:gone.example ~all":                           "softfail customer.example:1:~all 1/1",
		"v=spf1 redirect=open.example":                          "neutral customer.example:0:redirect=open.example 1/0",
		"v=spf1 include:gone.example -all":                      "permerror customer.example:0:include:gone.example 1/0 none gone.example",
		"v=spf1 a include:nest.example -all":                    "permerror customer.example:1:include:nest.example nest.example:0:include:gone.example 3/0 none gone.example",
		"v=spf1 include:ping.example -all":                      "permerror customer.example:0:include:ping.example ping.example:0:redirect=pong.example pong.example:0:redirect=ping.example 3/0 loop ping.example",
		"v=spf1 mx:many.example -all":                           "permerror customer.example:0:mx:many.example 1/0 mx many.example",
		"v=spf1 a:n.example a:n.example a:n.example -all":       "permerror customer.example:2:a:n.example 3/3 void n.example",
		"v=spf1 ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr a":      "permerror customer.example:10:a 10/0 lookups customer.example",
		"v=spf1 include:bad.example -all":                       "permerror customer.example:0:include:bad.example 1/0 syntax bad.example",
		"v=spf1 include:broken.example -all":                    "temperror customer.example:0:include:broken.example 1/0 temp broken.example",
		"v=spf1 include:two.example -all":                       "permerror customer.example:0:include:two.example 1/0 multiple two.example",
		"v=spf1 -all redirect=broken.example include:x.example": "fail customer.example:0:-all 0/0",
	} {
		z := oracleZone()
		own := txt(record)
		own.Addrs = []string{"198.51.100.1"}
		z["customer.example"] = own
		z["nest.example"] = txt("v=spf1 include:gone.example -all")
		got := Check(context.Background(), z, Query{IP: netip.MustParseAddr("192.0.2.25"), Domain: "customer.example"})
		if s := trace(got); s != want {
			t.Errorf("%q:\n got %s\nwant %s", record, s, want)
		}
	}
}

func trace(o Outcome) string {
	s := string(o.Result)
	for _, step := range o.Path {
		s += fmt.Sprintf(" %s:%d:%s", step.Domain, step.Index, step.Term.Text)
	}
	s += fmt.Sprintf(" %d/%d", o.Lookups, o.Void)
	if o.Problem != nil {
		s += fmt.Sprintf(" %s %s", o.Problem.Kind, o.Problem.Name)
	}
	return s
}

// TestMeasure counts what a receiver that matches nothing early has to ask.
func TestMeasure(t *testing.T) {
	for record, want := range map[string]string{
		"v=spf1 ip4:192.0.2.1 -all":                                 "0",
		"v=spf1 a mx ptr exists:x.example exp=x.example -all":       "4",
		"v=spf1 include:ours.example include:ours.example -all":     "2",
		"v=spf1 -all include:ours.example redirect=ours.example":    "0",
		"v=spf1 redirect=nest.example":                              "3 none",
		"v=spf1 include:broken.example include:%{d}.x.example -all": "2",
		"v=spf1 include:loop.example include:customer.example ?all": "3 loop loop",
		"v=spf1 include:two.example include:bad.example ~all":       "2 multiple syntax",
		"v=spf1 " + vendors + " -all":                               "10",
		"v=spf1 " + vendors + " a -all":                             "11",
	} {
		z := oracleZone()
		z["nest.example"] = txt("v=spf1 include:gone.example a -all")
		own, err := Parse(record)
		if err != nil {
			t.Fatal(err)
		}
		tree := Measure(context.Background(), z, "customer.example", own)
		got := fmt.Sprint(tree.Lookups)
		for _, p := range tree.Problems {
			got += " " + string(p.Kind)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", record, got, want)
		}
	}
}
