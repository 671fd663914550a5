package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxLinks is how many CNAMEs are followed.
const maxLinks = 8

// chase is one lookup on its way along CNAMEs, over one message or several.
type chase struct {
	origin string // the question of the caller
	name   string // where the chain has come to
	qtype  Type
	chain  []string
	ttl    uint32 // the smallest of the links; valid when chain is not empty
}

// newChase starts a lookup. The error is that of a name that cannot be in DNS.
func newChase(name string, qtype Type) (*chase, *Error) {
	c := &chase{origin: name, qtype: qtype}
	var err error
	if c.name, err = normal(name); err != nil {
		return nil, c.fail(CodeMalformed, "The name cannot be asked for in DNS.").because(err)
	}
	c.origin = c.name
	return c, nil
}

// fail returns an Error about the caller's question.
func (c *chase) fail(code, detail string) *Error {
	return &Error{Code: code, Name: c.origin, Type: c.qtype, Detail: detail}
}

// because adds the cause to an Error and returns it.
func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}

// read takes one answer to a question about c.name. done says that the Answer
// stands; otherwise c.name is to be asked next, because the message ends in
// the middle of a chain. Records that are not on the chain are ignored. After
// an error the chase is where it was, for another server's answer.
func (c *chase) read(m message) (a Answer, done bool, err *Error) {
	before := *c
	defer func() {
		if err != nil {
			*c = before
		}
	}()
	for {
		rrs := c.owned(m.answer, uint16(c.qtype))
		if len(rrs) > 0 {
			return c.positive(rrs), true, nil
		}
		alias := c.owned(m.answer, dns.TypeCNAME)
		if len(alias) == 0 {
			break
		}
		if err := c.follow(alias[0].(*dns.CNAME)); err != nil {
			return Answer{}, false, err
		}
	}
	moved := len(c.chain) > len(before.chain)
	switch {
	case m.rcode == dns.RcodeNameError:
	case moved && !c.covers(m.soa):
		return Answer{}, false, nil
	case !m.aa && m.ns && m.soa == nil:
		return Answer{}, false, c.fail(CodeLame, "The name server refers to other servers instead of answering.")
	}
	if err := m.doubt(c); err != nil {
		return Answer{}, false, err
	}
	return c.negative(m), true, nil
}

// owned returns the records of one type at c.name, without copying where all
// records are.
func (c *chase) owned(rrs []dns.RR, rtype uint16) []dns.RR {
	mine := func(rr dns.RR) bool {
		h := rr.Header()
		return h.Rrtype == rtype && len(h.Name) == len(c.name)+1 && strings.EqualFold(h.Name[:len(c.name)], c.name) ||
			c.name == "" && h.Name == "." && h.Rrtype == rtype
	}
	n := 0
	for _, rr := range rrs {
		if mine(rr) {
			n++
		}
	}
	if n == len(rrs) || n == 0 {
		return rrs[:n]
	}
	out := make([]dns.RR, 0, n)
	for _, rr := range rrs {
		if mine(rr) {
			out = append(out, rr)
		}
	}
	return out
}

// follow goes one link on.
func (c *chase) follow(rr *dns.CNAME) *Error {
	return c.link(canonical(rr.Target), sane(rr.Hdr.Ttl))
}

// link puts one target on the chain, at most maxLinks of them and none twice.
func (c *chase) link(target string, ttl uint32) *Error {
	switch {
	case target == c.origin || slices.Contains(c.chain, target):
		return c.fail(CodeCNAMELoop, "The CNAME records lead in a circle.")
	case len(c.chain) == maxLinks:
		return c.fail(CodeCNAMELoop, fmt.Sprintf("More than %d CNAME records follow each other.", maxLinks))
	}
	if len(c.chain) == 0 || ttl < c.ttl {
		c.ttl = ttl
	}
	c.chain = append(c.chain, target)
	c.name = target
	return nil
}

// covers says whether an SOA speaks for c.name.
func (c *chase) covers(soa *dns.SOA) bool {
	return soa != nil && within(c.name, canonical(soa.Hdr.Name))
}

func (c *chase) positive(rrs []dns.RR) Answer {
	a := Answer{Name: c.name, Chain: c.chain}
	ttl := sane(rrs[0].Header().Ttl)
	if len(c.chain) > 0 {
		ttl = min(ttl, c.ttl)
	}
	if c.qtype == TypeTXT || c.qtype == TypeSPF {
		a.TXT = make([]Text, 0, len(rrs))
	}
	for _, rr := range rrs {
		ttl = min(ttl, sane(rr.Header().Ttl))
		a.add(rr)
	}
	a.TTL = seconds(ttl)
	return a
}

// negative makes NXDOMAIN or NODATA of a message without the RRset. Its life
// is that of RFC 2308 section 5; an SOA record of a zone that the name is not
// in counts for none.
func (c *chase) negative(m message) Answer {
	a := Answer{Name: c.name, Chain: c.chain, NXDomain: m.rcode == dns.RcodeNameError}
	if !c.covers(m.soa) {
		a.Weak = true
		return a
	}
	a.Zone = canonical(m.soa.Hdr.Name)
	a.TTL = seconds(min(sane(m.soa.Hdr.Ttl), m.soa.Minttl))
	return a
}

// add puts one record into the slice of its type. A record without data, as an
// update message may have, gives nothing.
func (a *Answer) add(rr dns.RR) {
	if rr.Header().Rdlength == 0 {
		return
	}
	switch rr := rr.(type) {
	case *dns.TXT:
		a.TXT = append(a.TXT, text(rr.Txt))
	case *dns.SPF:
		a.TXT = append(a.TXT, text(rr.Txt))
	case *dns.MX:
		a.MX = append(a.MX, MX{Host: canonical(rr.Mx), Preference: rr.Preference})
	case *dns.A:
		ip, _ := netip.AddrFromSlice(rr.A)
		a.Addrs = append(a.Addrs, ip.Unmap())
	case *dns.AAAA:
		ip, _ := netip.AddrFromSlice(rr.AAAA)
		a.Addrs = append(a.Addrs, ip)
	case *dns.NS:
		a.Hosts = append(a.Hosts, canonical(rr.Ns))
	case *dns.CNAME:
		a.Hosts = append(a.Hosts, canonical(rr.Target))
	case *dns.PTR:
		a.Hosts = append(a.Hosts, canonical(rr.Ptr))
	case *dns.SOA:
		a.SOA = append(a.SOA, SOA{Zone: a.Name, Primary: canonical(rr.Ns), Minimum: seconds(rr.Minttl)})
	}
}

func text(strs []string) Text {
	for i, s := range strs {
		strs[i] = unescape(s)
	}
	return Text{Strings: strs}
}

// sane takes a TTL with its top bit set for zero (RFC 2181 section 8).
func sane(ttl uint32) uint32 {
	if ttl > 1<<31-1 {
		return 0
	}
	return ttl
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }
