package resolve

import (
	"crypto/rand"
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"
)

// Sizes of messages, in octets.
const (
	headerSize = 12
	optSize    = 11
	// ednsSize is what we can take over UDP without fragments (RFC 9715).
	ednsSize = 1232
	// maxQuery bounds a query of ours: header, name, type and class, OPT.
	maxQuery = headerSize + 255 + 4 + optSize
)

// Bits of the flags in the header (RFC 1035 section 4.1.1, RFC 4035).
const (
	flagQR     = 1 << 15
	maskOpcode = 0xF << 11
	flagAA     = 1 << 10
	flagTC     = 1 << 9
	flagRD     = 1 << 8
	flagRA     = 1 << 7
	flagCD     = 1 << 4
	maskRcode  = 0xF
)

// question is what one query asks, and how.
type question struct {
	name  string // lower case, no final dot
	qtype Type
	// recurse sets RD: we ask a resolver and not an authority.
	recurse bool
	// unchecked sets CD: a validating resolver answers in spite of DNSSEC.
	unchecked bool
	// mixed writes the name in random case and wants it back exactly so
	// (draft-vixie-dnsext-dns0x20): some 8 to 20 bits more to guess.
	mixed bool
}

// query is a packed question. Its ID is set when it is sent.
type query struct {
	wire  []byte
	qend  int  // where the question section ends
	exact bool // the name must come back in the very same case
}

// pack writes the query with EDNS, DO=0, into b, which has maxQuery octets, all
// zero. The only error is that of a name that cannot be written.
func (q question) pack(b []byte) (query, error) {
	var flags uint16
	if q.recurse {
		flags |= flagRD
	}
	if q.unchecked {
		flags |= flagCD
	}
	binary.BigEndian.PutUint16(b[2:], flags)
	binary.BigEndian.PutUint16(b[4:], 1)
	binary.BigEndian.PutUint16(b[10:], 1)
	end, err := dns.PackDomainName(q.name+".", b, headerSize, nil, false)
	if err != nil {
		return query{}, err
	}
	if q.mixed {
		mixCase(b[headerSize:end])
	}
	binary.BigEndian.PutUint16(b[end:], uint16(q.qtype))
	binary.BigEndian.PutUint16(b[end+2:], dns.ClassINET)
	qend := end + 4
	opt := b[qend : qend+optSize]
	binary.BigEndian.PutUint16(opt[1:], dns.TypeOPT)
	binary.BigEndian.PutUint16(opt[3:], ednsSize)
	return query{wire: b[:qend+optSize], qend: qend, exact: q.mixed}, nil
}

// withoutEDNS returns the same query for a server that answers FORMERR to an
// OPT record (RFC 6891 section 7).
func (q query) withoutEDNS() query {
	b := append([]byte(nil), q.wire[:q.qend]...)
	binary.BigEndian.PutUint16(b[10:], 0)
	return query{wire: b, qend: q.qend, exact: q.exact}
}

func (q query) hasEDNS() bool { return len(q.wire) > q.qend }

func (q query) setID(id uint16) { binary.BigEndian.PutUint16(q.wire, id) }

// randomID returns an ID that cannot be foretold (RFC 5452).
func randomID() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}

// mixCase gives each letter of a name in wire form a random case. Length
// octets are below 64 and so never taken for letters.
func mixCase(name []byte) {
	var bits [32]byte
	_, _ = rand.Read(bits[:])
	for i, c := range name {
		if isLetter(c) && bits[i/8]>>(i%8)&1 == 1 {
			name[i] = c ^ 0x20
		}
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// canonical returns a name as Lookup wants it and as this package gives it
// away: lower case, no final dot, odd octets still escaped, so that it is
// printable and a dot within a label stays told apart. The root is "".
func canonical(name string) string {
	if strings.ToLower(name) == name && plain(name) && !strings.HasSuffix(name, ".") {
		return name
	}
	name = dns.CanonicalName(name)
	return name[:len(name)-1]
}

// normal returns canonical(name) in the one escaped form that messages give,
// so that the two can be compared. The error is that of a name that cannot be
// in DNS.
func normal(name string) (string, error) {
	name = canonical(name)
	if plain(name) {
		return name, nil
	}
	var b [256]byte
	if _, err := dns.PackDomainName(name+".", b[:], 0, nil, false); err != nil {
		return "", err
	}
	name, _, err := dns.UnpackDomainName(b[:], 0)
	return canonical(name), err
}

// plain says that no octet of a name is ever escaped.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}
