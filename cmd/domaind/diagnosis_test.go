package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/gen/client"
)

// TestDiagnosisStays has scheduled checks follow one on demand: what only a
// diagnosis finds is told as long as nothing changes, and no longer.
func TestDiagnosisStays(t *testing.T) {
	t.Parallel()
	l := lab.Start(t)
	s := serveLab(t, l, "DOMAIND_CHECK_MIN=200ms")
	domain := randomLabel() + "." + lab.Zone
	_ = must[client.DomainDetails](t)(s.create(t.Context(), domain))
	if err := l.Update("update add _dmarc." + domain + "." + domain + `. 1 TXT "v=DMARC1; p=none"`); err != nil {
		t.Fatal(err)
	}
	doubled := func(d client.DomainDetails) bool {
		r := must[client.DNSRecord](t)(record(d, "dmarc", ""))
		return len(r.Warnings) == 1 && r.Warnings[0].Code == "name_doubled" && strings.Contains(deref(r.Hint), "_dmarc")
	}
	var last time.Time
	s.checkUntil(t, domain, noticedWithin, "the name is seen to be doubled", func(d client.DomainDetails) bool {
		last = *d.Domain.LastCheckedAt
		return doubled(d)
	})
	looks := 0
	s.eventually(t, domain, noticedWithin, "two scheduled checks", func(d client.DomainDetails) bool {
		if !doubled(d) {
			t.Fatalf("forgotten after %d scheduled checks", looks)
		}
		if d.Domain.LastCheckedAt.After(last) {
			last = *d.Domain.LastCheckedAt
			looks++
		}
		return looks >= 2
	})
	if err := l.Update("update add _dmarc." + domain + `. 1 TXT "v=DMARC1 p=none"`); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, domain, noticedWithin, "another fault, by a scheduled check", func(d client.DomainDetails) bool {
		return deref(must[client.DNSRecord](t)(record(d, "dmarc", "")).Code) == "dmarc_syntax" && !doubled(d)
	})
}
