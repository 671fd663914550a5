package dnscheck

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/domaind/domaind/dnscheck/spf"
)

// quotes are the characters that editors and people put around values.
const quotes = "\"'`\\“”„‟‘’‚‛«»‹›"

// plain returns text as it was meant: without quotes and invisible
// characters, with plain dashes and spaces.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(quotes, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Pd, r), r == '−':
			return '-'
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
}

// repair reads what follows v=spf1 leniently: it returns the terms that are
// valid or whose author's meaning is plain, and the words that nobody can guess
// the meaning of. One such word makes a whole record worthless.
func repair(text string) (terms []spf.Term, lost []string) {
	open := "" // a word that waits for its value
	add := func(word string) bool {
		t, ok := repairTerm(word)
		if ok {
			terms = append(terms, t)
		}
		return ok
	}
	for _, word := range words(text) {
		before := open
		open = ""
		switch {
		case len(before) == 1 && add(before+word):
		case opens(word):
			open = word
		case add(word):
		case before != "" && add(before+word):
		case before != "" && add(before+":"+word):
		case !strings.EqualFold(word, "v=spf1"):
			lost = append(lost, word)
		}
	}
	return terms, lost
}

// words splits at spaces, and at the commas and semicolons that stand between
// terms; inside a valid term, such as a macro with a comma, they stay.
func words(text string) []string {
	var all []string
	for _, word := range strings.Fields(text) {
		if _, err := spf.ParseTerm(word); err == nil {
			all = append(all, word)
			continue
		}
		all = append(all, strings.FieldsFunc(plain(word), func(r rune) bool { return r == ',' || r == ';' || r == ' ' })...)
	}
	return all
}

var opening = regexp.MustCompile(`(?i)^[-+~?]?(include|ip4|ip6|ipv4|ipv6|exists|(include|a|mx|ip4|ip6|ipv4|ipv6|exists):|)$|^(redirect|exp)=$`)

// opens reports whether a word is the start of a term whose value was put
// behind a space.
func opens(word string) bool { return opening.MatchString(word) }

// named maps a mechanism name that people invent to the right one.
var named = map[string]string{
	"ipv4": "ip4", "ip": "ip4", "ipv6": "ip6", "inlcude": "include", "incude": "include",
	"includes": "include", "includ": "include", "exist": "exists",
}

// repairTerm parses one term after undoing the usual mistakes.
func repairTerm(word string) (spf.Term, bool) {
	t, err := spf.ParseTerm(word)
	if err == nil && (t.Kind != spf.KindUnknown || !isMechanismName(t.Name)) {
		return t, true
	}
	qualifier := ""
	if word != "" && strings.ContainsRune("+-~?", rune(word[0])) {
		qualifier, word = word[:1], word[1:]
	}
	for _, try := range candidates(word) {
		if t, err := spf.ParseTerm(qualifier + try); err == nil && t.Kind.Mechanism() {
			return t, true
		}
	}
	return spf.Term{}, false
}

// candidates lists what a broken mechanism may have meant, likeliest first.
func candidates(word string) []string {
	word = strings.Trim(word, ".")
	if addr, ok := network(word); ok {
		return []string{addr}
	}
	i := strings.IndexAny(word, ":=")
	if i < 0 {
		if name := strings.ToLower(word); slices.Contains([]string{"all", "a", "mx", "ptr"}, name) {
			return []string{name}
		}
		return nil
	}
	name, value := strings.ToLower(word[:i]), strings.TrimLeft(word[i+1:], ":=")
	if right, ok := named[name]; ok {
		name = right
	}
	if !isMechanismName(name) {
		return nil
	}
	if addr, ok := network(value); ok {
		return []string{addr}
	}
	return []string{name + ":" + value, name + ":" + strings.TrimRight(value, ".-")}
}

// network returns the mechanism for an address or a prefix.
func network(s string) (string, bool) {
	host, _, _ := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "", false
	case addr.Is4():
		return "ip4:" + s, true
	}
	return "ip6:" + s, true
}
