package dnstest

import (
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// behaviours has what each Behaviour does; nothing ever writes to it.
var behaviours = map[Behaviour]func(*exchange){
	NXDomain:      func(x *exchange) { x.negative(dns.RcodeNameError, true) },
	NXDomainNoSOA: func(x *exchange) { x.negative(dns.RcodeNameError, false) },
	NoData:        func(x *exchange) { x.negative(dns.RcodeSuccess, true) },
	NoDataNoSOA:   func(x *exchange) { x.negative(dns.RcodeSuccess, false) },

	ServFail:      func(x *exchange) { x.send(x.reply(dns.RcodeServerFailure)) },
	Refused:       func(x *exchange) { x.send(x.reply(dns.RcodeRefused)) },
	NotAuth:       func(x *exchange) { x.send(x.reply(dns.RcodeNotAuth)) },
	NotImp:        func(x *exchange) { x.send(x.reply(dns.RcodeNotImplemented)) },
	FormErr:       func(x *exchange) { x.send(x.reply(dns.RcodeFormatError)) },
	FormErrOnEDNS: (*exchange).formErrOnEDNS,
	Silent:        func(*exchange) {},
	Late:          (*exchange).late,
	Bogus:         (*exchange).bogus,
	Lame:          (*exchange).lame,

	TC:      (*exchange).truncated,
	TCNoTCP: (*exchange).truncatedNoTCP,

	WrongQuestion:     func(x *exchange) { x.write(x.wrongQuestion()); x.send(x.good()) },
	WrongQuestionOnly: func(x *exchange) { x.write(x.wrongQuestion()) },
	WrongID:           func(x *exchange) { x.write(x.wrongID()); x.send(x.good()) },
	WrongIDOnly:       func(x *exchange) { x.write(x.wrongID()) },
	Echo:              func(x *exchange) { x.write(x.echo()); x.send(x.good()) },
	EchoOnly:          func(x *exchange) { x.write(x.echo()) },
	Junk:              func(x *exchange) { x.write([]byte("junk!")); x.send(x.good()) },
	JunkOnly:          func(x *exchange) { x.write([]byte("junk!")) },
	Malformed:         func(x *exchange) { x.write(x.malformed()); x.send(x.good()) },
	MalformedOnly:     func(x *exchange) { x.write(x.malformed()) },
	Flood:             (*exchange).flood,
	Duplicate:         func(x *exchange) { x.send(x.good()); x.send(x.good()) },

	LowerCase:   func(x *exchange) { x.recase(strings.ToLower) },
	CaseMangled: func(x *exchange) { x.recase(swapCase) },
	NoOPT:       (*exchange).noOPT,
	CNAMELoop:   (*exchange).loop,
	Chain8:      func(x *exchange) { x.chain(8) },
	Chain9:      func(x *exchange) { x.chain(9) },
	AliasOnly:   (*exchange).aliasOnly,
	Stray:       (*exchange).stray,
	TXT200:      (*exchange).txt200,
	TXT64K:      (*exchange).txt64K,

	EDE3:  func(x *exchange) { x.ede(x.good(), dns.ExtendedErrorCodeStaleAnswer) },
	EDE4:  func(x *exchange) { x.ede(x.good(), dns.ExtendedErrorCodeForgedAnswer) },
	EDE6:  func(x *exchange) { x.ede(x.reply(dns.RcodeServerFailure), dns.ExtendedErrorCodeDNSBogus) },
	EDE9:  func(x *exchange) { x.ede(x.reply(dns.RcodeServerFailure), dns.ExtendedErrorCodeDNSKEYMissing) },
	EDE15: func(x *exchange) { x.ede(x.no(dns.RcodeNameError), dns.ExtendedErrorCodeBlocked) },
	EDE16: func(x *exchange) { x.ede(x.no(dns.RcodeNameError), dns.ExtendedErrorCodeCensored) },
	EDE17: func(x *exchange) { x.ede(x.no(dns.RcodeNameError), dns.ExtendedErrorCodeFiltered) },
	EDE18: func(x *exchange) { x.ede(x.reply(dns.RcodeRefused), dns.ExtendedErrorCodeProhibited) },
	EDE19: func(x *exchange) { x.ede(x.no(dns.RcodeNameError), dns.ExtendedErrorCodeStaleNXDOMAINAnswer) },
	EDE22: func(x *exchange) { x.ede(x.reply(dns.RcodeServerFailure), dns.ExtendedErrorCodeNoReachableAuthority) },
	EDE23: func(x *exchange) { x.ede(x.reply(dns.RcodeServerFailure), dns.ExtendedErrorCodeNetworkError) },
}

// write sends octets as they are.
func (x *exchange) write(b []byte) { _, _ = x.w.Write(b) }

// no returns a negative answer with its SOA record.
func (x *exchange) no(rcode int) *dns.Msg {
	m := x.reply(rcode)
	x.s.mu.RLock()
	defer x.s.mu.RUnlock()
	zone := x.s.zoneOf(x.name())
	if zone == "" {
		zone = "."
	}
	soas, _ := x.s.find(zone, dns.TypeSOA, zone)
	m.Ns = append(m.Ns, soas...)
	return m
}

func (x *exchange) negative(rcode int, withSOA bool) {
	m := x.no(rcode)
	if !withSOA {
		m.Ns = nil
	}
	x.send(m)
}

func (x *exchange) formErrOnEDNS() {
	if x.req.IsEdns0() == nil {
		x.send(x.good())
		return
	}
	m := x.reply(dns.RcodeFormatError)
	m.Extra = nil
	x.send(m)
}

func (x *exchange) late() {
	x.s.mu.RLock()
	delay := x.s.delay
	x.s.mu.RUnlock()
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		x.send(x.good())
	case <-x.s.done:
	}
}

func (x *exchange) bogus() {
	if x.req.CheckingDisabled {
		x.send(x.good())
		return
	}
	x.send(x.reply(dns.RcodeServerFailure))
}

func (x *exchange) lame() {
	m := x.reply(dns.RcodeSuccess)
	m.Authoritative, m.RecursionAvailable = false, false
	m.Ns = append(m.Ns, &dns.NS{Hdr: header("elsewhere.example.", dns.TypeNS), Ns: "ns1.elsewhere.example."})
	x.send(m)
}

func (x *exchange) truncated() {
	m := x.good()
	if x.udp {
		m.Answer, m.Ns, m.Truncated = nil, nil, true
	}
	x.send(m)
}

func (x *exchange) truncatedNoTCP() {
	if x.udp {
		x.truncated()
		return
	}
	_ = x.w.Close()
}

// hostile returns the answer that a poisoner wants believed: a record that no
// zone has.
func (x *exchange) hostile() *dns.Msg {
	m := x.reply(dns.RcodeSuccess)
	m.Answer = append(m.Answer, &dns.TXT{Hdr: header(x.req.Question[0].Name, dns.TypeTXT), Txt: []string{"hostile"}})
	return m
}

func (x *exchange) wrongQuestion() []byte {
	m := x.hostile()
	m.Question[0].Name = "other.example."
	m.Answer[0].Header().Name = "other.example."
	return pack(m)
}

func (x *exchange) wrongID() []byte {
	m := x.hostile()
	m.Id ^= 0x5555
	return pack(m)
}

func (x *exchange) echo() []byte { return pack(x.req) }

func (x *exchange) malformed() []byte {
	b := pack(x.hostile())
	const cut = 20 // within the last record
	return b[:len(b)-cut]
}

func (x *exchange) flood() {
	if !x.udp {
		x.send(x.good())
		return
	}
	for range 50 {
		x.write(x.wrongID())
	}
}

func pack(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic("dnstest: pack an answer: " + err.Error())
	}
	return b
}

// recase changes the letters of the question, over UDP only: the way out of
// a server that loses the case is TCP.
func (x *exchange) recase(f func(string) string) {
	m := x.good()
	if x.udp {
		m.Question[0].Name = f(m.Question[0].Name)
	}
	x.send(m)
}

func swapCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c|0x20 >= 'a' && c|0x20 <= 'z' {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

func (x *exchange) noOPT() {
	m := x.good()
	m.Extra = nil
	x.send(m)
}

func (x *exchange) cname(owner, target string) dns.RR {
	return &dns.CNAME{Hdr: header(owner, dns.TypeCNAME), Target: target}
}

func (x *exchange) loop() {
	m, name := x.reply(dns.RcodeSuccess), x.req.Question[0].Name
	m.Answer = append(m.Answer, x.cname(name, "loop."+name), x.cname("loop."+name, name))
	x.send(m)
}

// chain answers with links CNAMEs and a record at the end, all in one answer.
func (x *exchange) chain(links int) {
	m, owner := x.reply(dns.RcodeSuccess), x.req.Question[0].Name
	for i := range links {
		target := strconv.Itoa(i+1) + ".chain." + x.name()
		m.Answer = append(m.Answer, x.cname(owner, target))
		owner = target
	}
	m.Answer = append(m.Answer, &dns.TXT{Hdr: header(owner, dns.TypeTXT), Txt: []string{"end of the chain"}})
	x.send(m)
}

func (x *exchange) aliasOnly() {
	m := x.good()
	if _, ok := onlyCNAME(m.Answer); ok {
		m.Answer, m.Ns, m.Rcode = m.Answer[:1], nil, dns.RcodeSuccess
	}
	x.send(m)
}

func (x *exchange) stray() {
	m := x.no(dns.RcodeSuccess)
	m.Answer = append(m.Answer, &dns.TXT{Hdr: header("stray.example.", dns.TypeTXT), Txt: []string{"hostile"}})
	x.send(m)
}

func (x *exchange) txt200() {
	m := x.reply(dns.RcodeSuccess)
	for i := range 200 {
		h := header(x.req.Question[0].Name, dns.TypeTXT)
		m.Answer = append(m.Answer, &dns.TXT{Hdr: h, Txt: []string{"record " + strconv.Itoa(i)}})
	}
	x.send(m)
}

func (x *exchange) txt64K() {
	const strs, octets = 250, 255 // 64,000 octets: more does not fit beside the headers
	txt := make([]string, strs)
	for i := range txt {
		txt[i] = strings.Repeat("x", octets)
	}
	m := x.reply(dns.RcodeSuccess)
	m.Answer = append(m.Answer, &dns.TXT{Hdr: header(x.req.Question[0].Name, dns.TypeTXT), Txt: txt})
	x.send(m)
}

// ede sends an answer with an extended DNS error on it (RFC 8914).
func (x *exchange) ede(m *dns.Msg, code uint16) {
	if opt := m.IsEdns0(); opt != nil {
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: code})
	}
	x.send(m)
}
