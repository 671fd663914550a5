package spf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// expand returns the name that a term is about (RFC 7208 sections 4.8 and 7),
// lower-cased, without final dot, cut on the left to 253 octets. A term
// without a domain-spec is about the domain itself.
func (e *evaluation) expand(domain string, t Term) string {
	if t.Domain.Empty() {
		return domain
	}
	var b strings.Builder
	for _, p := range t.Domain.parts {
		if p.letter == 0 {
			b.WriteString(p.literal)
			continue
		}
		b.WriteString(p.apply(e.value(p.letter, domain)))
	}
	name := strings.TrimSuffix(strings.ToLower(b.String()), ".")
	for len(name) > 253 {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	return name
}

// value is what a macro letter stands for (section 7.2).
func (e *evaluation) value(letter byte, domain string) string {
	local, origin := e.query.Sender, e.query.Domain
	if at := strings.LastIndexByte(e.query.Sender, '@'); at >= 0 {
		local, origin = e.query.Sender[:at], e.query.Sender[at+1:]
	}
	switch letter {
	case 's':
		return e.query.Sender
	case 'l':
		return local
	case 'o':
		return origin
	case 'd':
		return domain
	case 'i':
		return dotted(e.query.IP)
	case 'p':
		return e.reverseFor(domain)
	case 'h':
		return e.query.HELO
	case 'v':
		if e.query.IP.Is6() {
			return "ip6"
		}
		return "in-addr"
	}
	return ""
}

// reverseFor picks the validated name of the p macro: the domain itself, a
// name below it, any name, or "unknown" (section 7.3).
func (e *evaluation) reverseFor(domain string) string {
	names := e.reverse()
	if slices.Contains(names, domain) {
		return domain
	}
	for _, n := range names {
		if strings.HasSuffix(n, "."+domain) {
			return n
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return "unknown"
}

// apply splits at the delimiters, reverses, keeps the right-hand parts, joins
// with dots, and escapes (section 7.3).
func (p part) apply(value string) string {
	delimiter := p.delimiter
	if delimiter == "" {
		delimiter = "."
	}
	labels := splitAny(value, delimiter)
	if p.reverse {
		slices.Reverse(labels)
	}
	if p.digits > 0 && p.digits < len(labels) {
		labels = labels[len(labels)-p.digits:]
	}
	joined := strings.Join(labels, ".")
	if p.escape {
		return escape(joined)
	}
	return joined
}

func splitAny(s, delimiters string) []string {
	var out []string
	for {
		i := strings.IndexAny(s, delimiters)
		if i < 0 {
			return append(out, s)
		}
		out = append(out, s[:i])
		s = s[i+1:]
	}
}

// escape percent-encodes all but the unreserved characters of RFC 3986.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// dotted is the i macro: dotted quad, or the 32 nibbles of IPv6.
func dotted(ip netip.Addr) string {
	if !ip.Is6() {
		if !ip.IsValid() {
			return "unknown"
		}
		return ip.String()
	}
	octets := ip.As16()
	nibbles := make([]string, 0, 32)
	for _, o := range octets {
		nibbles = append(nibbles, fmt.Sprintf("%x", o>>4), fmt.Sprintf("%x", o&15))
	}
	return strings.Join(nibbles, ".")
}

// reverseName is the owner name of the address's PTR record.
func reverseName(ip netip.Addr) string {
	labels := strings.Split(dotted(ip), ".")
	slices.Reverse(labels)
	zone := ".in-addr.arpa"
	if ip.Is6() {
		zone = ".ip6.arpa"
	}
	return strings.Join(labels, ".") + zone
}
