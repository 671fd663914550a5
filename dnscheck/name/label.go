package name

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

const acePrefix = "xn--"

// lookup is idna.Lookup without its rule on hyphens, which counts octets where
// RFC 5891 section 5.4 counts characters; checkHyphens has that rule.
var lookup = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false))

// parseLabel reads one label and returns it as A-label and as U-label; for an
// ASCII label both are the lower-case label.
func parseLabel(s string) (a, u string, err *Error) {
	if s == "" {
		return "", "", refuse(CodeInvalidDomain, "the name has an empty label")
	}
	if !isASCII(s) {
		return parseULabel(s)
	}
	a = strings.ToLower(s)
	if err := checkLDH(a); err != nil {
		return "", "", err
	}
	if strings.HasPrefix(a, acePrefix) {
		u, err = decodeALabel(a)
		return a, u, err
	}
	return a, a, checkHyphens(a)
}

// checkLDH allows letters, digits and hyphens (RFC 1123 section 2.1), at most
// MaxLabel of them. A wildcard or underscore is named as such where it is all
// that is wrong.
func checkLDH(a string) *Error {
	wildcard, underscore := false, false
	for i := range len(a) {
		switch c := a[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		case c == '*':
			wildcard = true
		case c == '_':
			underscore = true
		default:
			return refuse(CodeInvalidDomain, "U+%04X cannot stand in a domain name", c)
		}
	}
	if wildcard {
		return refuse(CodeWildcard, "a wildcard is no mail domain; give each name of its own")
	}
	if underscore {
		return refuse(CodeUnderscore, "a mail domain has no underscore")
	}
	if len(a) > MaxLabel {
		return refuse(CodeLabelTooLong, "a label has %d octets; at most %d are allowed", len(a), MaxLabel)
	}
	return nil
}

// checkHyphens refuses hyphens at the ends and in third and fourth place, on
// an A-label's prefix too: RFC 5891 section 5.4. It is for labels without it,
// and counts characters.
func checkHyphens(label string) *Error {
	if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
		return refuse(CodeInvalidDomain, "a label begins or ends with a hyphen")
	}
	if r := []rune(label); len(r) >= 4 && r[2] == '-' && r[3] == '-' {
		return refuse(CodeInvalidDomain, "a label has hyphens in third and fourth place (RFC 5891)")
	}
	return nil
}

// decodeALabel returns the U-label of a lower-case A-label. The two must be
// exactly each other's form: the library alone lets xn--.com become .com.
func decodeALabel(a string) (string, *Error) {
	u, err := idna.Punycode.ToUnicode(a)
	if err != nil || isASCII(u) || !utf8.ValidString(u) {
		return "", refuse(CodeInvalidPunycode, "a label begins with xn-- and is no valid Punycode")
	}
	if err := checkRunes(u); err != nil {
		if err.Code == CodeIDNDisallowed {
			return "", err
		}
		return "", refuse(CodeInvalidPunycode, "a label begins with xn-- and decodes to text that IDNA does not keep as it is")
	}
	if back, err := idna.Punycode.ToASCII(u); err != nil || back != a {
		return "", refuse(CodeInvalidPunycode, "a label begins with xn-- and is not the A-label of what it decodes to")
	}
	if m, _ := idna.Lookup.ToUnicode(u); m != u {
		return "", refuse(CodeInvalidPunycode, "a label begins with xn-- and decodes to text that is not in normal form")
	}
	return u, checkScripts(u)
}

// parseULabel reads a label with characters outside ASCII.
func parseULabel(s string) (a, u string, err *Error) {
	if err := checkTyped(s); err != nil {
		return "", "", err
	}
	u = norm.NFC.String(strings.Map(lower, s))
	if strings.HasPrefix(u, acePrefix) {
		return "", "", refuse(CodeInvalidPunycode, "a label begins with xn-- and has characters outside ASCII")
	}
	if utf8.RuneCountInString(u) > MaxLabel {
		return "", "", refuse(CodeLabelTooLong, "a label has more than %d octets in DNS", MaxLabel)
	}
	if err := checkRunes(u); err != nil {
		return "", "", err
	}
	if m, _ := idna.Lookup.ToUnicode(u); m != u {
		return "", "", refuse(CodeIDNMapping, "IDNA turns a label into other text than was typed; give the plain form")
	}
	if err := checkScripts(u); err != nil {
		return "", "", err
	}
	a, perr := idna.Punycode.ToASCII(u)
	if perr != nil {
		return "", "", refuse(CodeIDNDisallowed, "a label has no form in DNS")
	}
	if len(a) > MaxLabel {
		return "", "", refuse(CodeLabelTooLong, "a label has %d octets in DNS; at most %d are allowed", len(a), MaxLabel)
	}
	return a, u, nil
}

// lower is unicode.ToLower but for Cherokee, whose stable form is the upper
// case (RFC 8753 keeps RFC 5892's derivation, which folds it that way).
func lower(r rune) rune {
	if unicode.Is(unicode.Cherokee, r) {
		return r
	}
	return unicode.ToLower(r)
}

// checkTyped refuses single characters that stand for another: those whose
// lower case is ASCII (the Kelvin sign, the dotted capital I), and those with
// a canonical mapping of their own (the Angstrom sign, compatibility
// ideographs). Letters and combining marks typed apart compose and pass.
func checkTyped(s string) *Error {
	for _, r := range s {
		if r < utf8.RuneSelf {
			continue
		}
		if unicode.ToLower(r) < utf8.RuneSelf || norm.NFC.String(string(r)) != string(r) {
			return refuse(CodeIDNMapping, "U+%04X stands for another character; type that one", r)
		}
	}
	return nil
}

// checkRunes refuses the characters that IDNA2008 does not allow in a label,
// and those that need a context which is not there.
func checkRunes(u string) *Error {
	if c := strings.IndexFunc(u, badASCII); c >= 0 {
		return checkLDH(u[c : c+1])
	}
	if err := checkHyphens(u); err != nil {
		return err
	}
	for _, r := range u {
		if allowedRune(r) {
			continue
		}
		if mapped(r) {
			return refuse(CodeIDNMapping, "U+%04X would be mapped to other text or dropped; type what is meant", r)
		}
		return refuse(CodeIDNDisallowed, "U+%04X is not allowed in a domain name (RFC 5892)", r)
	}
	return checkContext([]rune(u))
}

// mapped tells a character that IDNA or compatibility normalisation turns into
// something else, or drops, from one that is refused for itself.
func mapped(r rune) bool {
	s := string(r)
	m, _ := idna.Lookup.ToUnicode(s)
	return m != s && !strings.ContainsRune(m, utf8.RuneError) || norm.NFKC.String(s) != s
}

// checkIDN applies the rules of IDNA2008 that span characters and labels: the
// joiner contexts of RFC 5892 appendix A, leading combining marks, and the
// Bidi rule of RFC 5893 on the whole name.
func checkIDN(u, ascii string) *Error {
	back, err := lookup.ToASCII(u)
	if err != nil || back != ascii {
		return refuse(CodeIDNDisallowed, "IDNA2008 does not allow this name: a joiner, a combining mark or the direction of its letters is out of place")
	}
	return nil
}

func badASCII(r rune) bool {
	return r < utf8.RuneSelf && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
