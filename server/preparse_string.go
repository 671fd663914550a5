package server

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string behind its opening quote, the closing one included. plain
// says that it has no escapes.
func (s *jsonScan) str() (plain bool, err *fieldError) {
	plain = true
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; {
		case c == '"':
			s.pos++
			return plain, nil
		case c == '\\':
			plain = false
			if err := s.escape(); err != nil {
				return false, err
			}
		case c == 0:
			return false, s.badOctet()
		case c < ' ':
			return false, s.fault("syntax", "a string has a control character that is not escaped")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.b[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return false, s.badOctet()
			}
			s.pos += n
		}
	}
	return false, s.badOctet()
}

// escape checks one escape, or the two of a surrogate pair.
func (s *jsonScan) escape() *fieldError {
	if s.pos+1 >= len(s.b) {
		s.pos = len(s.b)
		return s.badOctet()
	}
	switch s.b[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
	default:
		return s.fault("syntax", "a string has an escape that JSON does not know")
	}
	r, ok := hex4(s.b[s.pos:])
	switch {
	case !ok:
		return s.fault("syntax", "a string has a \\u without four hexadecimal digits")
	case r == 0:
		return s.fault("nul", "a string has a NUL")
	case !utf16.IsSurrogate(r):
		s.pos += 6
		return nil
	}
	low, ok := hex4(s.b[s.pos+6:])
	if !ok || utf16.DecodeRune(r, low) == unicode.ReplacementChar {
		return s.fault("lone-surrogate", "a string has half of a surrogate pair")
	}
	s.pos += 12
	return nil
}

// hex4 reads \uXXXX at the start of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// decodeString undoes the escapes of a string that str has accepted.
func decodeString(dst, raw []byte) []byte {
	for len(raw) > 0 {
		if raw[0] != '\\' {
			i := bytes.IndexByte(raw, '\\')
			if i < 0 {
				i = len(raw)
			}
			dst, raw = append(dst, raw[:i]...), raw[i:]
			continue
		}
		n := 2
		switch c := raw[1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(raw)
			n = 6
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[6:])
				r, n = utf16.DecodeRune(r, low), 12
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		raw = raw[n:]
	}
	return dst
}

// pointer returns the JSON pointer (RFC 6901) of where the scan stands: the
// open members and elements; "" is the whole document.
func (s *jsonScan) pointer() string {
	var out []byte
	for _, f := range s.frames {
		out = append(out, '/')
		if !f.object {
			out = strconv.AppendInt(out, int64(f.index), 10)
			continue
		}
		if f.nameEnd == 0 {
			return string(out[:len(out)-1]) // the first name is not read yet
		}
		out = appendPointerToken(out, decodeString(nil, s.b[f.nameStart:f.nameEnd]))
	}
	return string(out)
}

// maxPointerToken bounds, in octets, how much of a name goes into a pointer.
const maxPointerToken = 64

// appendPointerToken adds one member name, cut when it is long, with what
// cannot be seen replaced.
func appendPointerToken(dst, token []byte) []byte {
	for i, r := range string(token) {
		switch {
		case i >= maxPointerToken:
			return append(dst, "…"...)
		case r == '~':
			dst = append(dst, "~0"...)
		case r == '/':
			dst = append(dst, "~1"...)
		case unprintable(r):
			dst = append(dst, '?')
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
