package dnscheck_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func addrs(all ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range all {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// by says that n of m servers gave the answer, and others each a variant.
func by(a resolve.Answer, n, m int, variants ...resolve.Answer) resolve.Answer {
	a.Agree, a.Asked = n, m
	for _, v := range variants {
		a.Variants = append(a.Variants, by(v, 1, m))
	}
	return a
}

const (
	dkimKey  = dkimAt + " TXT"
	otherKey = "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAJ2/kVXQlOjeR2cO8R/TZmg1CPEWvhyTqJ80T9GeywoWZjrncPKycH5L0VrXt3qsLqXz0lMK6uIlmUoay3HH2TsCAwEAAQ=="
)

func TestConfirm(t *testing.T) {
	none := resolve.Answer{TTL: 40 * time.Second}
	weak := resolve.Answer{Weak: true}
	for _, tt := range []struct {
		name     string
		first    resolve.Answer // to the DKIM question
		direct   *resolve.Answer
		second   *resolve.Answer
		verified bool
		onDemand bool
		want     string // the DKIM verdict
		says     string
	}{
		{name: "match needs no second look", first: txt(testKey), direct: &none, verified: true, want: "match"},
		{name: "nobody to ask", first: none, verified: true, want: "missing(dkim_missing)"},
		{name: "a new record is not confirmed", first: none, direct: ptr(by(none, 2, 2)), want: "missing(dkim_missing)"},
		{name: "all servers agree", first: none, direct: ptr(by(none, 2, 2)), verified: true, want: "missing(dkim_missing)!"},
		{name: "check-now asks the servers too", first: none, direct: ptr(by(none, 2, 2)), onDemand: true, want: "missing(dkim_missing)!"},
		{
			name: "published, not seen yet", first: none, direct: ptr(by(txt(testKey), 2, 2)), onDemand: true,
			want: "match", says: "caches need at most 40 s",
		},
		{
			name: "published on one of two", first: none, direct: ptr(by(txt(testKey), 1, 2, none)), onDemand: true,
			want: "missing(dkim_missing)", says: "on 1 of 2 servers",
		},
		{
			name: "one server still has it", first: none, direct: ptr(by(txt(testKey), 1, 2, none)), verified: true,
			want: "unknown(dkim_missing)", says: "on 1 of 2 servers",
		},
		{
			name: "the fewer servers have it", first: none, direct: ptr(by(txt(otherKey), 2, 3, txt(testKey))), verified: true,
			want: "unknown(dkim_missing)", says: "on 1 of 3 servers",
		},
		{
			name: "wrong in two ways", first: none, direct: ptr(by(txt(otherKey), 1, 2, none)), verified: true,
			want: "mismatch(dkim_weak)!",
		},
		{
			name: "a variant that cannot be told", first: none, direct: ptr(by(txt(otherKey), 1, 2)), verified: true,
			want: "unknown(dkim_missing)", says: "do not agree",
		},
		{name: "right in two ways", first: none, direct: ptr(by(txt(testKey), 1, 2, txt(testKey+";"))), verified: true, want: "match"},
		{name: "no server reachable", first: none, direct: &resolve.Answer{}, verified: true, want: "missing(dkim_missing)"},
		{name: "no server reachable, second agrees", first: none, direct: &resolve.Answer{}, second: &none, verified: true, want: "missing(dkim_missing)!"},
		{name: "second sees it", first: none, second: ptr(txt(testKey)), verified: true, want: "match"},
		{name: "second agrees", first: none, second: &none, verified: true, want: "missing(dkim_missing)!"},
		{name: "weak, but second agrees", first: weak, second: &weak, verified: true, want: "missing(dkim_missing)!"},
		{name: "weak and alone", first: weak, verified: true, want: "unknown(dns_malformed)"},
		{name: "weak for a new record", first: weak, want: "missing(dkim_missing)"},
		{name: "weak for a new record on demand", first: weak, onDemand: true, want: "missing(dkim_missing)"},
		{name: "weak, but the servers agree", first: weak, direct: ptr(by(none, 1, 1)), verified: true, want: "missing(dkim_missing)!"},
		{
			name: "the servers are ahead of the cache", first: none, direct: ptr(by(txt(otherKey), 2, 2)), onDemand: true,
			want: "mismatch(dkim_weak)!",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := published()
			first.set(dkimKey, tt.first)
			cfg := checker(first)
			if tt.direct != nil {
				d := published()
				d.set(dkimKey, *tt.direct)
				cfg.Direct = d
			}
			if tt.second != nil {
				s := published()
				s.set(dkimKey, *tt.second)
				cfg.Second = func(netip.AddrPort) resolve.Resolver { return s }
			}
			x := target()
			x.Records[2].Verified = tt.verified
			r := dnscheck.NewChecker(cfg).Check(t.Context(), x, dnscheck.Options{OnDemand: tt.onDemand})
			if got, want := verdicts(r), "match match "+tt.want+" match"; got != want {
				t.Errorf("verdicts %q, want %q", got, want)
			}
			if got := r.Results[2].Detail; !strings.Contains(got, tt.says) {
				t.Errorf("detail %q says nothing of %q", got, tt.says)
			}
		})
	}
}

func TestErrorAtTheServersConfirmsNothing(t *testing.T) {
	first, direct, second := published(), published(), published()
	first.set(dkimKey, resolve.Answer{})
	direct.fail(dkimKey, resolve.CodeTimeout)
	second.fail(dkimKey, resolve.CodeRefused)
	cfg := checker(first)
	cfg.Direct, cfg.Second = direct, func(netip.AddrPort) resolve.Resolver { return second }
	r := dnscheck.NewChecker(cfg).Check(t.Context(), verified(), dnscheck.Options{})
	if got, want := verdicts(r), "match match missing(dkim_missing) match"; got != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
}

func TestBogusZoneIsNotPromoted(t *testing.T) {
	first, direct := published(), published()
	first.fail("*", resolve.CodeBogus)
	direct.set(dkimKey, by(txt(testKey), 2, 2))
	cfg := checker(first)
	cfg.Direct = direct
	r := dnscheck.NewChecker(cfg).Check(t.Context(), target(), dnscheck.Options{OnDemand: true})
	if strings.Contains(verdicts(r), "match") || direct.total() != 0 {
		t.Errorf("verdicts %q after %d questions to the servers", verdicts(r), direct.total())
	}
}

// A second look at each question must not go to the server that has answered
// it in the first one.
func TestSecondLookIsElsewhere(t *testing.T) {
	const include = "spf.vendor.example"
	servers := map[netip.AddrPort]*view{
		netip.MustParseAddrPort("192.0.2.1:53"): published(),
		netip.MustParseAddrPort("192.0.2.2:53"): published(),
	}
	first := newView()
	answer := func(key, server string, a resolve.Answer) {
		a.Server = netip.MustParseAddrPort(server)
		first.set(key, a)
		servers[a.Server].set(key, a)
	}
	answer(domain+" MX", "192.0.2.1:53", mx(ourMX))
	answer(domain+" TXT", "192.0.2.1:53", txt("v=spf1 include:"+include+" ~all"))
	answer(include+" TXT", "192.0.2.2:53", resolve.Answer{})
	answer(dkimAt+" TXT", "192.0.2.2:53", resolve.Answer{})
	answer("_dmarc."+domain+" TXT", "192.0.2.1:53", resolve.Answer{})
	servers[netip.MustParseAddrPort("192.0.2.2:53")].set(domain+" TXT", txt("v=spf1 include:"+include+" ~all"))
	servers[netip.MustParseAddrPort("192.0.2.1:53")].set(include+" TXT", txt("v=spf1 ip4:192.0.2.25 -all"))
	cfg := checker(first)
	cfg.Second = func(except netip.AddrPort) resolve.Resolver {
		for addr, v := range servers {
			if addr != except {
				return v
			}
		}
		return nil
	}
	r := dnscheck.NewChecker(cfg).Check(t.Context(), verified(), dnscheck.Options{})
	if got, want := verdicts(r), "match match match match"; got != want {
		t.Errorf("verdicts %q, want %q: each record stands at the other server", got, want)
	}
}

// What an SPF record points to may be denied by a broken resolver as well as
// the record itself.
func TestNoAtAnotherNameIsConfirmedToo(t *testing.T) {
	const include = "spf.vendor.example"
	there, gone := txt("v=spf1 ip4:192.0.2.25 -all"), resolve.Answer{TTL: time.Minute}
	for _, tt := range []struct {
		name          string
		first, direct resolve.Answer
		fails         bool // to reach the servers of the include
		want          string
	}{
		{name: "gone", first: gone, direct: gone, want: "conflict(spf_broken_include)!"},
		{name: "there after all", first: gone, direct: there, want: "match"},
		{name: "nobody to ask", first: gone, fails: true, want: "conflict(spf_broken_include)"},
		{name: "nobody to ask, and no proof", first: resolve.Answer{Weak: true}, fails: true, want: "unknown(dns_malformed)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, first, direct := verified(), published(), published()
			x.Records[1].Value = "v=spf1 include:" + include + " ~all"
			record := txt(x.Records[1].Value)
			first.set(domain+" TXT", record)
			first.set(include+" TXT", tt.first)
			direct.set(domain+" TXT", by(record, 2, 2))
			direct.set(include+" TXT", tt.direct)
			if tt.fails {
				direct.fail(include+" TXT", resolve.CodeRefused)
			}
			cfg := checker(first)
			cfg.Direct, cfg.SendingIPs = direct, addrs("192.0.2.25")
			r := dnscheck.NewChecker(cfg).Check(t.Context(), x, dnscheck.Options{})
			if got, want := verdicts(r), "match "+tt.want+" match match"; got != want {
				t.Errorf("verdicts %q, want %q", got, want)
			}
		})
	}
}

// A denial of our own host says nothing about a customer.
func TestWeakDenialOfOurHost(t *testing.T) {
	v := published()
	v.set(ourMX+" A", resolve.Answer{Weak: true})
	r := dnscheck.NewChecker(checker(v)).Check(t.Context(), verified(), dnscheck.Options{})
	if got, want := verdicts(r), "match unknown(dns_malformed) match match"; got != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
}

func ptr[T any](v T) *T { return &v }
