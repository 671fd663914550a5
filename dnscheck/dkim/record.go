// Package dkim reads DKIM key records (RFC 6376 section 3.6.1, RFC 8301,
// RFC 8463) and says how a published one differs from the expected one.
package dkim

import (
	"fmt"
	"strings"
)

// The key types that a signature can name (RFC 6376 section 3.6.1, RFC 8463).
const (
	TypeRSA     = "rsa"
	TypeEd25519 = "ed25519"
)

// SyntaxError says why a text is no key record. Its Detail quotes the text, so
// it must be escaped before it is shown.
type SyntaxError struct {
	Detail string
}

func (e *SyntaxError) Error() string { return "key record: " + e.Detail }

func syntaxError(format string, args ...any) error {
	return &SyntaxError{Detail: fmt.Sprintf(format, args...)}
}

// Record holds the tags of a key record that a verifier looks at. Unknown tags
// and notes are dropped.
type Record struct {
	// Type is k=, "rsa" where it is absent.
	Type string
	// P is the base64 text of p= without folding white space; empty means that
	// the key was revoked.
	P string
	// Hashes are h= and Services s=; nil where the tag is absent, which allows
	// all of them.
	Hashes, Services []string
	// Flags are t=.
	Flags []string
}

// Parse reads the joined strings of one TXT record as a key record. The error
// is a *SyntaxError for a text that verifiers must not use: a bad or repeated
// tag (RFC 6376 section 3.2), a version that is not DKIM1 or not first, or no
// p= (section 3.6.1).
func Parse(text string) (Record, error) {
	tags, err := parseTags(text)
	if err != nil {
		return Record{}, err
	}
	rec := Record{Type: TypeRSA}
	hasP := false
	for i, t := range tags {
		switch t.name {
		case "v":
			if i != 0 {
				return rec, syntaxError("v= is not the first tag")
			}
			if t.value != "DKIM1" {
				return rec, syntaxError("the version is %q and not DKIM1", t.value)
			}
		case "k":
			rec.Type = t.value
		case "p":
			rec.P, hasP = unfold(t.value), true
		case "h":
			rec.Hashes = splitList(t.value)
		case "s":
			rec.Services = splitList(t.value)
		case "t":
			rec.Flags = splitList(t.value)
		}
	}
	if !hasP {
		return rec, syntaxError("it has no p= with the key")
	}
	return rec, nil
}

// HasFlag reports whether t= holds the flag, such as "y" for testing.
func (r Record) HasFlag(flag string) bool { return contains(r.Flags, flag) }

// AllowsSHA256 reports whether h= is absent or lists sha256, the only hash
// that may be used to sign (RFC 8301 section 3.1).
func (r Record) AllowsSHA256() bool {
	return r.Hashes == nil || contains(r.Hashes, "sha256")
}

// AllowsEmail reports whether s= is absent or lists "*" or "email".
func (r Record) AllowsEmail() bool {
	return r.Services == nil || contains(r.Services, "*") || contains(r.Services, "email")
}

type tag struct{ name, value string }

// parseTags reads a tag-list (RFC 6376 section 3.2), names case-sensitive.
func parseTags(text string) ([]tag, error) {
	parts := strings.Split(text, ";")
	if last := len(parts) - 1; last > 0 && trim(parts[last]) == "" {
		parts = parts[:last]
	}
	tags := make([]tag, 0, len(parts))
	seen := make(map[string]bool, len(parts))
	for _, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		name = trim(name)
		switch {
		case trim(part) == "":
			return nil, syntaxError("a tag is empty")
		case !ok:
			return nil, syntaxError("%q is no tag with a value", trim(part))
		case !validName(name):
			return nil, syntaxError("%q is no tag name", name)
		case seen[name]:
			return nil, syntaxError("the tag %s= stands twice", name)
		}
		seen[name] = true
		tags = append(tags, tag{name, trim(value)})
	}
	return tags, nil
}

// validName reports whether name is ALPHA *ALNUMPUNC.
func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

const fws = " \t\r\n"

func trim(s string) string { return strings.Trim(s, fws) }

// unfold removes the folding white space that base64 may hold.
func unfold(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(fws, r) {
			return -1
		}
		return r
	}, s)
}

func splitList(s string) []string {
	items := strings.Split(s, ":")
	for i := range items {
		items[i] = trim(items[i])
	}
	return items
}

func contains(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}
