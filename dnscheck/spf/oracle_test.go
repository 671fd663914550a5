package spf

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	oracle "blitiri.com.ar/go/spf"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// oracleResolver shows a Zone to the other implementation.
type oracleResolver struct{ zone Zone }

func (o oracleResolver) ask(ctx context.Context, name string, t resolve.Type) (resolve.Answer, error) {
	a, err := o.zone.Lookup(ctx, strings.ToLower(strings.TrimSuffix(name, ".")), t)
	if err != nil {
		return a, &net.DNSError{Name: name, Err: "SERVFAIL", IsTemporary: true}
	}
	if a.Empty() {
		return a, &net.DNSError{Name: name, Err: "no such host", IsNotFound: true}
	}
	return a, nil
}

func (o oracleResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, err := o.ask(ctx, name, resolve.TypeTXT)
	var all []string
	for _, t := range a.TXT {
		all = append(all, t.Join())
	}
	return all, err
}

func (o oracleResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a, err := o.ask(ctx, name, resolve.TypeMX)
	var all []*net.MX
	for _, m := range a.MX {
		all = append(all, &net.MX{Host: m.Host + ".", Pref: m.Preference})
	}
	return all, err
}

func (o oracleResolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	var all []net.IPAddr
	var failed error
	for _, t := range []resolve.Type{resolve.TypeA, resolve.TypeAAAA} {
		a, err := o.ask(ctx, name, t)
		for _, ip := range a.Addrs {
			all = append(all, net.IPAddr{IP: ip.AsSlice()})
		}
		failed = err
	}
	if len(all) > 0 {
		failed = nil
	}
	return all, failed
}

func (o oracleResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	a, err := o.ask(ctx, reverseName(netip.MustParseAddr(addr)), resolve.TypePTR)
	return a.Hosts, err
}

// oracleZone is what the corpus leads to.
func oracleZone() Zone {
	z := Zone{
		"ours.example":             txt("v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all"),
		"soft.example":             txt("v=spf1 ~ip4:192.0.2.25 -all"),
		"everyone.example":         txt("v=spf1 +all"),
		"nobody.example":           txt("v=spf1 -all"),
		"open.example":             txt("v=spf1 ip4:203.0.113.1"),
		"two.example":              txt("v=spf1 -all", "v=spf1 ~all"),
		"bad.example":              txt("v=spf1 ipv4:192.0.2.25 -all"),
		"text.example":             txt("hello"),
		"loop.example":             txt("v=spf1 include:loop.example -all"),
		"ping.example":             txt("v=spf1 redirect=pong.example"),
		"pong.example":             txt("v=spf1 redirect=ping.example"),
		"broken.example":           {Fail: true},
		"host.example":             {Addrs: []string{"192.0.2.25", "2001:db8::25"}},
		"near.example":             {Addrs: []string{"192.0.2.200", "2001:db8::200"}},
		"mail.example":             {MX: []string{"10 host.example", "20 near.example"}},
		"null.example":             {MX: []string{"0 ."}},
		"alias.example":            {CNAME: "ours.example"},
		"names.example":            {Addrs: []string{"192.0.2.25", "2001:db8::25"}},
		"ex.192.0.2.25.ok.example": {Addrs: []string{"127.0.0.2"}},
		"25.2.0.192.in-addr.arpa":  {PTR: []string{"forged.example", "names.example"}},
	}
	many := RR{}
	for i := range 11 {
		many.MX = append(many.MX, "10 m"+string(rune('a'+i))+".example")
		z["m"+string(rune('a'+i))+".example"] = RR{Addrs: []string{"198.51.100.7", "2001:db8:1::7"}}
		z["v"+string(rune('a'+i))+".example"] = txt("v=spf1 ip4:198.51.100.8 -all")
	}
	z["many.example"] = many
	return z
}

var vendors = "include:va.example include:vb.example include:vc.example include:vd.example include:ve.example include:vf.example include:vg.example include:vh.example include:vi.example include:vj.example"

// corpus holds records that both must judge alike; where they do not, the
// comment says who is right and why.
var corpus = map[string]string{
	"v=spf1": "", "v=spf1 -all": "", "v=spf1 ~all": "", "v=spf1 ?all": "", "v=spf1 +all": "", "V=SPF1 INCLUDE:OURS.EXAMPLE -ALL": "",
	"v=spf1 include:ours.example -all": "", "v=spf1 -include:ours.example ~all": "", "v=spf1 ~include:ours.example -all": "",
	"v=spf1 include:soft.example ?all": "", "v=spf1 include:everyone.example -all": "", "v=spf1 include:nobody.example ~all": "",
	"v=spf1 include:open.example ~all": "", "v=spf1 include:two.example -all": "", "v=spf1 include:bad.example -all": "",
	"v=spf1 include:text.example -all": "", "v=spf1 include:gone.example -all": "", "v=spf1 include:loop.example -all": "",
	"v=spf1 include:ping.example -all": "", "v=spf1 include:broken.example -all": "", "v=spf1 include:ours.example include:broken.example -all": "",
	"v=spf1 redirect=ours.example": "", "v=spf1 redirect=gone.example": "", "v=spf1 redirect=ours.example -all": "", "v=spf1 ~all redirect=ours.example": "",
	"v=spf1 redirect=open.example": "", "v=spf1 redirect=broken.example": "", "v=spf1 redirect=ping.example": "", "v=spf1 redirect=two.example": "",
	"v=spf1 include:alias.example -all": "", "v=spf1 a:alias.example -all": "",
	"v=spf1 ip4:192.0.2.25 -all": "", "v=spf1 ip4:192.0.2.0/24 -all": "", "v=spf1 -ip4:192.0.2.0/25 include:ours.example ~all": "",
	"v=spf1 ip6:2001:db8::/32 -all": "", "v=spf1 ip6:2001:DB8::25 -all": "", "v=spf1 ip4:0.0.0.0/0 -all": "",
	"v=spf1 a -all": "", "v=spf1 mx -all": "", "v=spf1 a:host.example -all": "", "v=spf1 a:near.example/24 -all": "", "v=spf1 a:near.example//64 -all": "",
	"v=spf1 a:near.example/24//64 -all": "", "v=spf1 mx:mail.example -all": "", "v=spf1 mx:null.example -all": "", "v=spf1 mx:many.example -all": "",
	"v=spf1 a:broken.example -all": "", "v=spf1 mx:broken.example -all": "", "v=spf1 exists:broken.example -all": "",
	"v=spf1 ptr -all": "", "v=spf1 ptr:names.example -all": "", "v=spf1 ptr:forged.example -all": "",
	"v=spf1 exists:ex.%{i}.ok.example -all": "", "v=spf1 exists:%{l}.%{o}.%{d2} -all": "", "v=spf1 include:%{d}.gone.example -all": "",
	"v=spf1 include:our%-s.example -all": "", "v=spf1 redirect=%{d1r}.example": "",
	"v=spf1 " + vendors + " -all": "", "v=spf1 " + vendors + " include:ours.example -all": "", "v=spf1 include:ours.example " + vendors + " -all": "",
	"v=spf1 " + vendors + " a:host.example -all": "", "v=spf1 " + vendors + " ip4:192.0.2.25 ip6:2001:db8::25 -all": "",
	"v=spf1 a:n1.example a:n2.example include:ours.example -all": "", "v=spf1 a:n1.example a:n2.example a:n3.example include:ours.example -all": "",
	"v=spf1 exists:n1.example exists:n2.example exists:n3.example -all": "", "v=spf1 mx:n1.example mx:n2.example mx:n3.example ~all": "",
	"v=spf1 ipv4:192.0.2.25 -all": "", "v=spf1 ip4:192.0.2 -all": "", "v=spf1 ip4:192.0.2.1/33 -all": "", "v=spf1 include: ours.example -all": "", "v=spf1 include:ours.example, -all": "", "v=spf1 a/33 -all": "", "v=spf1 %{z} -all": "",
	"v=spf1 exp=gone.example include:ours.example -all": "", "v=spf1 moo=%{i} include:ours.example -all": "", "v=spf1 include=ours.example -all": "",
	"v=spf1 redirect=ours.example redirect=ours.example": "", "v=spf1 mx include:ours.example": "",

	// The other is lazy and never sees the error behind its match; RFC 7208
	// section 4.6 wants the whole record checked first.
	"v=spf1 include:ours.example ipv4:192.0.2.1 -all": "lazy",
	"v=spf1 -all include: ours.example":               "lazy",
	"v=spf1 ip4:192.0.2.25 a:x.example/99 -all":       "lazy",
	// A domain-spec ends in a dot and a top label (RFC 7208 section 7.1), so
	// one label is an error and not a name without addresses.
	"v=spf1 a:b -all": "domain-end",
	// The other never resolves the p macro, which section 7.2 advises against
	// using; receivers that do get the validated name.
	"v=spf1 a:%{p} -all": "p macro",
}

func TestOracle(t *testing.T) {
	for text, why := range corpus {
		z := oracleZone()
		own := txt(text)
		own.Addrs = []string{"198.51.100.1", "2001:db8:2::1"}
		z["customer.example"] = own
		differs := false
		for _, ip := range []string{"192.0.2.25", "2001:db8::25", "203.0.113.99"} {
			got := Check(context.Background(), z, Query{IP: netip.MustParseAddr(ip), Domain: "customer.example"})
			want, err := oracle.CheckHostWithSender(net.ParseIP(ip), "customer.example", "postmaster@customer.example", oracle.WithResolver(oracleResolver{z}))
			if string(got.Result) == string(want) {
				continue
			}
			differs = true
			if why == "" {
				t.Errorf("%q from %s: %s (%v), the other says %s (%v)", text, ip, got.Result, got.Problem, want, err)
			}
		}
		if why != "" && !differs {
			t.Errorf("%q: no disagreement any more: %s", text, why)
		}
	}
}
