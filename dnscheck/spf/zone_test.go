package spf

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// Zone is a resolver that answers from a map: the network, in a test.
type Zone map[string]RR

// RR is what one name has.
type RR struct {
	TXT   [][]string // strings of each record
	Addrs []string
	MX    []string
	PTR   []string
	CNAME string
	Fail  bool // no answer for what is not set
	spf   [][]string
}

// txt is a name with one-string TXT records.
func txt(records ...string) RR {
	var rr RR
	for _, r := range records {
		rr.TXT = append(rr.TXT, []string{r})
	}
	return rr
}

// Lookup implements resolve.Resolver.
func (z Zone) Lookup(_ context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	a := resolve.Answer{Name: name}
	for range 9 {
		rr, ok := z[a.Name]
		a.NXDomain = !ok
		if rr.CNAME != "" {
			a.Name = strings.ToLower(strings.TrimSuffix(rr.CNAME, "."))
			a.Chain = append(a.Chain, a.Name)
			continue
		}
		rr.fill(&a, qtype)
		if a.Empty() && rr.Fail {
			return a, &resolve.Error{Code: resolve.CodeServFail, Name: name, Type: qtype, Detail: "SERVFAIL"}
		}
		return a, nil
	}
	return a, &resolve.Error{Code: resolve.CodeCNAMELoop, Name: name, Type: qtype, Detail: "loop"}
}

func (rr RR) fill(a *resolve.Answer, qtype resolve.Type) {
	switch qtype {
	case resolve.TypeTXT:
		for _, s := range rr.TXT {
			a.TXT = append(a.TXT, resolve.Text{Strings: s})
		}
	case resolve.TypeMX:
		for i, h := range rr.MX {
			if p, rest, ok := strings.Cut(h, " "); ok {
				i, _ = strconv.Atoi(p)
				h = rest
			}
			a.MX = append(a.MX, resolve.MX{Host: strings.ToLower(strings.TrimSuffix(h, ".")), Preference: uint16(i)})
		}
	case resolve.TypePTR:
		for _, h := range rr.PTR {
			a.Hosts = append(a.Hosts, strings.ToLower(strings.TrimSuffix(h, ".")))
		}
	case resolve.TypeA, resolve.TypeAAAA:
		for _, s := range rr.Addrs {
			if ip := netip.MustParseAddr(s); ip.Is4() == (qtype == resolve.TypeA) {
				a.Addrs = append(a.Addrs, ip)
			}
		}
	}
}
