package main

import (
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/domaind/domaind/client"
)

// TestDomainTableOverride shows which status is an override, as it may say
// other than what DNS does.
func TestDomainTableOverride(t *testing.T) {
	code := "mx_missing"
	for override, want := range map[bool]string{true: "verified, by hand (mx_missing)", false: "verified (mx_missing)"} {
		var out strings.Builder
		w := tabwriter.NewWriter(&out, 0, 0, 1, ' ', 0)
		domainTable(w, client.DomainDetails{DNS: []client.DNSRecord{{RecordType: "MX", Status: "verified", Code: &code, Override: override}}})
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("override %v: no %q in\n%s", override, want, out.String())
		}
	}
}
