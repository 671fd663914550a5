package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const version = "v=spf1"

// ErrNoRecord is the error of Parse for a text that is no SPF record at all:
// a receiver ignores it (RFC 7208 section 4.5).
var ErrNoRecord = errors.New("spf: not a record of version spf1")

// Is reports whether a TXT text is an SPF record by its version section: v=spf1
// in any case, ended by a space or by the end (RFC 7208 section 4.5).
func Is(text string) bool {
	if len(text) < len(version) || !strings.EqualFold(text[:len(version)], version) {
		return false
	}
	return len(text) == len(version) || text[len(version)] == ' '
}

// Parse reads a whole record by the grammar of RFC 7208 section 12. The error
// is ErrNoRecord or a *SyntaxError; an error anywhere is an error of the whole
// record (section 4.6).
func Parse(text string) (Record, error) {
	if !Is(text) {
		return Record{}, ErrNoRecord
	}
	var r Record
	seen := map[Kind]bool{}
	for at := len(version); at < len(text); {
		if text[at] == ' ' {
			at++
			continue
		}
		word, _, _ := strings.Cut(text[at:], " ")
		t, err := parseTerm(word, at+1)
		if err != nil {
			return Record{}, err
		}
		if t.Kind == KindRedirect || t.Kind == KindExp {
			if seen[t.Kind] {
				return Record{}, &SyntaxError{t.Column, t.Text, fmt.Sprintf("%s= stands twice; it may stand once", t.Kind)}
			}
			seen[t.Kind] = true
		}
		r.Terms = append(r.Terms, t)
		at += len(word)
	}
	return r, nil
}

// ParseTerm reads one directive or modifier. The error is a *SyntaxError.
func ParseTerm(text string) (Term, error) { return parseTerm(text, 1) }

// parseTerm reads one term that begins at a column of its record.
func parseTerm(text string, column int) (Term, error) {
	t := Term{Text: text, Column: column, Len4: 32, Len6: 128}
	if why := t.parse(); why != nil {
		return Term{}, &SyntaxError{column + why.offset, text, why.text}
	}
	return t, nil
}

// parse fills in a term from its text.
func (t *Term) parse() *reason {
	text := t.Text
	if text == "" {
		return wrong(0, "the term is empty")
	}
	for i := range len(text) {
		if c := text[i]; c < 0x21 || c > 0x7E {
			return wrong(i, "%s", badOctet(c))
		}
	}
	if name, value, ok := cutModifier(text); ok {
		return t.modifier(name, value).shift(len(name) + 1)
	}
	body := text
	t.Qualifier = QualifierPass
	if strings.IndexByte("+-~?", body[0]) >= 0 {
		t.Qualifier = Qualifier(body[0])
		body = body[1:]
	}
	n := strings.IndexAny(body, ":/")
	if n < 0 {
		n = len(body)
	}
	return t.mechanism(body[:n], body[n:]).shift(len(text) - len(body))
}

// mechanism reads a mechanism without its qualifier, cut behind its name.
func (t *Term) mechanism(name, rest string) *reason {
	t.Kind = Kind(strings.ToLower(name))
	var why *reason
	switch t.Kind {
	case KindAll:
		if rest != "" {
			why = wrong(0, "all takes no value")
		}
	case KindInclude, KindExists, KindPTR:
		why = t.domainOnly(rest)
	case KindA, KindMX:
		why = t.domainAndLengths(rest)
	case KindIP4, KindIP6:
		why = t.network(rest)
	default:
		return wrong(0, "%s", unknownMechanism(string(t.Kind), t.Text))
	}
	return why.shift(len(name))
}

// reason is what is wrong in a part of a term, and where in it.
type reason struct {
	offset int
	text   string
}

func wrong(offset int, format string, args ...any) *reason {
	return &reason{offset, fmt.Sprintf(format, args...)}
}

// shift moves the place to the right, for the text that stands before it.
func (r *reason) shift(by int) *reason {
	if r != nil {
		r.offset += by
	}
	return r
}

// cutModifier splits name "=" value. A modifier has no qualifier, and its
// name is told by the "=" coming before any ":" or "/" (section 4.6.1).
func cutModifier(text string) (name, value string, ok bool) {
	for i := range len(text) {
		c := text[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		switch {
		case text[i] == '=' && i > 0:
			return text[:i], text[i+1:], true
		case letter:
		case i > 0 && (text[i] >= '0' && text[i] <= '9' || strings.IndexByte("-_.", text[i]) >= 0):
		default:
			return "", "", false
		}
	}
	return "", "", false
}

func (t *Term) modifier(name, value string) *reason {
	var why *reason
	switch name := strings.ToLower(name); name {
	case "redirect", "exp":
		t.Kind = Kind(name)
		t.Domain, why = parseDomainSpec(value)
	default:
		t.Kind, t.Name = KindUnknown, name
		_, why = parseMacro(value, true)
	}
	return why
}

// domainOnly reads [ ":" domain-spec ]; only ptr may go without.
func (t *Term) domainOnly(rest string) *reason {
	if rest == "" && t.Kind == KindPTR {
		return nil
	}
	if !strings.HasPrefix(rest, ":") {
		return wrong(0, "%s needs a colon and a domain name behind it", t.Kind)
	}
	return t.domain(rest[1:], 1)
}

func (t *Term) domain(spec string, offset int) *reason {
	m, why := parseDomainSpec(spec)
	t.Domain = m
	return why.shift(offset)
}

// domainAndLengths reads [ ":" domain-spec ] [ dual-cidr-length ]. The lengths
// are cut from the end, because a domain-spec may hold slashes of its own.
func (t *Term) domainAndLengths(rest string) *reason {
	cut := len(strings.TrimRight(rest, "0123456789/"))
	if slash := strings.IndexByte(rest[cut:], '/'); slash >= 0 {
		cut += slash
	} else {
		cut = len(rest)
	}
	if why := t.lengths(rest[cut:]); why != nil {
		return why.shift(cut)
	}
	rest = rest[:cut]
	if rest == "" {
		return nil
	}
	if rest[0] != ':' {
		return wrong(0, "the prefix length is not a number")
	}
	return t.domain(rest[1:], 1)
}

// lengths reads [ "/" ip4-length ] [ "//" ip6-length ].
func (t *Term) lengths(s string) *reason {
	four, six, dual := strings.Cut(s, "//")
	ok := true
	if four != "" {
		t.Len4, ok = prefixLength(four[1:], 32)
	}
	if ok && dual {
		t.Len6, ok = prefixLength(six, 128)
	}
	if !ok {
		return wrong(0, "%q is no prefix length: /0 to /32 for IPv4, //0 to //128 for IPv6", s)
	}
	return nil
}

func prefixLength(s string, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most || s[0] == '+' || s[0] == '-' || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	return n, true
}

// network reads ":" ip-network [ "/" length ] of ip4 and ip6.
func (t *Term) network(rest string) *reason {
	if !strings.HasPrefix(rest, ":") {
		return wrong(0, "%s needs a colon and an address behind it", t.Kind)
	}
	text, length, sized := strings.Cut(rest[1:], "/")
	addr, err := netip.ParseAddr(text)
	four := t.Kind == KindIP4
	switch {
	case err != nil || addr.Zone() != "":
		return wrong(1, "%q is no %s address", text, family(four))
	case addr.Is4() != four:
		return wrong(1, "%q is an %s address; use %s:", text, family(!four), other(t.Kind))
	}
	bits := addr.BitLen()
	if sized {
		n, ok := prefixLength(length, bits)
		if !ok {
			return wrong(1+len(text), "%q is no prefix length: 0 to %d", length, bits)
		}
		bits = n
	}
	t.Prefix = netip.PrefixFrom(addr, bits).Masked()
	return nil
}

func family(four bool) string {
	if four {
		return "IPv4"
	}
	return "IPv6"
}

func other(k Kind) Kind {
	if k == KindIP4 {
		return KindIP6
	}
	return KindIP4
}
