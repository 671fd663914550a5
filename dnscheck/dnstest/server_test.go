package dnstest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/domaind/domaind/dnscheck/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *dnstest.Server {
	t.Helper()
	s, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ask sends one question with the library's own client, so that the server is
// not judged by our resolver alone.
func ask(t *testing.T, s *dnstest.Server, network, name string, edit func(*dns.Msg)) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	if edit != nil {
		edit(m)
	}
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	r, _, err := c.Exchange(m, s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func authority(m *dns.Msg) { m.RecursionDesired = false }

func TestZones(t *testing.T) {
	s := start(t)
	s.Zone("child.one.example")
	err := s.Set(
		`www.one.example 30 TXT "a" "b"`, "alias.one.example CNAME www.one.example", "out.one.example CNAME www.two.example",
		`deep.ent.one.example TXT "x"`, `*.wild.one.example TXT "wild"`, `taken.wild.one.example A 192.0.2.1`,
		`sel.child.one.example TXT "child"`, `www.two.example TXT "two"`,
		"loop.one.example CNAME pool.one.example", "pool.one.example CNAME loop.one.example",
	)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		edit     func(*dns.Msg)
		rcode    int
		answers  int
		soa      string // the zone that a negative answer comes from
		recursor bool
	}{
		{name: "www.one.example", answers: 1},
		{name: "WWW.One.Example", answers: 1},
		{name: "alias.one.example", answers: 2},
		{name: "out.one.example", answers: 2},
		{name: "out.one.example", edit: authority, answers: 1},
		{name: "ent.one.example", soa: "one.example."},
		{name: "one.example", soa: "one.example."},
		{name: "none.one.example", rcode: dns.RcodeNameError, soa: "one.example."},
		{name: "a.b.wild.one.example", answers: 1},
		{name: "taken.wild.one.example", soa: "one.example."},
		{name: "below.taken.wild.one.example", rcode: dns.RcodeNameError, soa: "one.example."},
		{name: "sel.child.one.example", answers: 1},
		{name: "none.child.one.example", rcode: dns.RcodeNameError, soa: "child.one.example."},
		{name: "nowhere.invalid", rcode: dns.RcodeNameError, soa: "."},
		{name: "nowhere.invalid", edit: authority, rcode: dns.RcodeRefused},
		{name: "loop.one.example", answers: 16},
		{name: "one.example", edit: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeNS }, answers: 1},
		{name: "one.example", edit: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeSOA }, answers: 1},
		{name: "ns1.one.example", edit: func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }, answers: 1},
	}
	for _, tt := range tests {
		for _, network := range []string{"udp", "tcp"} {
			r := ask(t, s, network, tt.name, tt.edit)
			if r.Rcode != tt.rcode || len(r.Answer) != tt.answers || len(r.Ns) > 0 != (tt.soa != "") {
				t.Errorf("%s %s: got %v", network, tt.name, r)
				continue
			}
			if tt.soa != "" && r.Ns[0].Header().Name != tt.soa {
				t.Errorf("%s: SOA of %s, want %s", tt.name, r.Ns[0].Header().Name, tt.soa)
			}
			if r.RecursionAvailable != r.RecursionDesired {
				t.Errorf("%s: RA=%v for RD=%v", tt.name, r.RecursionAvailable, r.RecursionDesired)
			}
			if r.Authoritative != (!r.RecursionDesired && tt.rcode != dns.RcodeRefused) {
				t.Errorf("%s: AA=%v", tt.name, r.Authoritative)
			}
		}
	}
}

func TestSetReplacesAndRemoves(t *testing.T) {
	s := start(t)
	set := func(lines ...string) {
		t.Helper()
		if err := s.Set(lines...); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int { t.Helper(); return len(ask(t, s, "udp", "name.example", nil).Answer) }
	set(`name.example TXT "1"`, `name.example TXT "2"`, "name.example A 192.0.2.1")
	if n := count(); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
	set(`Name.Example. TXT "3"`)
	if n := count(); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
	for _, bad := range []string{"name.example TXT", "nonsense", "", `name.example TXT "unclosed`} {
		if err := s.Set(`name.example TXT "4"`, `name.example TXT "5"`, bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if n := count(); n != 1 {
		t.Errorf("%d records after errors, want 1", n)
	}
	s.Remove("NAME.example", "txt")
	if r := ask(t, s, "udp", "name.example", nil); len(r.Answer) != 0 || r.Rcode != dns.RcodeSuccess {
		t.Errorf("got %v", r)
	}
	if n := s.Queries("name.example"); n != 4 || s.Total() != 4 {
		t.Errorf("%d of %d queries counted, want 4", n, s.Total())
	}
	s.Reset()
	if r := ask(t, s, "udp", "name.example", nil); r.Rcode != dns.RcodeNameError || s.Total() != 1 {
		t.Errorf("after Reset got %v", r)
	}
}

func TestTruncation(t *testing.T) {
	s := start(t)
	if err := s.Set(`name.example TXT "` + strings.Repeat("x", 250) + `" "` + strings.Repeat("y", 250) + `" "z"`); err != nil {
		t.Fatal(err)
	}
	edns := func(m *dns.Msg) { m.SetEdns0(1232, false) }
	tests := []struct {
		network string
		edit    func(*dns.Msg)
		tc      bool
	}{{"udp", nil, true}, {"udp", edns, false}, {"tcp", nil, false}}
	for _, tt := range tests {
		if r := ask(t, s, tt.network, "name.example", tt.edit); r.Truncated != tt.tc || len(r.Answer) == 0 != tt.tc {
			t.Errorf("%+v: got TC=%v and %d records", tt, r.Truncated, len(r.Answer))
		}
	}
}

func TestFaultsByType(t *testing.T) {
	s := start(t)
	s.Fault("name.example", dnstest.Refused, "TXT")
	if r := ask(t, s, "udp", "name.example", nil); r.Rcode != dns.RcodeRefused {
		t.Errorf("got %v", r)
	}
	mx := func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX }
	if r := ask(t, s, "udp", "name.example", mx); r.Rcode != dns.RcodeNameError {
		t.Errorf("got %v", r)
	}
	s.Fault("name.example", "")
	if r := ask(t, s, "udp", "name.example", nil); r.Rcode != dns.RcodeNameError {
		t.Errorf("got %v", r)
	}
	defer func() {
		if recover() == nil {
			t.Error("a behaviour that is none is taken")
		}
	}()
	s.Fault("name.example", "no-such-thing")
}

// Nothing that the server holds back may hold Close back.
func TestCloseDoesNotWaitForFaults(t *testing.T) {
	for _, b := range []dnstest.Behaviour{dnstest.Silent, dnstest.Late} {
		s := start(t)
		s.SetDelay(time.Hour)
		s.Fault("name.example", b)
		for _, network := range []string{"udp", "tcp"} {
			c, err := dns.Dial(network, s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.WriteMsg(new(dns.Msg).SetQuestion("name.example.", dns.TypeTXT)); err != nil {
				t.Fatal(err)
			}
		}
		arrived := time.NewTicker(time.Millisecond)
		for s.Queries("name.example") < 2 {
			select {
			case <-arrived.C:
			case <-time.After(10 * time.Second):
				t.Fatal("the questions did not arrive")
			}
		}
		arrived.Stop()
		closed := make(chan struct{})
		go func() { s.Close(); s.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: Close hangs", b)
		}
	}
}
