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

// from says which server answered.
func from(ip string, a resolve.Answer) resolve.Answer {
	a.Server = netip.AddrPortFrom(netip.MustParseAddr(ip), 53)
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
		{name: "second is another server", first: from("192.0.2.1", none), second: ptr(from("192.0.2.2", none)), verified: true, want: "missing(dkim_missing)!"},
		{name: "second is the same server", first: from("192.0.2.1", none), second: ptr(from("192.0.2.1", none)), verified: true, want: "missing(dkim_missing)"},
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
				cfg.Second = s
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
	cfg.Direct, cfg.Second = direct, second
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

func ptr[T any](v T) *T { return &v }
