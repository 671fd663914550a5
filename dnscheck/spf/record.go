// Package spf parses and evaluates SPF records (RFC 7208) and explains what it
// did. It validates a whole record before it evaluates any of it (section 4.6)
// and keeps apart what a receiver's result merges: which term decided, which
// limit was hit, which include is broken.
package spf

import (
	"fmt"
	"net/netip"
	"strings"
)

// Kind is what a term is.
type Kind string

// The mechanisms of RFC 7208 section 5 and the modifiers of section 6.
const (
	KindAll      Kind = "all"
	KindInclude  Kind = "include"
	KindA        Kind = "a"
	KindMX       Kind = "mx"
	KindPTR      Kind = "ptr"
	KindIP4      Kind = "ip4"
	KindIP6      Kind = "ip6"
	KindExists   Kind = "exists"
	KindRedirect Kind = "redirect"
	KindExp      Kind = "exp"
	// KindUnknown is a modifier that RFC 7208 does not define; it is ignored.
	KindUnknown Kind = "unknown"
)

// Mechanism reports whether a term of this kind can match.
func (k Kind) Mechanism() bool {
	switch k {
	case KindRedirect, KindExp, KindUnknown:
		return false
	}
	return true
}

// Looks reports whether a term of this kind counts against the limit of ten
// terms that ask DNS (RFC 7208 section 4.6.4).
func (k Kind) Looks() bool {
	switch k {
	case KindInclude, KindA, KindMX, KindPTR, KindExists, KindRedirect:
		return true
	}
	return false
}

// Qualifier is the result that a matching mechanism gives.
type Qualifier byte

// The qualifiers of RFC 7208 section 4.6.2.
const (
	QualifierPass     Qualifier = '+'
	QualifierFail     Qualifier = '-'
	QualifierSoftFail Qualifier = '~'
	QualifierNeutral  Qualifier = '?'
)

// Term is one directive or modifier of a record.
type Term struct {
	Text   string // as written, qualifier included
	Column int    // of its first octet in the record, from 1
	Kind   Kind
	// Qualifier is QualifierPass where none is written, and 0 for modifiers.
	Qualifier Qualifier
	// Domain is the domain-spec; empty where the term has none.
	Domain Macro
	// Prefix is the network of ip4 and ip6.
	Prefix netip.Prefix
	// Len4 and Len6 are the dual-cidr-length of a and mx: 32 and 128 where
	// none is written.
	Len4, Len6 int
	// Name is the name of an unknown modifier, in lower case.
	Name string
}

// Bare returns the term as written without its qualifier, in lower case: two
// mechanisms with the same Bare match the same senders.
func (t Term) Bare() string {
	s := t.Text
	if t.Kind.Mechanism() {
		s = strings.TrimLeft(s, "+-~?")
	}
	return strings.ToLower(s)
}

// Everyone reports whether the term matches any address at all: all, or a
// prefix of length zero.
func (t Term) Everyone() bool {
	switch t.Kind {
	case KindAll:
		return true
	case KindIP4, KindIP6:
		return t.Prefix.Bits() == 0
	case KindA, KindMX:
		return t.Len4 == 0 || t.Len6 == 0
	}
	return false
}

// Record is a syntactically valid SPF record.
type Record struct {
	Terms []Term // mechanisms and modifiers, in the order written
}

// All returns the index of the first all mechanism, or -1. What stands behind
// it is never evaluated (RFC 7208 section 5.1).
func (r Record) All() int { return r.first(KindAll) }

// Redirect returns the index of the redirect modifier, or -1. It counts only
// where the record has no all (RFC 7208 section 6.1).
func (r Record) Redirect() int { return r.first(KindRedirect) }

func (r Record) first(k Kind) int {
	for i, t := range r.Terms {
		if t.Kind == k {
			return i
		}
	}
	return -1
}

// String returns the record with one space between its terms.
func (r Record) String() string {
	parts := []string{version}
	for _, t := range r.Terms {
		parts = append(parts, t.Text)
	}
	return strings.Join(parts, " ")
}

// SyntaxError says where a record breaks the grammar of RFC 7208 section 12.
// A receiver gives permerror for the whole record.
type SyntaxError struct {
	Column int    // of the first octet that is wrong, from 1
	Term   string // the term it stands in; not printable as it is
	Reason string // a sentence for a person, without the full stop
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("column %d: %q: %s", e.Column, e.Term, e.Reason)
}
