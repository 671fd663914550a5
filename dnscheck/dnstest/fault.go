package dnstest

import (
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// Behaviour names one way to answer, mostly a wrong one. It holds over UDP and
// TCP alike unless it says otherwise.
type Behaviour string

// Definite answers.
const (
	NXDomain      Behaviour = "nxdomain"
	NXDomainNoSOA Behaviour = "nxdomain-nosoa"
	NoData        Behaviour = "nodata"
	NoDataNoSOA   Behaviour = "nodata-nosoa"
)

// Refusals and silence.
const (
	ServFail      Behaviour = "servfail"
	Refused       Behaviour = "refused"
	NotAuth       Behaviour = "notauth"
	NotImp        Behaviour = "notimp"
	FormErr       Behaviour = "formerr"
	FormErrOnEDNS Behaviour = "formerr-on-edns" // good without EDNS
	Silent        Behaviour = "silent"
	Late          Behaviour = "late"  // good, after the delay
	Bogus         Behaviour = "bogus" // SERVFAIL, but good with CD=1
	Lame          Behaviour = "lame"  // a referral to elsewhere
)

// Truncation.
const (
	TC      Behaviour = "tc"       // TC over UDP, good over TCP
	TCNoTCP Behaviour = "tc-notcp" // TC over UDP, TCP hangs up
)

// Hostile packets. Each comes before the good answer, the ...Only ones come
// alone.
const (
	WrongQuestion     Behaviour = "wrong-question"
	WrongQuestionOnly Behaviour = "wrong-question-only"
	WrongID           Behaviour = "wrong-id"
	WrongIDOnly       Behaviour = "wrong-id-only"
	Echo              Behaviour = "echo" // our own query back, QR=0
	EchoOnly          Behaviour = "echo-only"
	Junk              Behaviour = "junk" // five octets
	JunkOnly          Behaviour = "junk-only"
	Malformed         Behaviour = "malformed" // right ID and question, then cut off
	MalformedOnly     Behaviour = "malformed-only"
	Flood             Behaviour = "flood"     // 50 wrong IDs alone over UDP, good over TCP
	Duplicate         Behaviour = "duplicate" // the good answer twice
)

// Odd content.
const (
	LowerCase   Behaviour = "lower-case"   // the question comes back in lower case, over UDP
	CaseMangled Behaviour = "case-mangled" // the question comes back in the other case, over UDP
	NoOPT       Behaviour = "no-opt"       // good, without EDNS in it
	CNAMELoop   Behaviour = "cname-loop"
	Chain8      Behaviour = "chain-8" // eight CNAMEs, then a record: the most that is followed
	Chain9      Behaviour = "chain-9"
	AliasOnly   Behaviour = "alias-only" // good, but it stops after the first CNAME
	Stray       Behaviour = "stray"      // records of another owner beside a NODATA
	TXT200      Behaviour = "txt-200"
	TXT64K      Behaviour = "txt-64k" // one record of about 64 KiB
)

// Extended DNS errors (RFC 8914) with the answers that they come with.
const (
	EDE3  Behaviour = "ede-3"  // stale answer: good
	EDE4  Behaviour = "ede-4"  // forged answer: good
	EDE6  Behaviour = "ede-6"  // DNSSEC bogus: SERVFAIL
	EDE9  Behaviour = "ede-9"  // DNSKEY missing: SERVFAIL
	EDE15 Behaviour = "ede-15" // blocked: NXDOMAIN
	EDE16 Behaviour = "ede-16" // censored: NXDOMAIN
	EDE17 Behaviour = "ede-17" // filtered: NXDOMAIN
	EDE18 Behaviour = "ede-18" // prohibited: REFUSED
	EDE19 Behaviour = "ede-19" // stale NXDOMAIN: NXDOMAIN
	EDE22 Behaviour = "ede-22" // no reachable authority: SERVFAIL
	EDE23 Behaviour = "ede-23" // network error: SERVFAIL
)

// Behaviours returns all of them in the order of their names.
func Behaviours() []Behaviour {
	return slices.Sorted(maps.Keys(behaviours))
}

// fault is what stands against one name. The zero value answers well.
type fault struct {
	behaviour Behaviour
	run       func(*exchange)
	types     []uint16 // all when empty
}

func (f fault) serve(x *exchange) {
	if f.run == nil || len(f.types) > 0 && !slices.Contains(f.types, x.req.Question[0].Qtype) {
		x.send(x.good())
		return
	}
	f.run(x)
}

// Fault makes the server treat a name in one way from now on, for all types or
// for those named ("TXT"). The empty Behaviour ends it. It panics on a name
// that is not a Behaviour: that is a slip in the test.
func (s *Server) Fault(name string, b Behaviour, types ...string) {
	run, ok := behaviours[b]
	if !ok && b != "" {
		panic("dnstest: no behaviour " + string(b))
	}
	f := fault{behaviour: b, run: run}
	for _, t := range types {
		f.types = append(f.types, dns.StringToType[t])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[dns.CanonicalName(name)] = f
}
