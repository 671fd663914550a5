package name

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// notAName recognises text that is something else altogether, so that the
// answer can say what it is.
func notAName(s string) *Error {
	switch {
	case isAddress(s):
		return refuse(CodeIPAddress, "this is an IP address; give a domain name")
	case isURL(s) && !strings.HasPrefix(s, "mailto:"):
		return refuse(CodeURL, "this is a URL or has a port or path; give the domain name alone")
	case strings.Contains(s, "@"):
		return refuse(CodeEmail, "this is an e-mail address; give the part after the @ alone")
	}
	return nil
}

// isURL reports text that begins like a URL, or like a host with a port, path,
// query or fragment. Other text with such characters is just no name.
func isURL(s string) bool {
	i := strings.IndexAny(s, ":/?#")
	if i < 0 {
		return false
	}
	host := s[:i]
	if host == "" {
		return strings.HasPrefix(s, "//")
	}
	other := func(r rune) bool {
		return r < utf8.RuneSelf && r != '.' && r != '_' && r != '+' && r != '*' && badASCII(unicode.ToLower(r))
	}
	return strings.Trim(host, ".") != "" && strings.IndexFunc(host, other) < 0
}

// isAddress reports whether s is an IP address in any of the forms that some
// parser takes for one: plain, in brackets, with a port or prefix length, an
// address literal of RFC 5321 section 4.1.3, or inet_aton's short forms
// (127.1, 0x7f.0.0.1, 2130706433).
func isAddress(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok := strings.CutSuffix(inner, "]"); ok {
			s = inner
			if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
				s = s[5:]
			}
		}
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if _, err := netip.ParseAddrPort(s); err == nil {
		return true
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return false
	}
	for _, part := range parts {
		if !numeric(part) {
			return false
		}
	}
	return true
}

// numeric reports whether a label reads as a number to the parsers that take
// a host ending in one for an IPv4 address: decimal or octal digits, or 0x
// with hexadecimal digits or none.
func numeric(label string) bool {
	if label == "" {
		return false
	}
	digits := "0123456789"
	if len(label) >= 2 && label[0] == '0' && label[1]|0x20 == 'x' {
		label, digits = label[2:], "0123456789abcdefABCDEF"
	}
	return strings.Trim(label, digits) == ""
}

// specialUse holds the top-level names that public DNS does not serve: the
// IANA special-use registry (RFC 6761 and what followed it: 6762 local, 7686
// onion, 9476 alt), all of the infrastructure domain arpa, and internal, which
// ICANN has set aside for private use. example.com and its kind are ordinary
// names in DNS and are not here.
var specialUse = map[string]bool{
	"alt":       true,
	"arpa":      true,
	"example":   true,
	"internal":  true,
	"invalid":   true,
	"local":     true,
	"localhost": true,
	"onion":     true,
	"test":      true,
}

// SpecialUse reports whether a name in the form of Name.ASCII lies under a
// special-use top-level name.
func SpecialUse(ascii string) bool {
	return specialUse[ascii[strings.LastIndexByte(ascii, '.')+1:]]
}
