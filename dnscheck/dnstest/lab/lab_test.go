package lab_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
)

func TestLabAnswersThroughTheResolver(t *testing.T) {
	l := lab.Start(t)
	const name, bogus = "one." + lab.Zone, "two." + lab.Bogus
	err := l.Update(
		`update add `+name+`. 5 TXT "v=spf1 \"quoted\" \226\128\156" "second; string"`,
		`update add `+name+`. 5 MX 10 192.0.2.25.`,
		`update add `+bogus+`. 5 TXT "unsigned"`,
	)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name    string
		qtype   uint16
		cd      bool
		rcode   int
		answers int
	}{
		{name, dns.TypeTXT, false, dns.RcodeSuccess, 1},
		{name, dns.TypeMX, false, dns.RcodeSuccess, 1},
		{name, dns.TypeA, false, dns.RcodeSuccess, 0},
		{"none." + lab.Zone, dns.TypeTXT, false, dns.RcodeNameError, 0},
		{"_dmarc.net", dns.TypeTXT, false, dns.RcodeNameError, 0},
		{"elsewhere.example.org", dns.TypeTXT, false, dns.RcodeNameError, 0},
		{lab.ServFail, dns.TypeTXT, false, dns.RcodeServerFailure, 0},
		{lab.ServFail2, dns.TypeMX, false, dns.RcodeServerFailure, 0},
		{bogus, dns.TypeTXT, false, dns.RcodeServerFailure, 0},
		{bogus, dns.TypeTXT, true, dns.RcodeSuccess, 1},
	}
	for _, c := range cases {
		reply := ask(t, l.Resolver, c.name, c.qtype, c.cd)
		if reply.Rcode != c.rcode || len(reply.Answer) != c.answers {
			t.Errorf("%s %s, CD %v: %s with %d answers, want %s with %d", c.name, dns.TypeToString[c.qtype], c.cd,
				dns.RcodeToString[reply.Rcode], len(reply.Answer), dns.RcodeToString[c.rcode], c.answers)
		}
	}
	txt, ok := ask(t, l.Resolver, name, dns.TypeTXT, false).Answer[0].(*dns.TXT)
	if !ok || len(txt.Txt) != 2 || txt.Txt[0] != `v=spf1 \"quoted\" \226\128\156` || txt.Txt[1] != "second; string" {
		t.Errorf("the TXT record came back as %v", txt)
	}
}

func TestUpdateDeletes(t *testing.T) {
	l := lab.Start(t)
	const name = "gone." + lab.Zone
	add := []string{
		`update add ` + name + `. 5 TXT "a"`, `update add ` + name + `. 5 TXT "b"`, `update add ` + name + `. 5 MX 10 ` + name + `.`,
	}
	if err := l.Update(add...); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		line    string
		txt, mx int
	}{
		{`update delete ` + name + `. TXT "a"`, 1, 1},
		{`update delete ` + name + `. TXT`, 0, 1},
		{`update delete ` + name + `.`, 0, 0},
	}
	for _, step := range steps {
		if err := l.Update(step.line); err != nil {
			t.Fatal(err)
		}
		txt, mx := ask(t, l.Authority, name, dns.TypeTXT, false), ask(t, l.Authority, name, dns.TypeMX, false)
		if len(txt.Answer) != step.txt || len(mx.Answer) != step.mx {
			t.Errorf("after %q: %d TXT and %d MX, want %d and %d", step.line, len(txt.Answer), len(mx.Answer), step.txt, step.mx)
		}
	}
	for _, bad := range []string{"", "update add x", "update delete " + name + ". NOTYPE", "update add other.example. 5 TXT \"x\""} {
		if err := l.Update(bad); err == nil {
			t.Errorf("update line %q was taken", bad)
		}
	}
}

func TestBreakAndRepair(t *testing.T) {
	l := lab.Start(t)
	for _, fault := range lab.Faults() {
		if err := l.Break(fault); err != nil {
			t.Fatal(err)
		}
		client := &dns.Client{Timeout: 300 * time.Millisecond}
		reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(lab.Zone+".", dns.TypeSOA), l.Resolver.String())
		got := "no answer"
		switch {
		case err == nil && reply.Truncated:
			got = "TC"
		case err == nil:
			got = dns.RcodeToString[reply.Rcode]
		}
		want := map[lab.Fault]string{lab.FaultDown: "no answer", lab.FaultSilent: "no answer",
			lab.FaultServFail: "SERVFAIL", lab.FaultRefused: "REFUSED", lab.FaultTruncated: "TC"}[fault]
		if got != want {
			t.Errorf("%s: %s, want %s", fault, got, want)
		}
	}
	if err := l.Repair(); err != nil {
		t.Fatal(err)
	}
	if reply := ask(t, l.Resolver, lab.Zone, dns.TypeSOA, false); len(reply.Answer) != 1 {
		t.Errorf("after the repair: %v", reply)
	}
}

func ask(t *testing.T, server netip.AddrPort, name string, qtype uint16, cd bool) *dns.Msg {
	t.Helper()
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype).SetEdns0(1232, false)
	question.CheckingDisabled = cd
	reply, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(question, server.String())
	if err != nil {
		t.Fatalf("ask for %s: %v", name, err)
	}
	return reply
}
