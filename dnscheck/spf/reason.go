package spf

import (
	"fmt"
	"net/netip"
	"strings"
)

// badOctet names an octet that no term may hold.
func badOctet(c byte) string {
	switch {
	case c == '\t':
		return "a tab stands where a space must stand"
	case c >= 0x80:
		return "there is a character that is not plain ASCII, such as a typographic quote or dash or an invisible space"
	}
	return fmt.Sprintf("there is the control character %d", c)
}

// intended maps what people write to the mechanism they mean.
var intended = map[string]string{
	"ipv4": "ip4:", "ip": "ip4:", "ipv6": "ip6:", "ip4v": "ip4:", "ip6v": "ip6:",
	"inlcude": "include:", "incude": "include:", "includes": "include:", "includ": "include:",
	"aaaa": "a:", "exist": "exists:", "none": "all", "redirect": "redirect=", "exp": "exp=",
}

// unknownMechanism explains a term whose name is no mechanism.
func unknownMechanism(name, text string) string {
	if strings.Trim(text, ",;") == "" {
		return "a lone separator; terms are separated by spaces only"
	}
	bare := strings.Trim(name, `,;"'\`)
	switch {
	case name == "":
		return "a mechanism name is missing; is there a space too many beside the term?"
	case strings.ContainsAny(name, `"'\`):
		return "a quote or backslash became part of the value; enter it without quotes"
	case bare != name:
		return "a comma or semicolon became part of the term; terms are separated by spaces only"
	case strings.ContainsAny(name, ",;"):
		return "terms are separated by spaces only, not by commas or semicolons"
	}
	if want, ok := intended[name]; ok {
		return fmt.Sprintf("there is no mechanism %q; write %q", name, want)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "an address needs ip4: or ip6: before it"
	}
	if strings.HasPrefix(name, "v=") {
		return "v=spf1 stands only once, at the start"
	}
	for _, k := range []Kind{KindInclude, KindIP4, KindIP6, KindExists, KindAll} {
		if strings.HasSuffix(name, string(k)) {
			return fmt.Sprintf("there is no mechanism %q; is a space missing before %q?", name, k)
		}
	}
	for _, k := range []Kind{KindInclude, KindIP4, KindIP6, KindMX} {
		if strings.HasPrefix(name, string(k)) {
			return fmt.Sprintf("there is no mechanism %q; is a colon or a space missing after %q?", name, k)
		}
	}
	if strings.Contains(name, ".") {
		return "a domain name alone is no mechanism; write include: or a: before it"
	}
	return fmt.Sprintf("there is no mechanism %q", name)
}

// badEnd explains a domain-spec without a proper top label.
func badEnd(spec string) string {
	switch {
	case spec == "":
		return "the domain name is missing; no space may stand after the colon"
	case strings.HasSuffix(spec, ",") || strings.HasSuffix(spec, ";"):
		return "a comma or semicolon became part of the name; terms are separated by spaces only"
	case strings.ContainsAny(spec, `"'\`):
		return "a quote or backslash became part of the name; enter the value without quotes"
	case strings.Contains(spec, "://"):
		return "a URL stands where a domain name must stand"
	case strings.Contains(spec, "@"):
		return "an email address stands where a domain name must stand"
	}
	if _, err := netip.ParseAddr(spec); err == nil {
		return "an address stands where a domain name must stand; use ip4: or ip6:"
	}
	if !strings.Contains(strings.TrimSuffix(spec, "."), ".") {
		return fmt.Sprintf("%q is no full domain name", spec)
	}
	return fmt.Sprintf("%q does not end like a domain name", spec)
}
