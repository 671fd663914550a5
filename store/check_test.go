package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
)

const (
	isMatch   = dnscheck.VerdictMatch
	isMissing = dnscheck.VerdictMissing
	isUnknown = dnscheck.VerdictUnknown
)

type verdicts = map[dnscheck.Purpose]dnscheck.Verdict

func TestDegradedLostRestored(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "customer.com")
	w.check("u1", "customer.com", isMatch, nil)
	gone := verdicts{dnscheck.PurposeSPF: isMissing}
	w.clock.forward(time.Hour)
	w.check("u1", "customer.com", isMatch, gone)
	d := w.get("u1", "customer.com")
	if d.Domain.Status != DomainStatusActive || !d.Domain.Degraded || !record(d, dnscheck.PurposeSPF).Degraded {
		t.Fatalf("degraded: %+v", d.Domain)
	}
	for range 2 {
		w.clock.forward(12 * time.Hour)
		w.check("u1", "customer.com", isUnknown, nil)
		w.check("u1", "customer.com", isMatch, gone)
	}
	d = w.get("u1", "customer.com")
	if d.Domain.Status != DomainStatusFailed || record(d, dnscheck.PurposeSPF).Status != RecordStatusFailed ||
		d.Domain.SendingReady || !d.Domain.InboundReady {
		t.Fatalf("lost: %+v", d.Domain)
	}
	w.check("u1", "customer.com", isMatch, nil)
	if d := w.get("u1", "customer.com"); d.Domain.Status != DomainStatusActive || d.Domain.Degraded {
		t.Fatalf("back: %+v", d.Domain)
	}
	want := []string{
		EventDomainCreated, EventRecordVerified, EventRecordVerified, EventRecordVerified, EventRecordVerified,
		EventDomainActivated, EventRecordDegraded, EventRecordLost, EventDomainFailed, EventRecordVerified, EventDomainActivated,
	}
	if got := w.events("u1", "customer.com"); !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
}

func TestFencing(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.create("u1", "customer.com")
	first, err := w.Due(ctx, 1)
	if err != nil || len(first) != 1 || !first[0].DueAt.Equal(start) {
		t.Fatalf("due: %+v, %v", first, err)
	}
	w.clock.forward(lease)
	second, err := w.Due(ctx, 1) // the lease has ended
	if err != nil || len(second) != 1 || second[0].Epoch <= first[0].Epoch {
		t.Fatalf("due again: %+v, %v", second, err)
	}
	if err := w.Record(ctx, first[0], report(first[0], isMatch, nil)); !errors.Is(err, ErrStale) {
		t.Errorf("outdated: %v", err)
	}
	if d := w.get("u1", "customer.com"); d.Domain.Status != DomainStatusPending || !d.Domain.LastCheckedAt.IsZero() {
		t.Errorf("an outdated report left a trace: %+v", d.Domain)
	}
	if err := w.Release(ctx, first); err != nil {
		t.Fatal(err)
	}
	if jobs, _ := w.Due(ctx, 1); len(jobs) != 0 {
		t.Error("an outdated release gave the claim away")
	}
	if err := w.Release(ctx, second); err != nil {
		t.Fatal(err)
	}
	third, _ := w.Due(ctx, 1)
	now, err := w.ClaimDomain(ctx, tenant("u1"), "customer.com")
	if err != nil || len(third) != 1 || now.Epoch <= third[0].Epoch || !now.OnDemand {
		t.Fatalf("claim now: %+v, %v", now, err)
	}
	if err := w.Record(ctx, third[0], report(third[0], isMatch, nil)); !errors.Is(err, ErrStale) {
		t.Errorf("overtaken by a check now: %v", err)
	}
	if err := w.DeleteDomain(ctx, tenant("u1"), "customer.com"); err != nil {
		t.Fatal(err)
	}
	if err := w.Record(ctx, now, report(now, isMatch, nil)); !errors.Is(err, ErrStale) {
		t.Errorf("deleted: %v", err)
	}
	w.create("u1", "customer.com")
	if err := w.Record(ctx, now, report(now, isMatch, nil)); !errors.Is(err, ErrStale) {
		t.Errorf("deleted and taken back: %v", err)
	}
}

func TestMarks(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	d := w.create("u1", "customer.com")
	mark := func(p dnscheck.Purpose, s RecordStatus) Details {
		t.Helper()
		out, err := w.MarkRecord(ctx, tenant("u1"), "customer.com", Mark{RecordID: record(d, p).ID, Status: s})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	seen := "v=spf1 mx ~all"
	out, err := w.MarkRecord(ctx, tenant("u1"), "customer.com",
		Mark{RecordID: record(d, dnscheck.PurposeSPF).ID, Status: RecordStatusVerified, Observed: &seen})
	if err != nil || !slices.Equal(record(out, dnscheck.PurposeSPF).Observed, []string{seen}) {
		t.Fatalf("mark: %+v, %v", record(out, dnscheck.PurposeSPF), err)
	}
	mark(dnscheck.PurposeMX, RecordStatusVerified)
	mark(dnscheck.PurposeDMARC, RecordStatusDisabled)
	if got := mark(dnscheck.PurposeDKIM, RecordStatusVerified); got.Domain.Status != DomainStatusActive {
		t.Fatalf("all marked: %+v", got.Domain)
	}
	mark(dnscheck.PurposeDKIM, RecordStatusVerified) // nothing new
	job, err := w.ClaimDomain(ctx, tenant("u1"), "customer.com")
	if err != nil || len(job.Target.Records) != 3 {
		t.Fatalf("a disabled record is in the target: %+v, %v", job.Target, err)
	}
	r := report(job, isMissing, nil)
	r.Results[0].Code = "mx_missing"
	if err := w.Record(ctx, job, r); err != nil {
		t.Fatal(err)
	}
	got := w.get("u1", "customer.com")
	mx := record(got, dnscheck.PurposeMX)
	if got.Domain.Status != DomainStatusActive || mx.Status != RecordStatusVerified || !mx.Override || mx.Code != "mx_missing" {
		t.Errorf("a mark did not stick, or hides what was found: %+v", mx)
	}
	if got := mark(dnscheck.PurposeMX, RecordStatusPending); got.Domain.Status != DomainStatusPending {
		t.Errorf("handed back: %+v", got.Domain)
	}
	if n := count(w.events("u1", "customer.com"), EventRecordMarked); n != 5 {
		t.Errorf("%d record.marked events", n)
	}
	other := w.create("u1", "other.com")
	_, err = w.MarkRecord(ctx, tenant("u1"), "customer.com", Mark{RecordID: other.Records[0].ID, Status: RecordStatusFailed})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("another domain's record: %v", err)
	}
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.create("u1", "customer.com")
	w.check("u1", "customer.com", isMatch, nil)
	old, _ := w.DKIMKey(ctx, tenant("u1"), "customer.com")
	d, err := w.RotateDKIM(ctx, tenant("u1"), "customer.com")
	if err != nil || len(d.Records) != 5 || d.Records[4].Required || d.Domain.Status != DomainStatusActive {
		t.Fatalf("rotate: %+v, %v", d, err)
	}
	spare := w.keys
	w.c.NewKey = func(context.Context) (dkim.Key, error) { return dkim.Key{}, errors.New("a key was asked for") }
	if again, err := w.RotateDKIM(ctx, tenant("u1"), "customer.com"); err != nil || len(again.Records) != 5 {
		t.Errorf("rotate again: %v", err)
	}
	w.c.NewKey = spare
	next := d.Records[4]
	see := func(v dnscheck.Verdict) {
		t.Helper()
		jobs, err := w.Due(ctx, 1)
		if err != nil || len(jobs) != 1 || len(jobs[0].Target.Records) != 5 {
			t.Fatalf("due: %+v, %v", jobs, err)
		}
		r := report(jobs[0], isMatch, nil)
		r.Results[4].Verdict = v
		if err := w.Record(ctx, jobs[0], r); err != nil {
			t.Fatal(err)
		}
	}
	see(isMissing)
	if key, _ := w.DKIMKey(ctx, tenant("u1"), "customer.com"); key.Selector != old.Selector {
		t.Error("an unseen key signs")
	}
	w.clock.forward(2 * time.Minute)
	see(isMatch)
	key, _ := w.DKIMKey(ctx, tenant("u1"), "customer.com")
	got := w.get("u1", "customer.com")
	if key.Host() != next.Host || got.Domain.Status != DomainStatusActive || !got.Records[4].Required || got.Records[2].Required {
		t.Errorf("seen: key %s, %+v", key.Selector, got.Records)
	}
	target, err := w.Target(ctx, tenant("u1"), "customer.com")
	if err != nil || len(target.Records) != 4 || !slices.Equal(target.Records[3].Retired, []string{old.Value()}) {
		t.Errorf("target %+v, %v", target, err)
	}
	w.clock.forward(retireAfter)
	if _, err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if got := w.get("u1", "customer.com"); len(got.Records) != 4 || got.Domain.Status != DomainStatusActive {
		t.Errorf("after 7 days: %+v", got.Records)
	}
	want := []string{EventRotationStarted, EventRecordVerified, EventDKIMRotated}
	if got := w.events("u1", "customer.com"); !slices.Equal(got[len(got)-3:], want) {
		t.Errorf("events %v", got)
	}
}

// A mass fault holds every demotion of its sweep, and lets go of the rest when
// most of them recover.
func TestSweepGuard(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	name := func(i int) string { return fmt.Sprintf("d%02d.example.com", i) }
	all := func(n int, v dnscheck.Verdict) {
		for i := range n {
			w.check("u1", name(i), v, nil)
		}
	}
	const n = guardFloor + 1
	for i := range n {
		w.create("u1", name(i))
	}
	w.create("u1", "lone.example.com")
	all(n, isMatch)
	w.check("u1", "lone.example.com", isMatch, nil)
	for range 4 {
		w.clock.forward(12 * time.Hour)
		all(n, isMissing)
	}
	if held, err := w.DemotionsHeld(ctx); err != nil || held != n {
		t.Fatalf("held %d, %v", held, err)
	}
	if st := w.get("u1", name(0)).Domain.Status; st != DomainStatusActive {
		t.Errorf("a held domain is %s", st)
	}
	if got := count(w.events("u1", name(0)), EventDomainHeld); got != 1 {
		t.Errorf("%d domain.held events", got)
	}
	// Long after, one domain's own trouble is not the sweep's.
	for range 3 {
		w.clock.forward(12 * time.Hour)
		w.check("u1", "lone.example.com", isMissing, nil)
	}
	if st := w.get("u1", "lone.example.com").Domain.Status; st != DomainStatusFailed {
		t.Errorf("the lone domain is %s", st)
	}
	if err := w.ReleaseDemotions(ctx); err != nil {
		t.Fatal(err)
	}
	w.check("u1", name(0), isMissing, nil)
	if st := w.get("u1", name(0)).Domain.Status; st != DomainStatusFailed {
		t.Errorf("released, and %s", st)
	}
	all(n, isMatch)
	if held, _ := w.DemotionsHeld(ctx); held != 0 {
		t.Errorf("held %d after all came back", held)
	}
}

// A user who imports very many domains delays nobody else's first check, and
// no lane starves.
func TestFairness(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for i := range paceBurst + 100 {
		w.create("bulk", fmt.Sprintf("d%d.example.com", i))
	}
	w.clock.forward(time.Hour)
	for i := range 40 {
		w.create("small", fmt.Sprintf("s%d.example.com", i))
	}
	var took []dnscheck.Job
	small := 0
	for range 3 {
		jobs, err := w.Due(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, jobs...)
	}
	for _, j := range took {
		if j.Target.Domain[0] == 's' {
			small++
		}
	}
	if small != 40 {
		t.Errorf("%d of 40 of the other user's domains, behind an import of 300", small)
	}
	if len(took) != 300 {
		t.Errorf("claimed %d", len(took))
	}
	slices.SortFunc(took, func(a, b dnscheck.Job) int { return int(a.DomainID - b.DomainID) })
	if len(slices.CompactFunc(took, func(a, b dnscheck.Job) bool { return a.DomainID == b.DomainID })) != 300 {
		t.Error("a domain was claimed twice")
	}
	rest, err := w.Due(ctx, 100)
	if err != nil || len(rest) != 40 {
		t.Errorf("claimed %d of the last 40, %v", len(rest), err)
	}
}
