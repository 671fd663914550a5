// Package parse reads internet messages (RFC 5322, RFC 2045) as they come in:
// leniently, without ever losing what it cannot read.
package parse

import (
	"bytes"
	"mime"
	"strings"

	"github.com/jhillyerd/enmime/v2"
)

// Field is one header field, unfolded.
type Field struct {
	Name, Value string
}

// Header is a header section in its own order.
type Header []Field

// MaxHeader is how large a header section may be: what is behind it is not
// looked at. Several times what people send, and little enough for readers that
// take the square of the time for twice the folded lines.
const MaxHeader = 128 << 10

// TooLarge reports whether the header section is larger than MaxHeader.
func TooLarge(raw []byte) bool {
	return len(raw) > MaxHeader && HeaderEnd(raw[:MaxHeader]) < 0
}

// ReadHeader reads the header section at the start of a message, as far as
// MaxHeader. Lines that are no fields are left out. It reads bare LF and bare
// CR LF alike.
func ReadHeader(raw []byte) (h Header) {
	raw = raw[:min(len(raw), MaxHeader)]
	var value strings.Builder // of the last field
	defer func() { h.end(&value) }()
	for len(raw) > 0 {
		line := raw
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			line, raw = raw[:i], raw[i+1:]
		} else {
			raw = nil
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case len(line) == 0:
			return h
		case line[0] == ' ' || line[0] == '\t':
			value.WriteByte(' ')
			value.Write(bytes.TrimSpace(line))
		default:
			name, rest, ok := bytes.Cut(line, []byte(":"))
			name = bytes.TrimRight(name, " \t")
			if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
				continue
			}
			h.end(&value)
			h = append(h, Field{Name: string(name)})
			value.Write(bytes.TrimSpace(rest))
		}
	}
	return h
}

// end sets the value of the last field.
func (h Header) end(value *strings.Builder) {
	if len(h) > 0 {
		h[len(h)-1].Value = value.String()
	}
	value.Reset()
}

// HeaderEnd returns how long the header section is, the empty line included,
// or -1 when it does not end within what is given.
func HeaderEnd(raw []byte) int {
	start := 0
	for {
		i := bytes.IndexByte(raw[start:], '\n')
		if i < 0 {
			return -1
		}
		if line := raw[start : start+i]; len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return start + i + 1
		}
		start += i + 1
	}
}

// Get returns the first value of a field, or "".
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// All returns every value of a field.
func (h Header) All(name string) []string {
	var list []string
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			list = append(list, f.Value)
		}
	}
	return list
}

// Count returns how often a field stands.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}

// Decoded returns the first value of a field as valid UTF-8 without encoded
// words (RFC 2047) and control characters, cut to limit octets.
func (h Header) Decoded(name string, limit int) string {
	return Printable(enmime.DecodeRFC2047(h.Get(name)), limit)
}

// Printable returns s as valid UTF-8 without control characters, cut to limit
// octets.
func Printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return Cut(s, limit)
}

// Cut returns at most limit octets of s, never half a character.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xc0 == 0x80 {
		limit--
	}
	return s[:limit]
}

// Flags are what a message says of its own kind.
type Flags struct {
	AutoSubmitted bool `json:"auto_submitted"` // RFC 3834 section 5
	Bounce        bool `json:"bounce"`         // a delivery status report, RFC 3464
	List          bool `json:"list"`           // RFC 2919
}

// Flags reads the header for the flags. A null reverse path, which only the
// envelope shows, is a bounce too.
func (h Header) Flags() Flags {
	auto, _, _ := strings.Cut(h.Get("Auto-Submitted"), ";")
	auto = strings.ToLower(strings.TrimSpace(auto))
	media, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return Flags{
		AutoSubmitted: auto != "" && auto != "no",
		Bounce:        media == "multipart/report" && strings.EqualFold(params["report-type"], "delivery-status"),
		List:          h.Get("List-Id") != "",
	}
}
