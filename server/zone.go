package server

import (
	"fmt"
	"strings"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store"
)

// maxString is the longest character-string of a TXT record in octets
// (RFC 1035 section 3.3).
const maxString = 255

// zoneLines writes the records as master-file lines (RFC 1035 section 5.1),
// with full names, so that they fit any zone. A record that an admin disabled
// is not to be published.
func zoneLines(records []store.Record) []byte {
	var b strings.Builder
	for _, r := range records {
		switch {
		case r.Status == store.RecordStatusDisabled:
		case r.Purpose == dnscheck.PurposeMX:
			fmt.Fprintf(&b, "%s. %d IN MX %d %s.\n", r.Name, r.TTL, r.Priority, strings.TrimSuffix(r.Value, "."))
		default:
			fmt.Fprintf(&b, "%s. %d IN TXT %s\n", r.Name, r.TTL, characterStrings(r.Value))
		}
	}
	return []byte(b.String())
}

// characterStrings quotes a text, split where a character-string must end.
func characterStrings(text string) string {
	var parts []string
	for len(text) > maxString {
		parts = append(parts, quoted(text[:maxString]))
		text = text[maxString:]
	}
	return strings.Join(append(parts, quoted(text)), " ")
}

// quoted writes octets as a quoted character-string.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
