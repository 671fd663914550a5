package resolve

import (
	"encoding/binary"
	"errors"

	"github.com/miekg/dns"
)

// maxRecords is how many records of an answer are looked at. The rest of a
// larger answer is left aside: that much is a stranger's nonsense or attack.
const maxRecords = 200

// errMalformed says that a message does not hold together. What is wrong in
// detail helps nobody.
var errMalformed = errors.New("malformed message")

// message is an answer taken apart, as far as a lookup needs it.
type message struct {
	rcode  int // with the upper bits of the OPT record
	aa, tc bool
	ra     bool
	answer []dns.RR
	soa    *dns.SOA // from the authority section
	ns     bool     // NS records in the authority section
	ede    []uint16 // extended DNS errors (RFC 8914)
}

// parseMessage reads an answer that matches its query, which has shown that
// the question section is the same. Strings in the message are copies: the
// packet may be used again.
func parseMessage(pkt []byte, q query) (message, error) {
	if len(pkt) < headerSize {
		return message{}, errMalformed
	}
	flags := binary.BigEndian.Uint16(pkt[2:])
	m := message{
		rcode: int(flags & maskRcode),
		aa:    flags&flagAA != 0, tc: flags&flagTC != 0, ra: flags&flagRA != 0,
	}
	if m.tc {
		return m, nil // whatever is in it is not the whole truth
	}
	off := headerSize
	if binary.BigEndian.Uint16(pkt[4:]) > 0 {
		off = q.qend
	}
	return m, m.sections(pkt, off)
}

// sections reads the records after the question.
func (m *message) sections(pkt []byte, off int) error {
	var records int
	for section := range 3 {
		for range binary.BigEndian.Uint16(pkt[6+2*section:]) {
			if records++; records > maxRecords {
				return nil
			}
			rr, next, err := dns.UnpackRR(pkt, off)
			if err != nil {
				return errMalformed
			}
			off = next
			m.add(section, rr)
		}
	}
	return nil
}

func (m *message) add(section int, rr dns.RR) {
	if opt, ok := rr.(*dns.OPT); ok {
		m.rcode |= opt.ExtendedRcode()
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				m.ede = append(m.ede, e.InfoCode)
			}
		}
		return
	}
	if rr.Header().Class != dns.ClassINET {
		return
	}
	switch section {
	case 0:
		m.answer = append(m.answer, rr)
	case 1:
		switch rr := rr.(type) {
		case *dns.SOA:
			if m.soa == nil {
				m.soa = rr
			}
		case *dns.NS:
			m.ns = true
		}
	}
}

func rcodeName(rcode int) string {
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return "OTHER"
}
