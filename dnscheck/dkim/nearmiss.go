package dkim

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// nearMiss replaces a general problem by the mistake that turns our value into
// this text, where there is one.
func (x Expected) nearMiss(f *Finding, text, p string) {
	clean, extra := strip(text)
	switch {
	case x.isHead(text, p):
		f.Problem = ProblemTruncated
	case x.serves(clean) && len(extra) > 0:
		f.Problem, f.Extra = ProblemQuoted, extra
	case !strings.Contains(clean, x.p) && (strings.EqualFold(p, x.p) || strings.EqualFold(clean, unfold(x.text))):
		f.Problem = ProblemCase
	case len(extra) > 0 && x.isHead(clean, pOf(clean)):
		f.Problem, f.Extra = ProblemTruncated, extra
	}
}

// minHead is how much of our value a text must hold to count as its head: a
// version alone tells nothing.
const minHead = len("v=DKIM1;")

// isHead reports whether a text, or the key in it, is a proper beginning of
// ours.
func (x Expected) isHead(text, p string) bool {
	if p != "" {
		return len(p) < len(x.p) && strings.HasPrefix(x.p, p)
	}
	head, whole := unfold(text), unfold(x.text)
	return len(head) > minHead && len(head) < len(whole) && strings.HasPrefix(whole, head)
}

func pOf(text string) string {
	rec, err := Parse(text)
	if err != nil {
		return ""
	}
	return rec.P
}

// pasted matches the start of a zone file line that was pasted with the value.
var pasted = regexp.MustCompile(`(?i)^[^=;]*\bTXT\b`)

// strip removes from a text what a key record never holds: quotes, backslashes,
// parentheses, everything outside printable ASCII, and a name, TTL, class or
// type before the value. It returns what is left without spaces, and the
// distinct things that went, spaces not counted.
func strip(text string) (clean string, extra []string) {
	var b strings.Builder
	seen := map[string]bool{}
	drop := func(s string) {
		if !seen[s] {
			seen[s] = true
			extra = append(extra, s)
		}
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case strings.ContainsRune("\"'`\\()", r):
			drop(string(r))
		case r == utf8.RuneError && size == 1:
			drop(text[i : i+size])
		case r > '~' || r < ' ' && !strings.ContainsRune(fws, r):
			drop(fmt.Sprintf("U+%04X", r))
		default:
			b.WriteRune(r)
		}
		i += size
	}
	clean = b.String()
	if head := pastedHead(clean); head != "" {
		drop(trim(head))
		clean = clean[len(head):]
	}
	return unfold(clean), extra
}

// pastedHead returns what stands before the value proper.
func pastedHead(text string) string {
	if i := strings.Index(text, "v=DKIM1"); i > 0 && !strings.ContainsAny(text[:i], "=;") {
		if trim(text[:i]) != "" {
			return text[:i]
		}
		return ""
	}
	return pasted.FindString(text)
}
