// Package name decides which text is a domain name that mail can be managed
// for, and gives it one form: lower-case A-labels without a final dot. The
// rules are IDNA2008 lookup (RFC 5891 section 5), read strictly: case and
// canonical composition are normalised, and whatever else a mapping would
// change is refused, because the user did not type the result.
package name

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The codes of Error: stable, machine-readable, shown to API clients.
const (
	CodeInvalidDomain   = "invalid-domain"
	CodeSingleLabel     = "single-label"
	CodePublicSuffix    = "public-suffix"
	CodeIPAddress       = "ip-address"
	CodeWildcard        = "wildcard"
	CodeUnderscore      = "underscore"
	CodeURL             = "url-not-domain"
	CodeEmail           = "email-not-domain"
	CodeSpecialUse      = "special-use"
	CodeReservedDomain  = "reserved-domain"
	CodeNameTooLong     = "name-too-long"
	CodeLabelTooLong    = "label-too-long"
	CodeIDNMapping      = "idn-mapping"
	CodeIDNDisallowed   = "idn-disallowed"
	CodeInvalidPunycode = "invalid-punycode"
	CodeMixedScript     = "mixed-script"
)

const (
	// MaxName is the longest name in octets of its text form without the final
	// dot: 255 octets on the wire (RFC 1035 section 2.3.4).
	MaxName = 253
	// MaxLabel is the longest label in octets (RFC 1035 section 2.3.4).
	MaxLabel = 63
	// maxLabels is how many labels of one octet fit MaxName.
	maxLabels = (MaxName + 1) / 2
	// maxInput bounds the text before any work is done on it. No name that
	// fits MaxName needs so much, decomposed and in UTF-8.
	maxInput = 4096
)

// Error says why a text is no name for us. Detail is fixed English text with
// at most code points and lengths in it, never the input: it may be shown.
type Error struct{ Code, Detail string }

// Error returns the code and the detail.
func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// refuse makes an *Error.
func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Policy is what an installation adds to the rules; the zero value is the
// strict default.
type Policy struct {
	// AllowSpecialUse accepts special-use names such as customer.test.
	AllowSpecialUse bool
	// Own holds our own host names: they and the names below are refused.
	Own []string
	// Suffix tells a name's public suffix, as publicsuffix.PublicSuffix of
	// golang.org/x/net does. It is handed in because that package brings
	// net/http along. nil leaves the rule about public suffixes out.
	Suffix func(domain string) (suffix string, icann bool)
	// Reserve is how many octets the longest record name adds in front, its
	// dot included; name and prefix together must fit MaxName.
	Reserve int
}

// Name is an accepted domain name.
type Name struct {
	// ASCII is the name in lower-case A-labels without a final dot.
	ASCII string
	// Unicode is the form to show people: U-labels where they are safe to
	// show, else the same as ASCII.
	Unicode string
}

// Parse reads the domain name of a customer. One final dot is accepted,
// nothing is trimmed. The error is an *Error. Parse(n.ASCII) gives n again.
func Parse(s string, p Policy) (Name, error) {
	n, err := parse(s)
	if err != nil {
		return Name{}, err
	}
	if err := p.judge(n.ASCII); err != nil {
		return Name{}, err
	}
	return n, nil
}

// Host reads a host name of the operator's configuration or of a URL: the
// rules of Parse without those about whose the name is (special use, public
// suffix, our own hosts). It returns lower-case A-labels without a final dot;
// the error is an *Error.
func Host(s string) (string, error) {
	n, err := parse(s)
	if err != nil {
		return "", err
	}
	return n.ASCII, nil
}

// judge applies the rules about whose the name is and what is put below it.
func (p Policy) judge(ascii string) *Error {
	if !p.AllowSpecialUse && SpecialUse(ascii) {
		return refuse(CodeSpecialUse, "this top-level domain is set aside for special use (RFC 6761) and has no public DNS")
	}
	for _, own := range p.Own {
		own = strings.ToLower(strings.TrimSuffix(own, "."))
		if own != "" && Under(ascii, own) {
			return refuse(CodeReservedDomain, "this name belongs to the mail service itself")
		}
	}
	// Both sections of the list count. A top level that it does not know is
	// its own suffix, so that a name below a new one passes.
	if p.suffix(ascii) == ascii {
		return refuse(CodePublicSuffix, "this is a public suffix, under which others register names; give a name below it")
	}
	if p.Reserve > 0 && len(ascii)+p.Reserve > MaxName {
		return refuse(CodeNameTooLong, "the name has %d octets; with a record name in front of it, it may have %d", len(ascii), max(MaxName-p.Reserve, 0))
	}
	return nil
}

// suffix returns the public suffix of a name, "" where nobody knows.
func (p Policy) suffix(ascii string) string {
	if p.Suffix == nil {
		return ""
	}
	suffix, _ := p.Suffix(ascii)
	return suffix
}

// Under reports whether child is parent or below it, by whole labels. Both are
// in the form of Name.ASCII.
func Under(child, parent string) bool {
	rest, ok := strings.CutSuffix(child, parent)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}

// parse applies the rules about the text itself.
func parse(s string) (Name, *Error) {
	if len(s) > maxInput {
		return Name{}, refuse(CodeNameTooLong, "the text has %d octets; a name has at most %d", len(s), MaxName)
	}
	if !utf8.ValidString(s) {
		return Name{}, refuse(CodeInvalidDomain, "the text is not valid UTF-8")
	}
	s = strings.TrimSuffix(s, ".")
	if s == "" {
		return Name{}, refuse(CodeInvalidDomain, "the name is empty")
	}
	if err := notAName(s); err != nil {
		return Name{}, err
	}
	labels := strings.Split(s, ".")
	if len(labels) > maxLabels {
		return Name{}, refuse(CodeNameTooLong, "the name has %d labels; at most %d fit in DNS", len(labels), maxLabels)
	}
	ulabels := make([]string, len(labels))
	for i, l := range labels {
		a, u, err := parseLabel(l)
		if err != nil {
			return Name{}, err
		}
		labels[i], ulabels[i] = a, u
	}
	n := Name{ASCII: strings.Join(labels, ".")}
	if err := checkName(n.ASCII, labels); err != nil {
		return Name{}, err
	}
	n.Unicode = n.ASCII
	if u := strings.Join(ulabels, "."); u != n.ASCII {
		if err := checkIDN(u, n.ASCII); err != nil {
			return Name{}, err
		}
		if showable(ulabels) {
			n.Unicode = u
		}
	}
	return n, nil
}

// checkName applies the rules about the whole name in A-labels.
func checkName(ascii string, labels []string) *Error {
	if len(ascii) > MaxName {
		return refuse(CodeNameTooLong, "the name has %d octets; at most %d fit in DNS", len(ascii), MaxName)
	}
	if len(labels) < 2 {
		return refuse(CodeSingleLabel, "the name has one label only; a mail domain has at least two")
	}
	if numeric(labels[len(labels)-1]) {
		return refuse(CodeInvalidDomain, "the last label is a number; no top-level domain is")
	}
	return nil
}
