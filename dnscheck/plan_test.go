package dnscheck_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
)

var service = dnscheck.Service{
	MXHost: "mx.example.com", MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;", DMARCRequired: true,
}

func TestPlan(t *testing.T) {
	key := dkim.Key{Selector: "dabc", Public: "MIIB"}
	want := []dnscheck.PlannedRecord{
		{"mx", "MX", "@", "customer.com", "mx.example.com", 10, 3600, true},
		{"spf", "TXT", "@", "customer.com", "v=spf1 mx ~all", 0, 3600, true},
		{"dkim", "TXT", "dabc._domainkey", "dabc._domainkey.customer.com", "v=DKIM1; k=rsa; p=MIIB", 0, 3600, true},
		{"dmarc", "TXT", "_dmarc", "_dmarc.customer.com", "v=DMARC1; p=none;", 0, 3600, true},
	}
	if diff := cmp.Diff(want, service.Plan("customer.com", key)); diff != "" {
		t.Error(diff)
	}
	advisory := service
	advisory.DMARCRequired = false
	if advisory.Plan("customer.com", key)[3].Required {
		t.Error("DMARC is required although it is advisory")
	}
}

func TestLongestPrefix(t *testing.T) {
	key, err := dkim.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range service.Plan("customer.com", key) {
		if prefix := len(r.Name) - len("customer.com"); prefix > dnscheck.LongestPrefix {
			t.Errorf("%s adds %d octets, more than %d", r.Host, prefix, dnscheck.LongestPrefix)
		}
	}
	if got := len(key.Host()) + 1; got != dnscheck.LongestPrefix {
		t.Errorf("the longest prefix has %d octets, not %d", got, dnscheck.LongestPrefix)
	}
}

func TestServiceValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*dnscheck.Service)
		says   string // "" means valid
	}{
		{"defaults", func(*dnscheck.Service) {}, ""},
		{"special-use host", func(s *dnscheck.Service) { s.MXHost = "mx.mail.test" }, ""},
		{"no host", func(s *dnscheck.Service) { s.MXHost = "" }, "MX host"},
		{"address", func(s *dnscheck.Service) { s.MXHost = "192.0.2.25" }, "MX host"},
		{"final dot", func(s *dnscheck.Service) { s.MXHost = "mx.example.com." }, "MX host"},
		{"upper case", func(s *dnscheck.Service) { s.MXHost = "MX.example.com" }, "MX host"},
		{"single label", func(s *dnscheck.Service) { s.MXHost = "localhost" }, "MX host"},
		{"no SPF", func(s *dnscheck.Service) { s.SPF = "" }, "SPF"},
		{"SPF with a typo", func(s *dnscheck.Service) { s.SPF = "v=spf1 ipv4:192.0.2.1 ~all" }, "SPF"},
		{"SPF of another kind", func(s *dnscheck.Service) { s.SPF = "v=DMARC1; p=none" }, "SPF"},
		{"DMARC without policy", func(s *dnscheck.Service) { s.DMARC = "v=DMARC1" }, "DMARC"},
		{"DMARC of another kind", func(s *dnscheck.Service) { s.DMARC = "p=none" }, "DMARC"},
	} {
		s := service
		tt.change(&s)
		err := s.Validate()
		if (err == nil) != (tt.says == "") || err != nil && !strings.HasPrefix(err.Error(), tt.says+": ") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// What Zone writes is what a reader of master files reads.
func TestZoneRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octet := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte(`"\; 09a`)))
		text := string(rapid.SliceOfN(octet, 0, 700).Draw(t, "text"))
		line := dnscheck.Zone([]dnscheck.PlannedRecord{{Type: "TXT", Name: "x._domainkey.customer.com", Value: text, TTL: 60}})
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		var got bytes.Buffer
		for _, s := range rr.(*dns.TXT).Txt {
			got.Write(unescape(t, s))
		}
		if got.String() != text {
			t.Fatalf("read %q, wrote %q as %s", got.String(), text, line)
		}
	})
}

// unescape returns the octets of one string as it goes on the wire.
func unescape(t *rapid.T, s string) []byte {
	rr := &dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{s}}
	wire := make([]byte, 600)
	end, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	const header = 1 + 10 // the root, type, class, TTL, length
	return wire[header+1 : end]
}

func TestZoneLines(t *testing.T) {
	got := dnscheck.Zone(service.Plan("customer.com", dkim.Key{Selector: "dabc", Public: strings.Repeat("A", 392)}))
	first := "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 255-18)
	want := "customer.com. 3600 IN MX 10 mx.example.com.\n" +
		"customer.com. 3600 IN TXT \"v=spf1 mx ~all\"\n" +
		"dabc._domainkey.customer.com. 3600 IN TXT \"" + first + "\" \"" + strings.Repeat("A", 392-255+18) + "\"\n" +
		"_dmarc.customer.com. 3600 IN TXT \"v=DMARC1; p=none;\"\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestZonePassesNamedCheckzone(t *testing.T) {
	tool, err := exec.LookPath("named-checkzone")
	if err != nil {
		if os.Getenv("DOMAIND_REQUIRE_SERVERS") == "1" {
			t.Fatal("named-checkzone is missing (Debian: bind9-utils)")
		}
		t.Skip("SKIPPED: named-checkzone is missing (Debian: bind9-utils)")
	}
	key, err := dkim.Generate()
	if err != nil {
		t.Fatal(err)
	}
	odd := service
	odd.DMARC = `v=DMARC1; p=none; rua=mailto:"a\b"@example.com; x=ü`
	for _, s := range []dnscheck.Service{service, odd} {
		text := fmt.Sprintf("$TTL 60\ncustomer.com. IN SOA ns.example.net. h.example.net. 1 2 3 4 5\ncustomer.com. IN NS ns.example.net.\n%s",
			dnscheck.Zone(s.Plan("customer.com", key)))
		file := filepath.Join(t.TempDir(), "zone")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), tool, "customer.com", file).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, text)
		}
	}
}
