package resolve

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// FuzzMessage takes arbitrary octets for the answer to a question. Whatever
// they are, nothing panics, and what comes out is an Error with a code or an
// Answer whose names are printable.
func FuzzMessage(f *testing.F) {
	seed := func(rrs ...string) {
		m := new(dns.Msg)
		m.SetQuestion("name.example.", dns.TypeTXT)
		m.SetEdns0(ednsSize, false)
		m.Response = true
		for _, s := range rrs {
			rr, err := dns.NewRR(s)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		for _, t := range []Type{TypeTXT, TypeMX, TypeA, TypeNS, TypeSOA} {
			f.Add(b, uint16(t))
		}
	}
	seed()
	seed(`name.example. 60 TXT "a" "b\000\"\\"`)
	seed("name.example. 60 MX 10 mx.example.", "name.example. 60 A 192.0.2.1", "name.example. 60 AAAA 2001:db8::1")
	seed("name.example. 60 CNAME b.example.", "b.example. 60 CNAME name.example.")
	seed("name.example. 60 SOA ns.example. h.example. 1 2 3 4 5", `name.example. 60 NS \@\001\..example.`)
	f.Fuzz(func(t *testing.T, pkt []byte, qtype uint16) {
		q, err := question{name: "name.example", qtype: Type(qtype), recurse: true}.pack(make([]byte, maxQuery))
		if err != nil {
			t.Fatal(err)
		}
		if q.matches(pkt) == matchNone {
			// Let the rest be looked at too.
			pkt = append(append(append(append([]byte{}, 0, 0, 0x80, 0), q.wire[4:6]...), 0, 9, 0, 9, 0, 9), append(q.wire[headerSize:q.qend:q.qend], pkt...)...)
		}
		m, err := parseMessage(pkt, q)
		if err != nil {
			return
		}
		checkMessage(t, m, Type(qtype))
	})
}

func checkMessage(t *testing.T, m message, qtype Type) {
	t.Helper()
	c, cerr := newChase("name.example", qtype)
	if cerr != nil {
		t.Fatal(cerr)
	}
	if e := m.trouble(c); e != nil {
		checkError(t, e)
		return
	}
	a, done, e := c.read(m)
	if e != nil {
		checkError(t, e)
		return
	}
	names := append(append([]string{a.Name, a.Zone, c.name}, a.Chain...), a.Hosts...)
	for _, mx := range a.MX {
		names = append(names, mx.Host)
	}
	for _, n := range names {
		checkPrintable(t, n)
		if n != strings.ToLower(n) {
			t.Errorf("name %q is not in lower case", n)
		}
	}
	if done && (a.TTL < 0 || len(a.Chain) > maxLinks || len(a.TXT) > maxRecords) {
		t.Errorf("out of bounds: %+v", a)
	}
}

func checkError(t *testing.T, e *Error) {
	t.Helper()
	if e.Code == "" || e.Detail == "" || !errors.As(error(e), new(*Error)) {
		t.Errorf("incomplete %+v", e)
	}
	checkPrintable(t, e.Error())
}

func checkPrintable(t *testing.T, s string) {
	t.Helper()
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= utf8.RuneSelf-1 {
			t.Errorf("%q is not printable", s)
			return
		}
	}
}

// FuzzUnescape compares with the DNS library, which escapes what it unpacks.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "plain", `q"\;`, "\x00\xff\x7f", `\065`, strings.Repeat("x", 255)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		octets = octets[:min(len(octets), 255)]
		size := len(octets) + 1
		wire := append([]byte{0, 0, 16, 0, 1, 0, 0, 0, 0, byte(size >> 8), byte(size), byte(len(octets))}, octets...)
		rr, _, err := dns.UnpackRR(wire, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := unescape(rr.(*dns.TXT).Txt[0]); got != string(octets) {
			t.Errorf("got %q, want %q", got, octets)
		}
		_ = unescape(string(octets)) // anything may be given
	})
}
