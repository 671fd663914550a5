package spf

import (
	"net/netip"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// ask asks one question of a mechanism and counts it when it is void
// (RFC 7208 section 4.6.4).
func (e *evaluation) ask(name string, qtype resolve.Type, t Term) (resolve.Answer, *Problem) {
	a, err := e.resolver.Lookup(e.context, name, qtype)
	if err != nil {
		return a, &Problem{Kind: ProblemTemp, Name: name, Term: t, Err: err}
	}
	if a.Empty() {
		e.void++
		if e.void > MaxVoid {
			return a, &Problem{Kind: ProblemVoid, Name: name, Term: t}
		}
	}
	return a, nil
}

// family is the address type that the sender's address calls for.
func (e *evaluation) family() resolve.Type {
	if e.query.IP.Is6() {
		return resolve.TypeAAAA
	}
	return resolve.TypeA
}

func (e *evaluation) address(name string, t Term) (bool, *Problem) {
	a, why := e.ask(name, e.family(), t)
	return why == nil && e.within(a.Addrs, t), why
}

// within reports whether the sender's address shares a prefix with one of the
// addresses.
func (e *evaluation) within(addrs []netip.Addr, t Term) bool {
	for _, addr := range addrs {
		bits := t.Len4
		if addr.Is6() {
			bits = t.Len6
		}
		if netip.PrefixFrom(addr, bits).Masked().Contains(e.query.IP) {
			return true
		}
	}
	return false
}

func (e *evaluation) mx(name string, t Term) (bool, *Problem) {
	a, why := e.ask(name, resolve.TypeMX, t)
	if why != nil {
		return false, why
	}
	if len(a.MX) > MaxMX {
		return false, &Problem{Kind: ProblemMX, Name: name, Term: t}
	}
	for _, mx := range a.MX {
		host := strings.ToLower(mx.Host)
		if !validName(host) {
			continue
		}
		matched, why := e.address(host, t)
		if matched || why != nil {
			return matched, why
		}
	}
	return false, nil
}

// exists asks for an A record whatever the family of the sender's address.
func (e *evaluation) exists(name string, t Term) (bool, *Problem) {
	if !e.query.IP.IsValid() {
		return false, nil
	}
	a, why := e.ask(name, resolve.TypeA, t)
	return why == nil && len(a.Addrs) > 0, why
}

// ptr never ends in temperror: the reverse zone is not the domain's
// (section 5.5).
func (e *evaluation) ptr(domain string, t Term) bool {
	name := e.expand(domain, t)
	for _, host := range e.reverse() {
		if host == name || strings.HasSuffix(host, "."+name) {
			return true
		}
	}
	return false
}

// reverse returns the names of the sender's address that lead back to it
// (section 5.5).
func (e *evaluation) reverse() []string {
	if e.asked || !e.query.IP.IsValid() {
		return e.validated
	}
	e.asked = true
	a, err := e.resolver.Lookup(e.context, reverseName(e.query.IP), resolve.TypePTR)
	if err != nil {
		return nil
	}
	for i, host := range a.Hosts {
		host = strings.ToLower(host)
		if i == maxPTR || !validName(host) {
			break
		}
		forward, err := e.resolver.Lookup(e.context, host, e.family())
		if err != nil {
			continue
		}
		for _, addr := range forward.Addrs {
			if addr == e.query.IP {
				e.validated = append(e.validated, host)
				break
			}
		}
	}
	return e.validated
}

// validName reports whether DNS can be asked for a name: labels of 1 to 63
// octets, 253 in all (RFC 7208 section 4.3).
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}
