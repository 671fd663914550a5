package dnscheck

import "strings"

// suffixes tells a name's public suffix, as publicsuffix.PublicSuffix of
// golang.org/x/net does; icann says that a registry runs it. nil takes the top
// level alone for one.
//
// It is handed in because that package brings net/http along, and a package
// that speaks DNS only should depend on nothing else.
type suffixes func(domain string) (suffix string, icann bool)

func (f suffixes) of(domain string) (suffix string, icann bool) {
	if f == nil {
		return domain[strings.LastIndexByte(domain, '.')+1:], false
	}
	return f(domain)
}

// registry reports whether a name is a top level or a registry's suffix.
func (f suffixes) registry(name string) bool {
	suffix, icann := f.of(name)
	return suffix == name && (icann || !strings.Contains(name, "."))
}

// registered is the name that was bought from a registry, as far as the list
// of public suffixes knows; the domain itself where it does not.
func (f suffixes) registered(domain string) string {
	suffix, _ := f.of(domain)
	rest, ok := strings.CutSuffix(domain, "."+suffix)
	if !ok {
		return domain
	}
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + suffix
}
