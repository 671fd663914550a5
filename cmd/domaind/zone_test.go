package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/gen/client"
)

// TestZone gives the zone file to BIND's checker, publishes exactly its lines,
// and has all four records verified.
func TestZone(t *testing.T) {
	l := lab.Start(t)
	s := serveLab(t, l, "DOMAIND_CHECK_MIN=1s")
	domain := randomLabel() + "." + lab.Zone
	_ = must[client.DomainDetails](t)(s.create(t.Context(), domain))
	zone := s.zone(t, domain)
	t.Run("named-checkzone", func(t *testing.T) { checkZone(t, domain, zone) })
	publishZone(t, l, zone)
	s.checkUntil(t, domain, noticedWithin, "all four records verified", func(d client.DomainDetails) bool {
		for _, r := range d.DNS {
			if r.Status != client.RecordStatusVerified || len(r.Warnings) > 0 {
				return false
			}
		}
		return len(d.DNS) == 4 && d.Domain.Status == client.DomainStatusActive
	})
}

// zone reads the domain's zone lines.
func (s *service) zone(t *testing.T, domain string) string {
	t.Helper()
	reply, err := s.GetZoneWithResponse(t.Context(), domain, &client.GetZoneParams{UserID: labUser})
	if err != nil || reply.StatusCode() != http.StatusOK {
		t.Fatalf("read the zone: %v %s", err, reply.Body)
	}
	return string(reply.Body)
}

// publishZone publishes exactly the lines of a fresh domain's zone.
func publishZone(t *testing.T, l *lab.Lab, zone string) {
	t.Helper()
	var lines []string
	parser := dns.NewZoneParser(strings.NewReader(zone), "", "zone")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		lines = append(lines, "update add "+rr.String())
	}
	if err := parser.Err(); err != nil || len(lines) != 4 {
		t.Fatalf("%d records, %v, in:\n%s", len(lines), err, zone)
	}
	if err := l.Update(lines...); err != nil {
		t.Fatal(err)
	}
}

// checkZone wraps the lines with SOA and NS, as the apex of a zone needs them.
func checkZone(t *testing.T, domain, lines string) {
	const checker = "named-checkzone"
	needTool(t, checker, "bind9-utils")
	file := filepath.Join(t.TempDir(), "zone")
	text := fmt.Sprintf("%[1]s. 60 IN SOA ns.example.net. hostmaster.example.net. 1 3600 600 86400 60\n%[1]s. 60 IN NS ns.example.net.\n%s", domain, lines)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Only what stands in the file: the checker would look up other names.
	if out, err := exec.Command(checker, "-i", "local", domain, file).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", checker, err, out, text)
	}
}
