package dnscheck

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What is shown of a stranger's DNS content.
const (
	maxShown   = 10  // records
	maxOctets  = 255 // octets of one record
	moreFormat = "and %d more"
)

// printable returns s as text that is safe to show and to log: at most n
// octets of it, with backslashes doubled, and control characters, bidi
// controls, other format characters and octets that are not UTF-8 written as
// the \DDD of a master file (RFC 1035 section 5.1).
func printable(s string, n int) string {
	cut := len(s) > n
	if cut {
		s = s[:n]
		for i := 0; i < utf8.UTFMax-1 && len(s) > 0; i++ {
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r):
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, `\%03d`, c)
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	if cut {
		b.WriteString("…")
	}
	return b.String()
}

// observed returns found as what a Result shows: printable, cut, and at most
// maxShown entries.
func observed(found []string) []string {
	var shown []string
	for i, s := range found {
		if i == maxShown {
			return append(shown, fmt.Sprintf(moreFormat, len(found)-i))
		}
		shown = append(shown, printable(s, maxOctets))
	}
	return shown
}
