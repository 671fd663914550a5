package dnscheck

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// zoneMap answers from records as an authoritative server does: CNAMEs,
// wildcards, empty non-terminals, NODATA and NXDOMAIN. Names in broken fail.
type zoneMap struct {
	records map[string][]dns.RR
	broken  map[string]string // name to error code
	asked   []string
}

// newZone reads lines of a zone file.
func newZone(t testing.TB, lines ...string) *zoneMap {
	t.Helper()
	z := &zoneMap{records: map[string][]dns.RR{}, broken: map[string]string{}}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("zone line %q: %v", line, err)
		}
		name := hostName(rr.Header().Name)
		z.records[name] = append(z.records[name], rr)
	}
	return z
}

func (z *zoneMap) Lookup(_ context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	z.asked = append(z.asked, name+"/"+dns.TypeToString[uint16(qtype)])
	answer := resolve.Answer{Name: name, TTL: 5 * time.Second}
	for {
		if code := z.broken[answer.Name]; code != "" {
			return resolve.Answer{}, &resolve.Error{Code: code, Name: name, Type: qtype, Detail: "broken"}
		}
		rrs, exists := z.at(answer.Name)
		answer.NXDomain = !exists
		if target := cnameOf(rrs); target != "" && len(answer.Chain) < 8 {
			answer.Name = target
			answer.Chain = append(answer.Chain, target)
			continue
		}
		if len(answer.Chain) == 8 {
			return resolve.Answer{}, &resolve.Error{Code: resolve.CodeCNAMELoop, Name: name, Type: qtype, Detail: "loop"}
		}
		for _, rr := range rrs {
			if rr.Header().Rrtype == uint16(qtype) {
				fill(&answer, rr)
			}
		}
		return answer, nil
	}
}

func cnameOf(rrs []dns.RR) string {
	for _, rr := range rrs {
		if c, ok := rr.(*dns.CNAME); ok {
			return hostName(c.Target)
		}
	}
	return ""
}

// at returns what stands at a name, and whether the name exists.
func (z *zoneMap) at(name string) ([]dns.RR, bool) {
	if rrs := z.records[name]; rrs != nil {
		return rrs, true
	}
	for known := range maps.Keys(z.records) {
		if strings.HasSuffix(known, "."+name) {
			return nil, true
		}
	}
	for _, parent, ok := strings.Cut(name, "."); ok; _, parent, ok = strings.Cut(parent, ".") {
		if rrs := z.records["*."+parent]; rrs != nil {
			return rrs, true
		}
		if z.records[parent] != nil {
			break
		}
	}
	return nil, false
}

func fill(a *resolve.Answer, rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.TXT:
		strs := make([]string, len(rr.Txt))
		for i, s := range rr.Txt {
			strs[i] = unescape(s)
		}
		a.TXT = append(a.TXT, resolve.Text{Strings: strs})
	case *dns.SPF:
		strs := make([]string, len(rr.Txt))
		for i, s := range rr.Txt {
			strs[i] = unescape(s)
		}
		a.TXT = append(a.TXT, resolve.Text{Strings: strs})
	case *dns.MX:
		a.MX = append(a.MX, resolve.MX{Host: hostName(rr.Mx), Preference: rr.Preference})
	case *dns.A:
		ip, _ := netip.AddrFromSlice(rr.A.To4())
		a.Addrs = append(a.Addrs, ip)
	case *dns.AAAA:
		ip, _ := netip.AddrFromSlice(rr.AAAA)
		a.Addrs = append(a.Addrs, ip)
	case *dns.NS:
		a.Hosts = append(a.Hosts, hostName(rr.Ns))
	}
}

// unescape turns presentation form into octets.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.Atoi(s[i+1 : i+4]); err == nil && n < 256 {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

// judgeCase is one row: what is published, and what must be said about it.
type judgeCase struct {
	name     string
	lines    []string
	expected string // instead of the usual value
	verdict  Verdict
	code     string
	warns    []string // exactly these
	says     []string // in detail, hint, warnings or what was observed
}

// The names of the cases. lab.example stands for a registered domain.
const (
	testDomain = "shop.lab.example"
	testMX     = "mx.lab.example"
)

func testEnv(z *zoneMap) *env {
	return &env{
		resolver: z, domain: testDomain, mxHosts: []string{testMX}, suffix: publicsuffix.PublicSuffix, diagnose: true,
		hostAddrs: func(context.Context) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
		},
	}
}

// check compares a Result with a row.
func (c judgeCase) check(t *testing.T, r Result) {
	t.Helper()
	if r.Verdict != c.verdict || r.Code != c.code {
		t.Errorf("got %s %q, want %s %q: %s", r.Verdict, r.Code, c.verdict, c.code, r.Detail)
	}
	var codes []string
	text := r.Detail + "\n" + r.Hint + "\n" + strings.Join(r.Observed, "\n")
	for _, w := range r.Warnings {
		codes = append(codes, w.Code)
		text += "\n" + w.Detail
	}
	if !slices.Equal(codes, c.warns) {
		t.Errorf("warnings %q, want %q", codes, c.warns)
	}
	for _, s := range c.says {
		if !strings.Contains(text, s) {
			t.Errorf("%q is not said in:\n%s", s, text)
		}
	}
	if r.Verdict.Bad() && (r.Detail == "" || r.Hint == "") {
		t.Errorf("a bad verdict without detail or hint: %+v", r)
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }) {
		t.Errorf("unprintable text: %q", text)
	}
	if r.Verdict != VerdictUnknown && r.TTL == 0 {
		t.Error("the TTL was lost")
	}
}
