package main_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/gen/client"
)

const (
	// activeWithin is how soon a published domain must be active by itself.
	activeWithin = 20 * time.Second
	// noticedWithin is how soon a change in DNS must show after a check-now.
	noticedWithin = 30 * time.Second
)

// TestLifecycle follows one domain from its creation to the loss of a record,
// through every way in which a resolver can be of no use.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	l := lab.Start(t)
	s := serveLab(t, l, "DOMAIND_CHECK_MIN=1s")
	domain := randomLabel() + "." + lab.Zone
	d := must[client.DomainDetails](t)(s.create(t.Context(), domain))
	if d.Domain.Status != client.DomainStatusPending {
		t.Errorf("a new domain is %s", d.Domain.Status)
	}
	publish(t, l, d)
	s.eventually(t, domain, activeWithin, "active by itself", func(d client.DomainDetails) bool {
		return d.Domain.Status == client.DomainStatusActive
	})
	for _, fault := range lab.Faults() {
		breakAndCheck(t, l, s, domain, fault)
	}
	if err := l.Repair(); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, domain, noticedWithin, "clean again by itself", func(d client.DomainDetails) bool {
		mustStand(t, d, "after the repair")
		return !asksSoon(d)
	})

	// Not the MX record: SPF leans on it.
	if err := l.Update("update delete _dmarc." + domain + ". TXT"); err != nil {
		t.Fatal(err)
	}
	s.checkUntilMissed(t, domain, "dmarc")
	s.eventually(t, domain, noticedWithin, "degraded", func(d client.DomainDetails) bool {
		dmarc := must[client.DNSRecord](t)(record(d, "dmarc", ""))
		if dmarc.Status != client.RecordStatusVerified || d.Domain.Status != client.DomainStatusActive {
			t.Fatalf("one missing record made the record %s and the domain %s", dmarc.Status, d.Domain.Status)
		}
		return d.Domain.Degraded && deref(dmarc.Code) == "dmarc_missing"
	})

	publish(t, l, d)
	s.checkUntil(t, domain, noticedWithin, "whole again", func(d client.DomainDetails) bool {
		return d.Domain.Status == client.DomainStatusActive && !d.Domain.Degraded
	})
	s.wantEvents(t, domain, map[string]int{"record.degraded": 1, "record.restored": 1, "record.lost": 0})
}

// breakAndCheck breaks the resolver and checks until a check has seen it.
func breakAndCheck(t *testing.T, l *lab.Lab, s *service, domain string, fault lab.Fault) {
	t.Helper()
	if err := l.Break(fault); err != nil {
		t.Fatal(err)
	}
	broken := time.Now()
	s.checkUntil(t, domain, noticedWithin, "a check with the resolver "+string(fault), func(d client.DomainDetails) bool {
		mustStand(t, d, "with the resolver "+string(fault))
		return checkedAfter(d, broken) && asksSoon(d)
	})
}

// mustStand fails the test unless the domain is active with all its records.
func mustStand(t *testing.T, d client.DomainDetails, when string) {
	t.Helper()
	if d.Domain.Status != client.DomainStatusActive || d.Domain.Degraded {
		t.Fatalf("%s the domain is %s, degraded %v", when, d.Domain.Status, d.Domain.Degraded)
	}
	for _, r := range d.DNS {
		if r.Status != client.RecordStatusVerified {
			t.Fatalf("%s the record is %s", when, shown(r))
		}
	}
}

func checkedAfter(d client.DomainDetails, then time.Time) bool {
	return d.Domain.LastCheckedAt != nil && d.Domain.LastCheckedAt.After(then)
}

// asksSoon reports whether the last look learned nothing of some record: then
// the next one comes after at most 60 units of the schedule, and not after the
// 360 of an active domain.
func asksSoon(d client.DomainDetails) bool {
	const between = 120 * time.Second
	return d.Domain.NextCheckAt.Sub(*d.Domain.LastCheckedAt) < between
}

// TestDemotion loses a record for longer than the operator allows.
func TestDemotion(t *testing.T) {
	l := lab.Start(t)
	s := serveLab(t, l, "DOMAIND_CHECK_MIN=200ms", "DOMAIND_DEMOTE_AFTER=5s")
	domain := randomLabel() + "." + lab.Zone
	d := must[client.DomainDetails](t)(s.create(t.Context(), domain))
	publish(t, l, d)
	s.eventually(t, domain, activeWithin, "active by itself", func(d client.DomainDetails) bool {
		return d.Domain.Status == client.DomainStatusActive
	})
	spf := must[client.DNSRecord](t)(record(d, "spf", ""))
	if err := l.Update(fmt.Sprintf("update delete %s. TXT", spf.Name)); err != nil {
		t.Fatal(err)
	}
	removed := time.Now()
	s.checkUntilMissed(t, domain, "spf")
	s.eventually(t, domain, noticedWithin, "failed by itself", func(d client.DomainDetails) bool {
		return d.Domain.Status == client.DomainStatusFailed
	})
	if lost := time.Since(removed); lost < 5*time.Second {
		t.Errorf("failed after %v, before DOMAIND_DEMOTE_AFTER", lost)
	}
	publish(t, l, d)
	s.eventually(t, domain, noticedWithin, "active again by itself", func(d client.DomainDetails) bool {
		return d.Domain.Status == client.DomainStatusActive
	})
	s.wantEvents(t, domain, map[string]int{"record.degraded": 1, "record.lost": 1, "record.restored": 0})
}

// TestBogus has a domain whose zone fails DNSSEC validation: no verdict, and a
// code that says why.
func TestBogus(t *testing.T) {
	l := lab.Start(t)
	s := serveLab(t, l, "DOMAIND_CHECK_MIN=1s")
	domain := randomLabel() + "." + lab.Bogus
	d := must[client.DomainDetails](t)(s.create(t.Context(), domain))
	publish(t, l, d)
	s.checkUntil(t, domain, noticedWithin, "dnssec_bogus", func(d client.DomainDetails) bool {
		mx := must[client.DNSRecord](t)(record(d, "mx", ""))
		if mx.Status != client.RecordStatusPending {
			t.Fatalf("a bogus zone's record is %s", shown(mx))
		}
		return deref(mx.Code) == "dnssec_bogus"
	})
}

// publish publishes a domain's records as its customer would.
func publish(t *testing.T, l *lab.Lab, d client.DomainDetails) {
	t.Helper()
	var lines []string
	for _, r := range d.DNS {
		data := quoted(r.ExpectedValue)
		if r.RecordType == client.DNSRecordRecordTypeMX {
			data = fmt.Sprintf("%d %s.", *r.Priority, r.ExpectedValue)
		}
		lines = append(lines, fmt.Sprintf("update add %s. 5 %s %s", r.Name, r.RecordType, data))
	}
	if err := l.Update(lines...); err != nil {
		t.Fatal(err)
	}
}

// eventually reads the domain, which moves nothing, until ok says yes.
func (s *service) eventually(t *testing.T, domain string, within time.Duration, what string, ok func(client.DomainDetails) bool) {
	t.Helper()
	s.until(t, s.info, domain, within, what, ok)
}

// checkUntil has the domain checked until ok says yes.
func (s *service) checkUntil(t *testing.T, domain string, within time.Duration, what string, ok func(client.DomainDetails) bool) {
	t.Helper()
	s.until(t, s.verify, domain, within, what, ok)
}

// checkUntilMissed has the domain checked until a record that was removed is
// missing from the resolver's cache too.
func (s *service) checkUntilMissed(t *testing.T, domain, purpose string) {
	t.Helper()
	s.checkUntil(t, domain, noticedWithin, purpose+" missed", func(d client.DomainDetails) bool {
		return deref(must[client.DNSRecord](t)(record(d, purpose, "")).Code) == purpose+"_missing"
	})
}

func (s *service) until(t *testing.T, read func(context.Context, string) (client.DomainDetails, error),
	domain string, within time.Duration, what string, ok func(client.DomainDetails) bool,
) {
	t.Helper()
	var last client.DomainDetails
	if polled(t.Context(), within, func() bool {
		last = must[client.DomainDetails](t)(read(t.Context(), domain))
		return ok(last)
	}) {
		return
	}
	for _, r := range last.DNS {
		t.Logf("%s: %s", r.Purpose, shown(r))
	}
	t.Fatalf("not within %v: %s; the domain is %s, degraded %v", within, what, last.Domain.Status, last.Domain.Degraded)
}

// wantEvents counts the domain's events by type.
func (s *service) wantEvents(t *testing.T, domain string, want map[string]int) {
	t.Helper()
	reply, err := s.ListEventsWithResponse(t.Context(), domain, &client.ListEventsParams{UserID: labUser})
	if err != nil || reply.JSON200 == nil {
		t.Fatalf("list events: %v", err)
	}
	got := map[string]int{}
	for _, e := range reply.JSON200.Events {
		got[e.Type]++
	}
	for kind, n := range want {
		if got[kind] != n {
			t.Errorf("%d events %s, want %d; there are %v", got[kind], kind, n, got)
		}
	}
}
