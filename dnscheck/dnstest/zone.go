package dnstest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Life of the SOA and NS records that the server makes up, in seconds, and so
// of its negative answers. It is short so that a record published after a
// first look is not hidden for long.
const madeUpTTL = 5

// recordTTL is the TTL of a record whose line has none, in seconds.
const recordTTL = 60

// maxAliases bounds how far one answer follows CNAMEs.
const maxAliases = 16

// Zone declares a zone by its apex. Set declares the zone of a name by itself,
// as its last two labels; only another cut needs a declaration, say a child
// zone. SOA and NS are made up until they are set.
func (s *Server) Zone(apex string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[dns.CanonicalName(apex)] = struct{}{}
}

// Set publishes records, each a master-file line with its full owner name. It
// replaces the RRsets that the lines belong to and leaves all others. On an
// error nothing is changed.
func (s *Server) Set(lines ...string) error {
	var rrs []dns.RR
	for _, line := range lines {
		parsed, err := parse(line)
		if err != nil {
			return fmt.Errorf("parse record %q: %w", line, err)
		}
		rrs = append(rrs, parsed...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rr := range rrs {
		delete(s.records[dns.CanonicalName(rr.Header().Name)], rr.Header().Rrtype)
	}
	for _, rr := range rrs {
		s.add(rr)
	}
	return nil
}

// parse reads one line or several; none at all is an error.
func parse(line string) ([]dns.RR, error) {
	var rrs []dns.RR
	zp := dns.NewZoneParser(strings.NewReader(line+"\n"), ".", "")
	zp.SetDefaultTTL(recordTTL)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		if txt, ok := rr.(*dns.TXT); ok && len(txt.Txt) == 0 {
			return nil, errors.New("no text in it")
		}
		rrs = append(rrs, rr)
	}
	if err := zp.Err(); err != nil {
		return nil, err
	}
	if len(rrs) == 0 {
		return nil, errors.New("no record in it")
	}
	return rrs, nil
}

func (s *Server) add(rr dns.RR) {
	h := rr.Header()
	name := dns.CanonicalName(h.Name)
	if s.zoneOf(name) == "" {
		labels := dns.Split(name)
		s.zones[name[labels[max(0, len(labels)-2)]:]] = struct{}{}
	}
	if h.Rrtype == dns.TypeSOA {
		s.zones[name] = struct{}{}
	}
	if s.records[name] == nil {
		s.records[name] = make(map[uint16][]dns.RR)
	}
	s.records[name][h.Rrtype] = append(s.records[name][h.Rrtype], rr)
}

// Remove takes one RRset away; rtype is written as in a master file ("TXT").
func (s *Server) Remove(name, rtype string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = dns.CanonicalName(name)
	delete(s.records[name], dns.StringToType[strings.ToUpper(rtype)])
	if len(s.records[name]) == 0 {
		delete(s.records, name)
	}
}

// Reset takes away all zones, records and faults, and starts to count anew.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = make(map[string]struct{})
	s.records = make(map[string]map[uint16][]dns.RR)
	s.faults = make(map[string]fault)
	s.queries = make(map[string]int)
	s.total = 0
}

// answer fills m with what the zones say about q. As a resolver it follows
// CNAMEs anywhere, as an authority only within the zone (RFC 1034 section
// 4.3.2).
func (s *Server) answer(m *dns.Msg, q dns.Question) {
	name, first := dns.CanonicalName(q.Name), ""
	for i := range maxAliases {
		zone := s.zoneOf(name)
		switch {
		case zone == "" && m.RecursionAvailable:
			m.Rcode = dns.RcodeNameError
			m.Ns = append(m.Ns, soa("."))
			return
		case zone == "" && i == 0:
			m.Rcode, m.Authoritative = dns.RcodeRefused, false
			return
		case i > 0 && zone != first && !m.RecursionAvailable:
			return
		}
		first = zone
		rrs, exists := s.find(name, q.Qtype, zone)
		m.Answer = append(m.Answer, rrs...)
		alias, ok := onlyCNAME(rrs)
		if ok && q.Qtype != dns.TypeCNAME {
			name = dns.CanonicalName(alias)
			continue
		}
		if len(rrs) == 0 {
			if !exists {
				m.Rcode = dns.RcodeNameError
			}
			soas, _ := s.find(zone, dns.TypeSOA, zone)
			m.Ns = append(m.Ns, soas...)
		}
		return
	}
}

// onlyCNAME returns the target when rrs is a CNAME.
func onlyCNAME(rrs []dns.RR) (string, bool) {
	if len(rrs) == 0 {
		return "", false
	}
	c, ok := rrs[0].(*dns.CNAME)
	if !ok {
		return "", false
	}
	return c.Target, true
}

// find returns the RRset of a name, or the CNAME in its place, with wildcards
// expanded (RFC 4592), and whether the name exists at all.
func (s *Server) find(name string, rtype uint16, zone string) ([]dns.RR, bool) {
	if s.exists(name, zone) {
		return s.rrset(name, rtype, zone), true
	}
	for off, end := dns.NextLabel(name, 0); !end; off, end = dns.NextLabel(name, off) {
		encloser := name[off:]
		if !s.exists(encloser, zone) {
			continue
		}
		wildcard := "*." + encloser
		if len(s.records[wildcard]) == 0 {
			return nil, false
		}
		var rrs []dns.RR
		for _, rr := range s.rrset(wildcard, rtype, zone) {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			rrs = append(rrs, rr)
		}
		return rrs, true
	}
	return nil, false
}

func (s *Server) rrset(name string, rtype uint16, zone string) []dns.RR {
	types := s.records[name]
	switch {
	case len(types[rtype]) > 0:
		return types[rtype]
	case len(types[dns.TypeCNAME]) > 0:
		return types[dns.TypeCNAME]
	case name == zone && rtype == dns.TypeSOA:
		return []dns.RR{soa(zone)}
	case name == zone && rtype == dns.TypeNS:
		return []dns.RR{&dns.NS{Hdr: header(zone, rtype), Ns: nameServer(zone)}}
	case name == nameServer(zone) && len(types) == 0:
		return s.hostAddress(name, rtype)
	}
	return nil
}

// hostAddress returns our own address, for the name server that was made up.
func (s *Server) hostAddress(name string, rtype uint16) []dns.RR {
	ip := s.addr.Addr()
	switch {
	case rtype == dns.TypeA && ip.Is4():
		return []dns.RR{&dns.A{Hdr: header(name, rtype), A: ip.AsSlice()}}
	case rtype == dns.TypeAAAA && ip.Is6():
		return []dns.RR{&dns.AAAA{Hdr: header(name, rtype), AAAA: ip.AsSlice()}}
	}
	return nil
}

// exists says whether a name has records, or one below it does.
func (s *Server) exists(name, zone string) bool {
	if name == zone || name == nameServer(zone) || len(s.records[name]) > 0 {
		return true
	}
	below := "." + name
	for owner, types := range s.records {
		if len(types) > 0 && strings.HasSuffix(owner, below) {
			return true
		}
	}
	return false
}

// zoneOf returns the apex of the closest zone around a name, or "".
func (s *Server) zoneOf(name string) string {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if _, ok := s.zones[name[off:]]; ok {
			return name[off:]
		}
	}
	return ""
}

func nameServer(zone string) string { return "ns1." + strings.TrimPrefix(zone, ".") }

func header(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: madeUpTTL}
}

func soa(zone string) *dns.SOA {
	return &dns.SOA{
		Hdr: header(zone, dns.TypeSOA), Ns: nameServer(zone), Mbox: "hostmaster." + strings.TrimPrefix(zone, "."),
		Serial: 1, Refresh: 7200, Retry: 900, Expire: 1209600, Minttl: madeUpTTL,
	}
}
