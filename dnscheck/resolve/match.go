package resolve

import (
	"bytes"
	"encoding/binary"

	"github.com/miekg/dns"
)

// match says how a packet fits a query.
type match int

const (
	matchNone match = iota // not an answer to it: ignore and read on
	matchCase              // an answer, but the name lost its case
	matchFull
)

// matches compares a packet with the query that it may answer: QR, opcode and
// RD (RFC 1035 section 4.1.1), exactly one question, and that equal in name,
// type and class. The ID led here already. That an OPT record comes back is
// not asked for: a server without EDNS gives none (RFC 6891 section 7).
func (q query) matches(pkt []byte) match {
	if len(pkt) < headerSize {
		return matchNone
	}
	flags := binary.BigEndian.Uint16(pkt[2:])
	if flags&flagQR == 0 || flags&maskOpcode != 0 {
		return matchNone
	}
	if len(pkt) == headerSize && flags&maskRcode == dns.RcodeFormatError && q.hasEDNS() {
		return matchFull // a server from before EDNS may give the header alone
	}
	if (flags^binary.BigEndian.Uint16(q.wire[2:]))&flagRD != 0 {
		return matchNone
	}
	if binary.BigEndian.Uint16(pkt[4:]) != 1 || len(pkt) < q.qend {
		return matchNone
	}
	ours, theirs := q.wire[headerSize:q.qend], pkt[headerSize:q.qend]
	if bytes.Equal(ours, theirs) {
		return matchFull
	}
	n := len(ours) - 4
	if !bytes.Equal(ours[n:], theirs[n:]) || !equalFold(ours[:n], theirs[:n]) {
		return matchNone
	}
	if q.exact {
		return matchCase
	}
	return matchFull
}

// equalFold compares two names in wire form without regard to ASCII case.
func equalFold(a, b []byte) bool {
	for i, c := range a {
		if d := b[i]; c != d && (c^d != 0x20 || !isLetter(c)) {
			return false
		}
	}
	return true
}
