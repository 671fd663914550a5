package resolve

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestQueryIsWhatTheLibraryPacks(t *testing.T) {
	got, err := question{name: "_dmarc.example.org", qtype: TypeTXT, recurse: true}.pack(make([]byte, maxQuery))
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	m.SetQuestion("_dmarc.example.org.", dns.TypeTXT)
	m.SetEdns0(ednsSize, false)
	m.Id = 4711
	want, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got.setID(4711); !bytes.Equal(got.wire, want) {
		t.Errorf("got  %x\nwant %x", got.wire, want)
	}
	m.Extra = nil
	if want, err = m.Pack(); err != nil {
		t.Fatal(err)
	}
	without := got.withoutEDNS()
	if without.setID(4711); !bytes.Equal(without.wire, want) || without.hasEDNS() || !got.hasEDNS() {
		t.Errorf("got  %x\nwant %x", without.wire, want)
	}
}

func TestMixedCase(t *testing.T) {
	seen := make(map[string]bool)
	for range 8 {
		q, err := question{name: "a-rather-long-label.example.org", qtype: TypeMX, mixed: true}.pack(make([]byte, maxQuery))
		if err != nil {
			t.Fatal(err)
		}
		name, _, err := dns.UnpackDomainName(q.wire, headerSize)
		if err != nil || canonical(name) != "a-rather-long-label.example.org" {
			t.Fatalf("got %s, %v", name, err)
		}
		seen[name] = true
	}
	if len(seen) < 8 {
		t.Errorf("8 queries have %d spellings", len(seen))
	}
}

func TestMatches(t *testing.T) {
	pack := func(mixed bool) query {
		q, err := question{name: "name.example", qtype: TypeTXT, recurse: true, mixed: mixed}.pack(make([]byte, maxQuery))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	folded, exact := pack(false), pack(true)
	tests := map[string]struct {
		q    query
		edit func(pkt []byte) []byte
		want match
	}{
		"answer":              {folded, nil, matchFull},
		"answer, exact":       {exact, nil, matchFull},
		"another case":        {folded, func(p []byte) []byte { p[headerSize+1] ^= 0x20; return p }, matchFull},
		"another case, exact": {exact, func(p []byte) []byte { p[headerSize+1] ^= 0x20; return p }, matchCase},
		"case of a digit":     {folded, func(p []byte) []byte { p[headerSize] ^= 0x20; return p }, matchNone},
		"query":               {folded, func(p []byte) []byte { p[2] &^= 0x80; return p }, matchNone},
		"RD lost":             {folded, func(p []byte) []byte { p[2] &^= 1; return p }, matchNone},
		"opcode":              {folded, func(p []byte) []byte { p[2] |= 0x28; return p }, matchNone},
		"name":                {folded, func(p []byte) []byte { p[headerSize+1]++; return p }, matchNone},
		"type":                {folded, func(p []byte) []byte { p[headerSize+15]++; return p }, matchNone},
		"class":               {folded, func(p []byte) []byte { p[headerSize+17]++; return p }, matchNone},
		"two questions":       {folded, func(p []byte) []byte { p[5] = 2; return p }, matchNone},
		"no question":         {folded, func(p []byte) []byte { p[5] = 0; return p }, matchNone},
		"cut in the question": {folded, func(p []byte) []byte { return p[:headerSize+5] }, matchNone},
		"a header alone":      {folded, func(p []byte) []byte { return p[:headerSize] }, matchNone},
		"FORMERR alone":       {folded, func(p []byte) []byte { p[3] |= dns.RcodeFormatError; return p[:headerSize] }, matchFull},
		"FORMERR, no EDNS":    {folded.withoutEDNS(), func(p []byte) []byte { p[3] |= dns.RcodeFormatError; return p[:headerSize] }, matchNone},
		"cut in the header":   {folded, func(p []byte) []byte { return p[:headerSize-1] }, matchNone},
		"nothing":             {folded, func([]byte) []byte { return nil }, matchNone},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			pkt := bytes.Clone(tt.q.wire)
			binary.BigEndian.PutUint16(pkt[2:], flagQR|flagRD|flagRA)
			if tt.edit != nil {
				pkt = tt.edit(pkt)
			}
			if got := tt.q.matches(pkt); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := newLimits()
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range serverBurst {
		if err := l.wait(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.wait(soon, one); err == nil {
		t.Error("more than the burst is let through")
	}
	if err := l.wait(soon, other); err != nil {
		t.Errorf("another address has to wait: %v", err)
	}
	for ip := netip.MustParseAddr("198.18.0.1"); len(l.byAddr) < maxLimiters; ip = ip.Next() {
		l.of(ip)
	}
	l.of(netip.MustParseAddr("198.19.255.1"))
	if n := len(l.byAddr); n > 3 {
		t.Errorf("%d limiters are kept, want those in use and the new one", n)
	}
	for ip := netip.MustParseAddr("203.0.0.1"); len(l.byAddr) < maxLimiters; ip = ip.Next() {
		l.of(ip).AllowN(time.Now(), serverBurst)
	}
	l.of(netip.MustParseAddr("198.19.255.2"))
	if n := len(l.byAddr); n > maxLimiters/2+1 {
		t.Errorf("%d limiters are kept", n)
	}
}

func TestGlobalAddressesOnly(t *testing.T) {
	d := NewDirect(DirectConfig{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}})
	defer func() { _ = d.Close() }()
	tests := map[string]bool{
		"8.8.8.8": true, "2001:4860:4860::8888": true, "10.1.2.3": true,
		"10.2.0.1": false, "127.0.0.1": false, "169.254.169.254": false, "172.16.0.1": false, "192.168.1.1": false,
		"100.64.0.1": false, "192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "198.18.0.1": false,
		"224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "0.0.0.0": false,
		"::1": false, "::": false, "fe80::1": false, "fc00::1": false, "ff02::1": false, "2001:db8::1": false,
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "100::1": false,
	}
	for ip, want := range tests {
		if got := d.global(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: got %v", ip, got)
		}
	}
	if d.global(netip.Addr{}) {
		t.Error("no address is taken for one")
	}
}
