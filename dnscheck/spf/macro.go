package spf

import (
	"strings"
)

// Macro is a macro-string (RFC 7208 section 7.1), parsed.
type Macro struct {
	text  string
	parts []part
}

// part is a literal, or one expansion.
type part struct {
	literal   string
	letter    byte // in lower case; 0 for a literal
	escape    bool // the letter was in upper case: URL-escape
	digits    int  // how many of the right-hand labels to keep; 0 for all
	reverse   bool
	delimiter string
}

// Empty reports whether there is no text at all.
func (m Macro) Empty() bool { return m.text == "" }

// String returns the text as written.
func (m Macro) String() string { return m.text }

// Literal returns the text, escapes resolved, and whether it is the same for
// every sender.
func (m Macro) Literal() (string, bool) {
	var b strings.Builder
	for _, p := range m.parts {
		if p.letter != 0 {
			return "", false
		}
		b.WriteString(p.literal)
	}
	return b.String(), true
}

// parseMacro reads a macro-string. Only explanation texts, which this package
// never expands, and unknown modifiers may hold the letters c, r and t.
func parseMacro(s string, explanation bool) (Macro, *reason) {
	m := Macro{text: s}
	from := 0
	literal := func(to int, more string) {
		if text := s[from:to] + more; text != "" {
			m.parts = append(m.parts, part{literal: text})
		}
	}
	for i := 0; i < len(s); {
		if s[i] != '%' {
			i++
			continue
		}
		if i+1 == len(s) {
			return m, wrong(i, "a lone %% stands at the end")
		}
		switch s[i+1] {
		case '%':
			literal(i, "%")
		case '_':
			literal(i, " ")
		case '-':
			literal(i, "%20")
		case '{':
			p, n, why := parseExpand(s[i:], explanation)
			if why != nil {
				return m, why.shift(i)
			}
			literal(i, "")
			m.parts = append(m.parts, p)
			i += n
			from = i
			continue
		default:
			return m, wrong(i, "%% must be followed by {, %%, _ or -")
		}
		i += 2
		from = i
	}
	literal(len(s), "")
	return m, nil
}

// parseExpand reads "%{" letter *DIGIT ["r"] *delimiter "}" and returns its
// length in octets.
func parseExpand(s string, explanation bool) (part, int, *reason) {
	end := strings.IndexByte(s, '}')
	if end < 3 {
		return part{}, 0, wrong(0, "the macro is not closed by }")
	}
	c, rest := s[2], s[3:end]
	p := part{letter: c | 0x20, escape: c >= 'A' && c <= 'Z'}
	letters := "slodiphv"
	if explanation {
		letters += "crt"
	}
	if c|0x20 < 'a' || c|0x20 > 'z' || c < 'A' || strings.IndexByte(letters, p.letter) < 0 {
		return p, 0, wrong(2, "there is no macro letter %q here", string(rune(c)))
	}
	n := 0
	for ; n < len(rest) && rest[n] >= '0' && rest[n] <= '9'; n++ {
		// 128 labels are more than a name can have.
		p.digits = min(p.digits*10+int(rest[n]-'0'), 128)
	}
	if n > 0 && p.digits == 0 {
		return p, 0, wrong(3, "the number of labels to keep must not be 0")
	}
	rest = rest[n:]
	if strings.HasPrefix(strings.ToLower(rest), "r") {
		p.reverse = true
		rest = rest[1:]
	}
	if strings.Trim(rest, ".-+,/_=") != "" {
		return p, 0, wrong(end-len(rest), "%q is no delimiter of a macro", rest)
	}
	p.delimiter = rest
	return p, end + 1, nil
}

// parseDomainSpec reads a domain-spec: a macro-string that ends in a macro or
// in a dot and a top label.
func parseDomainSpec(s string) (Macro, *reason) {
	m, why := parseMacro(s, false)
	if why != nil {
		return m, why
	}
	if n := len(m.parts); n > 0 && m.parts[n-1].letter != 0 {
		return m, nil
	}
	// "%%", "%_" and "%-" are macro-expand as well: a name may end in one,
	// whatever it is good for.
	if n := len(s); n >= 2 && strings.IndexByte("%_-", s[n-1]) >= 0 && endsInEscape(s) {
		return m, nil
	}
	name := strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || !topLabel(name[dot+1:]) {
		return m, wrong(0, "%s", badEnd(s))
	}
	return m, nil
}

func endsInEscape(s string) bool {
	last := -2
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			last = i
			i++
		}
	}
	return last == len(s)-2
}

// topLabel is toplabel of RFC 7208 section 7.1: letters, digits and inner
// hyphens, not all of them digits.
func topLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	all := true
	for i := range len(s) {
		digit := s[i] >= '0' && s[i] <= '9'
		letter := s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z'
		if !digit && !letter && s[i] != '-' {
			return false
		}
		all = all && digit
	}
	return !all
}
