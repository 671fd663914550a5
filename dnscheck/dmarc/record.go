// Package dmarc reads DMARC policy records and finds the one that applies to a
// domain (RFC 9989).
package dmarc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrNotDMARC says that a text does not start with v=DMARC1, written exactly
// so: receivers ignore it (RFC 9989 sections 4.7 and 4.10).
var ErrNotDMARC = errors.New("no DMARC policy record")

// SyntaxError says why receivers cannot use a record that does start with
// v=DMARC1. Its Detail quotes the record: escape it before it is shown.
type SyntaxError struct {
	Detail string
}

func (e *SyntaxError) Error() string { return "policy record: " + e.Detail }

// Policy is what a domain owner asks for failing mail, ordered by strictness.
type Policy int

// The policies. PolicyAbsent stands for a tag that is not there, or not valid.
const (
	PolicyAbsent Policy = iota
	PolicyNone
	PolicyQuarantine
	PolicyReject
)

func (p Policy) String() string {
	return [...]string{"absent", "none", "quarantine", "reject"}[p]
}

// Record is a policy record. Tags that are absent or not valid have their
// defaults, as RFC 9989 section 4.7 wants.
type Record struct {
	P, SP, NP Policy
	// Testing is t=y, which lowers each policy by one step.
	Testing bool
	// PSD is psd=: 'y', 'n', or 'u' by default.
	PSD byte
	// RUA are the valid report URIs.
	RUA []URI
	// Percent is the pct= of RFC 7489, 100 by default. RFC 9989 dropped it.
	Percent int
	// HasP says that p= is there, PSecond that it stands right behind v=, where
	// readers of RFC 7489 want it.
	HasP, PSecond bool
	// Invalid lists the tags and texts whose values are not valid. It quotes
	// the record: escape it before it is shown.
	Invalid []string
}

// Parse reads the joined strings of one TXT record. The error is ErrNotDMARC,
// or a *SyntaxError for a record without a usable policy: a tag that stands
// twice (RFC 6376 section 3.2), or no valid p=, or an invalid sp= or np=, where
// no valid rua= makes receivers read it as p=none (RFC 9989 section 4.10.1).
func Parse(text string) (Record, error) {
	rec := Record{PSD: 'u', Percent: 100}
	version, rest, _ := strings.Cut(text, ";")
	if !isVersion(version) {
		return rec, ErrNotDMARC
	}
	seen := map[string]bool{"v": true}
	for _, part := range strings.Split(rest, ";") {
		if trim(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.ToLower(trim(name)), trim(value)
		if !ok || value == "" {
			rec.Invalid = append(rec.Invalid, trim(part))
			continue
		}
		if seen[name] && registered[name] {
			return rec, &SyntaxError{fmt.Sprintf("the tag %s= stands twice", name)}
		}
		if name == "p" {
			rec.HasP, rec.PSecond = true, len(seen) == 1
		}
		seen[name] = true
		if !rec.set(name, value) {
			rec.Invalid = append(rec.Invalid, name+"="+value)
		}
	}
	if rec.Policy() == PolicyAbsent {
		return rec, &SyntaxError{rec.unusable(seen)}
	}
	return rec, nil
}

// registered are the tags that mean something to receivers.
var registered = map[string]bool{
	"v": true, "p": true, "sp": true, "np": true, "t": true, "psd": true,
	"rua": true, "ruf": true, "fo": true, "adkim": true, "aspf": true, "pct": true,
}

// set takes one tag and reports whether its value is valid.
func (r *Record) set(name, value string) (ok bool) {
	lower := strings.ToLower(value)
	switch name {
	case "p":
		r.P, ok = parsePolicy(lower)
	case "sp":
		r.SP, ok = parsePolicy(lower)
	case "np":
		r.NP, ok = parsePolicy(lower)
	case "t":
		r.Testing = lower == "y"
		return lower == "y" || lower == "n"
	case "psd":
		if lower != "y" && lower != "n" && lower != "u" {
			return false
		}
		r.PSD, ok = lower[0], true
	case "adkim", "aspf":
		return lower == "r" || lower == "s"
	case "pct":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 100 {
			return false
		}
		r.Percent, ok = n, true
	case "rua":
		r.RUA, ok = parseURIs(value)
	case "ruf":
		_, ok = parseURIs(value)
	default:
		return true
	}
	return ok
}

func parsePolicy(s string) (Policy, bool) {
	for p := PolicyNone; p <= PolicyReject; p++ {
		if s == p.String() {
			return p, true
		}
	}
	return PolicyAbsent, false
}

// isVersion reports whether the first tag is v=DMARC1, case-sensitive in its
// value, with white space round the equals sign and after the value only.
func isVersion(tag string) bool {
	name, value, ok := strings.Cut(tag, "=")
	return ok && strings.EqualFold(strings.TrimRight(name, wsp), "v") && trim(value) == "DMARC1"
}

const wsp = " \t"

func trim(s string) string { return strings.Trim(s, wsp) }

// readable reports whether p=, sp= and np= can be taken as they stand.
func (r Record) readable() bool {
	for _, s := range r.Invalid {
		if strings.HasPrefix(s, "sp=") || strings.HasPrefix(s, "np=") {
			return false
		}
	}
	return r.P != PolicyAbsent
}

// Policy is what receivers do with failing mail of the domain that has this
// record, t=y counted in. PolicyAbsent means that they ignore the record.
func (r Record) Policy() Policy {
	switch {
	case r.readable():
		return r.lower(r.P)
	case len(r.RUA) > 0:
		return PolicyNone
	}
	return PolicyAbsent
}

// SubdomainPolicy is what receivers do with failing mail of a subdomain that
// has no record of its own, by whether it exists in DNS (section 4.10.1).
func (r Record) SubdomainPolicy(exists bool) Policy {
	switch {
	case !r.readable():
		return r.Policy()
	case !exists && r.NP != PolicyAbsent:
		return r.lower(r.NP)
	case r.SP != PolicyAbsent:
		return r.lower(r.SP)
	}
	return r.lower(r.P)
}

func (r Record) lower(p Policy) Policy {
	if r.Testing && p > PolicyNone {
		return p - 1
	}
	return p
}

// unusable says why Policy is absent.
func (r Record) unusable(seen map[string]bool) string {
	for _, s := range r.Invalid {
		for _, tag := range []string{"p=", "sp=", "np="} {
			if strings.HasPrefix(s, tag) {
				return fmt.Sprintf("%q is not none, quarantine or reject", s)
			}
		}
	}
	if seen["rua"] {
		return "it has no p=, and no valid address in rua="
	}
	return "it has no p="
}
