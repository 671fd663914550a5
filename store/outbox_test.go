package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// drain takes all events that wait, each after the one before of its domain.
func (w *world) drain() (list []EventJob) {
	w.tb.Helper()
	for {
		jobs, err := w.DueEvents(context.Background(), 3)
		if err != nil {
			w.tb.Fatal(err)
		}
		if len(jobs) == 0 {
			return list
		}
		for _, j := range jobs {
			if err := w.FinishEvent(context.Background(), j); err != nil {
				w.tb.Fatal(err)
			}
		}
		list = append(list, jobs...)
	}
}

func jobTypes(list []EventJob, domain string) (types []string) {
	for _, j := range list {
		if j.Domain == domain {
			types = append(types, j.Type)
		}
	}
	return types
}

// TestOutboxHoldsEachChangeOnce takes domains through their life, with looks
// that change nothing between, and wants the outbox to hold what the history does.
func TestOutboxHoldsEachChangeOnce(t *testing.T) {
	w := newWorld(t)
	w.c.SendEvents = true
	for _, name := range []string{"a.example.com", "b.example.com"} {
		w.create("u1", name)
		if _, created, err := w.CreateDomain(t.Context(), tenant("u1"), NewDomain{Name: name, Unicode: name}); err != nil || created {
			t.Fatal(created, err)
		}
		for range 2 {
			w.check("u1", name, dnscheck.VerdictMatch, nil)
		}
		for range 5 {
			w.clock.forward(13 * time.Hour)
			w.check("u1", name, dnscheck.VerdictMatch, map[dnscheck.Purpose]dnscheck.Verdict{dnscheck.PurposeSPF: dnscheck.VerdictMismatch})
		}
		w.check("u1", name, dnscheck.VerdictUnknown, nil)
		w.check("u1", name, dnscheck.VerdictMatch, nil)
	}
	want := map[string][]string{}
	for _, name := range []string{"a.example.com", "b.example.com"} {
		want[name] = w.events("u1", name)
		for _, once := range []string{EventDomainCreated, EventRecordDegraded, EventRecordLost} {
			if n := count(want[name], once); n != 1 {
				t.Errorf("%d %s in %v", n, once, want[name])
			}
		}
	}
	got := w.drain()
	for name, list := range want {
		types := jobTypes(got, name)
		slices.Sort(types)
		slices.Sort(list)
		if !slices.Equal(types, list) {
			t.Errorf("%s: outbox %v, history %v", name, types, list)
		}
	}
	for i, j := range got {
		if k := slices.IndexFunc(got, func(o EventJob) bool { return o.WebhookID() == j.WebhookID() }); k != i {
			t.Errorf("%s is sent twice", j.WebhookID())
		}
		if slices.ContainsFunc(got[:i], func(o EventJob) bool { return o.DomainID == j.DomainID && o.ID > j.ID }) {
			t.Errorf("%s comes after a later one", j.WebhookID())
		}
	}
}

// Without a webhook nothing piles up, and a change that is rolled back sends
// nothing.
func TestOutboxStaysEmpty(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "a.example.com")
	w.c.SendEvents = true
	if err := w.DeleteDomain(t.Context(), tenant("u2"), "a.example.com"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	err := w.write(t.Context(), func(x *tx) error {
		c, err := x.claimByName(tenant("u1"), "a.example.com")
		if err == nil {
			err = x.event(c, Event{Type: EventRouteUpdated})
		}
		return errors.Join(err, ErrStale)
	})
	if !errors.Is(err, ErrStale) {
		t.Fatal(err)
	}
	if next, err := w.NextEvent(t.Context()); err != nil || !next.IsZero() {
		t.Error(next, err)
	}
}

// An event outlives its domain, a stale claim finishes nothing, and what nobody
// sends goes after 8 days.
func TestOutboxClaims(t *testing.T) {
	w := newWorld(t)
	w.c.SendEvents = true
	w.create("u1", "a.example.com")
	if err := w.DeleteDomain(t.Context(), tenant("u1"), "a.example.com"); err != nil {
		t.Fatal(err)
	}
	first, err := w.DueEvents(t.Context(), 10)
	if err != nil || len(first) != 1 {
		t.Fatalf("%d events of one domain at a time: %v", len(first), err)
	}
	w.clock.forward(leaseEvent + time.Second)
	again, err := w.DueEvents(t.Context(), 10)
	if err != nil || len(again) != 1 || again[0].WebhookID() != first[0].WebhookID() {
		t.Fatal(again, err)
	}
	if err := w.RetryEvent(t.Context(), first[0], 1, w.clock.now()); !errors.Is(err, ErrStale) {
		t.Error("retried by the first claimer:", err)
	}
	if err := w.FinishEvent(t.Context(), first[0]); !errors.Is(err, ErrStale) {
		t.Error("finished by the first claimer:", err)
	}
	if err := w.FinishEvent(t.Context(), again[0]); err != nil {
		t.Error(err)
	}
	// As if another process had written it just as the one before it went.
	if err := w.write(t.Context(), func(x *tx) error {
		_, err := x.exec(`UPDATE outbox SET next_at = 0`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.WakeEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next, err := w.NextEvent(t.Context()); err != nil || next.IsZero() {
		t.Error("it was not woken:", err)
	}
	w.clock.forward(outboxFor - time.Hour)
	if n, err := w.DropEvents(t.Context()); err != nil || n != 0 {
		t.Error(n, err)
	}
	w.clock.forward(2 * time.Hour)
	if n, err := w.DropEvents(t.Context()); err != nil || n != 1 {
		t.Error(n, err)
	}
}
