package inbound

import (
	"bytes"
	"io"
)

// newCanonical reads a message with CR LF at every end of line. Octets that are
// in order stay as they are, so a signature stays valid; a bare CR or LF is
// made a whole line end, for a next hop might take it for one and read an end of
// data where there is none (RFC 5321 section 2.3.8). CRs before CR LF go: as
// line ends of their own they would end the header section.
func newCanonical(raw []byte) io.ReadSeeker {
	if !hasBare(raw) {
		return bytes.NewReader(raw)
	}
	out := make([]byte, 0, len(raw)+len(raw)/32)
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '\r':
			end := i
			for end < len(raw) && raw[end] == '\r' {
				end++
			}
			lines := end - i
			if end < len(raw) && raw[end] == '\n' {
				lines, end = 1, end+1
			}
			out = append(out, bytes.Repeat([]byte("\r\n"), lines)...)
			i = end - 1
		case '\n':
			out = append(out, '\r', '\n')
		default:
			out = append(out, raw[i])
		}
	}
	return bytes.NewReader(out)
}

// hasBare reports whether a CR or LF stands alone.
func hasBare(raw []byte) bool {
	for i, c := range raw {
		switch {
		case c == '\n' && (i == 0 || raw[i-1] != '\r'):
			return true
		case c == '\r' && (i+1 == len(raw) || raw[i+1] != '\n'):
			return true
		}
	}
	return false
}
