// Package resolve asks DNS questions and answers them with what was really
// seen: an RRset, a definite no, or a typed error where nothing can be said.
// It keeps those three apart (RFC 2308, RFC 8020, RFC 9520), because only the
// first two may ever count for or against a domain.
package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Type is the record type of a question. Its values are those of the IANA
// registry, so that it converts to and from the wire without a table.
type Type uint16

// The types that the checks ask for.
const (
	TypeA     Type = 1
	TypeNS    Type = 2
	TypeSOA   Type = 6
	TypePTR   Type = 12
	TypeMX    Type = 15
	TypeTXT   Type = 16
	TypeAAAA  Type = 28
	TypeCNAME Type = 5
	TypeSPF   Type = 99
)

// Resolver answers one question. The name is an FQDN without its final dot,
// in lower-case A-labels. The error, where there is one, is always an *Error:
// nothing was learned and no status may move because of it. A definite "no
// such data" is an Answer without records, not an error.
type Resolver interface {
	Lookup(ctx context.Context, name string, qtype Type) (Answer, error)
}

// Answer is what a server said about one question, after following CNAMEs.
type Answer struct {
	// Name is the owner name at the end of the CNAME chain.
	Name string
	// Chain holds the CNAME targets that were followed, in order; it is empty
	// when the question name itself has the answer.
	Chain []string
	// NXDomain says that Name does not exist (RFC 8020: nothing below it does
	// either). Without it and without records, the answer is NODATA.
	NXDomain bool
	// Weak marks a negative answer that came without an SOA record: not
	// cacheable (RFC 2308 section 5) and in need of a second vantage.
	Weak bool
	// TTL is the smallest TTL of the RRset, or how long a negative answer may
	// be cached (RFC 2308 section 5).
	TTL time.Duration
	// Zone is the apex of the zone that a negative answer comes from, by its
	// SOA record; "" in a positive or Weak one, and for the root.
	Zone string
	// Server is the one that answered.
	Server netip.AddrPort
	// Cached says that the answer came out of our own sweep cache.
	Cached bool
	// Asked and Agree are set where a zone's own servers were asked: how many
	// answered, and how many of them with exactly this RRset. Agree < Asked
	// means that a change is still on its way to some of them.
	Asked, Agree int
	// Variants holds what the other servers gave instead, by how many do so;
	// each says in Agree how many those are.
	Variants []Answer

	// The RRset, by type. Only the slice of the question's type is filled.
	TXT   []Text
	MX    []MX
	Addrs []netip.Addr // A or AAAA
	Hosts []string     // NS, CNAME or PTR targets, lower case, no final dot
	SOA   []SOA
}

// Empty reports whether the answer is a definite no: NXDOMAIN or NODATA.
func (a Answer) Empty() bool {
	return len(a.TXT)+len(a.MX)+len(a.Addrs)+len(a.Hosts)+len(a.SOA) == 0
}

// Text is one TXT record: its character-strings as octets, unescaped.
type Text struct {
	Strings []string
}

// Join returns the strings with nothing between them (RFC 7208 section 3.3,
// RFC 6376 section 3.6.2.2, RFC 9989 section 4.5).
func (t Text) Join() string {
	n := 0
	for _, s := range t.Strings {
		n += len(s)
	}
	b := make([]byte, 0, n)
	for _, s := range t.Strings {
		b = append(b, s...)
	}
	return string(b)
}

// MX is one MX record. Host is in lower case without the final dot; it is ""
// for the null MX of RFC 7505.
type MX struct {
	Host       string
	Preference uint16
}

// SOA is one SOA record, cut down to what a diagnosis shows.
type SOA struct {
	Zone, Primary string
	Minimum       time.Duration
}

// The codes of an Error. They are part of the API: a record that could not be
// judged carries one of them.
const (
	CodeServFail     = "dns_servfail"
	CodeRefused      = "dns_refused"
	CodeTimeout      = "dns_timeout"
	CodeMalformed    = "dns_malformed"
	CodeLame         = "dns_lame"
	CodeTruncated    = "dns_truncated"
	CodeBogus        = "dnssec_bogus"
	CodeCNAMELoop    = "cname_loop"
	CodeResolverDown = "resolver_down"
)

// Error says why a question has no answer. It never says anything about the
// domain's records.
type Error struct {
	Code   string // one of the Code constants
	Name   string
	Type   Type
	Server netip.AddrPort // zero when no server answered
	Detail string         // one sentence for a person; printable
	Err    error          // the cause, where there is one
}

func (e *Error) Error() string {
	return fmt.Sprintf("look up %s: %s: %s", e.Name, e.Code, e.Detail)
}

func (e *Error) Unwrap() error { return e.Err }
