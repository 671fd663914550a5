package dnscheck

import (
	"fmt"
	"strings"
)

// maxString is the size of one character-string of a TXT record, in octets
// (RFC 1035 section 3.3).
const maxString = 255

// Zone returns the records as lines of a master file (RFC 1035 section 5.1),
// each with its absolute name, so that they mean the same under any $ORIGIN.
func Zone(records []PlannedRecord) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "%s. %d IN %s ", r.Name, r.TTL, r.Type)
		if r.Type == TypeMX {
			fmt.Fprintf(&b, "%d %s.", r.Priority, r.Value)
		} else {
			writeStrings(&b, r.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// writeStrings writes a text as quoted character-strings of at most 255
// octets; readers join them with nothing between.
func writeStrings(b *strings.Builder, text string) {
	for {
		part := text[:min(len(text), maxString)]
		writeQuoted(b, part)
		text = text[len(part):]
		if text == "" {
			return
		}
		b.WriteByte(' ')
	}
}

func writeQuoted(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"', c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ', c > '~':
			fmt.Fprintf(b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}
