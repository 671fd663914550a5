package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// answer packs a reply to a question about name.example.
func answer(t *testing.T, edit func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("name.example.", dns.TypeTXT)
	m.SetEdns0(ednsSize, false)
	m.Response, m.Compress = true, true
	edit(m)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func txtQuery(t *testing.T) query {
	t.Helper()
	q, err := question{name: "name.example", qtype: TypeTXT, recurse: true}.pack(make([]byte, maxQuery))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestRecordsAreCapped(t *testing.T) {
	m, err := parseMessage(answer(t, func(m *dns.Msg) {
		for range maxRecords + 100 {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: "name.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"x"}})
		}
	}), txtQuery(t))
	if err != nil || len(m.answer) != maxRecords {
		t.Errorf("%d records, %v", len(m.answer), err)
	}
}

// The upper bits of the rcode are in the OPT record (RFC 6891 section 6.1.3):
// BADVERS must not pass for NOERROR.
func TestExtendedRcode(t *testing.T) {
	m, err := parseMessage(answer(t, func(m *dns.Msg) { m.Rcode = dns.RcodeBadVers }), txtQuery(t))
	if err != nil || m.rcode != dns.RcodeBadVers {
		t.Fatalf("rcode %d, %v", m.rcode, err)
	}
	if c := (&chase{name: "name.example"}); m.trouble(c) == nil {
		t.Error("it is worth reading")
	}
}

// A server that writes without end what does not fit is left before the time
// is up.
func TestTCPFlood(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		q, err := readTCP(conn)
		for err == nil {
			q[0] ^= 0xFF // another ID
			_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := exchangeTCP(ctx, netip.MustParseAddrPort(l.Addr().String()), txtQuery(t)); !errors.Is(err, errSuspect) {
		t.Errorf("error %v", err)
	}
	_ = l.Close()
	<-done
}

// What another port of the server's own host sends is no answer, even with the
// right ID and question.
func TestAnswersComeFromTheServer(t *testing.T) {
	var lc net.ListenConfig
	listen := func() net.PacketConn {
		pc, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return pc
	}
	server, stranger := listen(), listen()
	defer func() { _ = stranger.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxUDP)
		n, client, err := server.ReadFrom(buf)
		if err != nil {
			return
		}
		for _, from := range []struct {
			net.PacketConn
			says string
		}{{stranger, "forged"}, {server, "true"}} {
			var m dns.Msg
			if m.Unpack(buf[:n]) != nil {
				return
			}
			m.Response = true
			m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{from.says}}}
			if b, err := m.Pack(); err == nil {
				_, _ = from.WriteTo(b, client)
			}
		}
	}()
	c, err := NewClient(Config{Servers: []netip.AddrPort{netip.MustParseAddrPort(server.LocalAddr().String())}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	a, lerr := c.Lookup(t.Context(), "name.example", TypeTXT)
	if lerr != nil || a.TXT[0].Join() != "true" {
		t.Errorf("got %+v, %v", a, lerr)
	}
	_ = server.Close()
	<-done
}
