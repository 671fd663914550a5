package resolve

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// Extended DNS errors by what they mean for us (RFC 8914 section 4).
var (
	edeBogus   = []uint16{6, 7, 8, 9, 10, 11, 12}
	edePolicy  = []uint16{4, 15, 16, 17, 18} // forged, blocked, censored, filtered, prohibited
	edeStale   = []uint16{3, 19}
	edeNetwork = []uint16{22, 23} // no reachable authority, network error
)

func (m message) hasEDE(codes []uint16) bool { return m.findEDE(codes) >= 0 }

// findEDE returns the first extended error that is one of these codes, or -1.
func (m message) findEDE(codes []uint16) int {
	for _, c := range m.ede {
		if slices.Contains(codes, c) {
			return int(c)
		}
	}
	return -1
}

// outcome names what became of a query, for the metrics. An answer that the
// resolver withholds is for its operator to see, whatever its rcode.
func (m message) outcome() string {
	if m.hasEDE(edePolicy) {
		return "BLOCKED"
	}
	return rcodeName(m.rcode)
}

// trouble returns why a message says nothing about the name, or nil when it is
// worth reading.
func (m message) trouble(c *chase) *Error {
	said := "The name server answered " + rcodeName(m.rcode)
	switch {
	case m.hasEDE(edePolicy):
		return c.fail(CodeRefused, fmt.Sprintf("The resolver withholds the answer by its own policy (extended error %d).", m.findEDE(edePolicy)))
	case m.rcode == dns.RcodeSuccess, m.rcode == dns.RcodeNameError:
		return nil
	case m.rcode == dns.RcodeServerFailure && m.hasEDE(edeBogus):
		return c.fail(CodeBogus, bogusDetail)
	case m.rcode == dns.RcodeServerFailure && m.hasEDE(edeNetwork):
		return c.fail(CodeServFail, said+": it reached none of the zone's own name servers.")
	case m.rcode == dns.RcodeRefused, m.rcode == dns.RcodeNotAuth,
		m.rcode == dns.RcodeNotImplemented, m.rcode == dns.RcodeFormatError:
		return c.fail(CodeRefused, said+".")
	}
	return c.fail(CodeServFail, said+".")
}

const bogusDetail = "DNSSEC validation of the zone fails: resolvers that validate treat all of its records as unreachable."

// doubt returns why a negative message is no evidence: stale, or made up by a
// resolver that reached nobody. A positive one is taken as it is.
func (m message) doubt(c *chase) *Error {
	switch {
	case m.hasEDE(edeStale):
		return c.fail(CodeServFail, "The resolver has only an old answer, and the zone's name servers do not answer it.")
	case m.hasEDE(edeNetwork):
		return c.fail(CodeServFail, "The resolver reached none of the zone's own name servers.")
	}
	return nil
}

// Ill reports whether an error of a Lookup may come from our own resolver or
// network. One that names a fault of the zone itself does not: DNSSEC, a CNAME
// loop, a lame delegation.
func Ill(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case CodeServFail, CodeRefused, CodeTimeout, CodeMalformed, CodeTruncated, CodeResolverDown:
		return true
	}
	return false
}
