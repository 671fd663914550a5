package store

import (
	"context"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

func TestContest(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	noKey := verdicts{dnscheck.PurposeDKIM: isMissing}
	w.create("old", "customer.com")
	w.check("old", "customer.com", isMatch, nil)
	w.create("new", "customer.com")
	w.check("new", "customer.com", isMatch, noKey)
	if d := w.get("new", "customer.com").Domain; d.HeldByOther || d.Status != DomainStatusPending {
		t.Fatalf("unproven, and told of another: %+v", d)
	}
	w.check("new", "customer.com", isMatch, nil)
	w.check("new", "customer.com", isMatch, nil)
	if d := w.get("new", "customer.com").Domain; !d.HeldByOther || d.Status != DomainStatusPending {
		t.Fatalf("proven on a held name: %+v", d)
	}
	if n := count(w.events("old", "customer.com"), EventDomainContested); n != 1 {
		t.Errorf("%d domain.contested events", n)
	}
	jobs, err := w.Due(ctx, 10)
	if err != nil || len(jobs) != 1 || jobs[0].Target.Domain != "customer.com" {
		t.Fatalf("the contested holder is not due: %+v, %v", jobs, err)
	}
	w.check("old", "customer.com", isMatch, noKey)
	w.check("new", "customer.com", isMatch, nil)
	if d := w.get("old", "customer.com").Domain; d.Status != DomainStatusActive {
		t.Fatalf("lost after one look: %+v", d)
	}
	w.clock.forward(time.Hour)
	w.check("old", "customer.com", isMatch, noKey)
	if d := w.get("old", "customer.com").Domain; d.Status != DomainStatusActive {
		t.Fatalf("lost without the newcomer's proof: %+v", d)
	}
	w.check("new", "customer.com", isMatch, nil)
	got, lost := w.get("new", "customer.com").Domain, w.get("old", "customer.com").Domain
	if got.Status != DomainStatusActive || got.HeldByOther || lost.Status != DomainStatusPending || lost.InboundReady {
		t.Fatalf("handed over: new %+v, old %+v", got, lost)
	}
	if n := count(w.events("old", "customer.com"), EventDomainLost); n != 1 {
		t.Errorf("%d domain.lost events", n)
	}
}

// What was missing before anybody contested the name is not held against its
// holder: it was never told.
func TestContestCountsFromItsBegin(t *testing.T) {
	w := newWorld(t)
	noKey := verdicts{dnscheck.PurposeDKIM: isMissing}
	w.create("old", "customer.com")
	w.check("old", "customer.com", isMatch, nil)
	for range 3 {
		w.clock.forward(time.Hour)
		w.check("old", "customer.com", isMatch, noKey)
	}
	w.create("new", "customer.com")
	for range 2 {
		w.clock.forward(time.Hour)
		w.check("new", "customer.com", isMatch, nil)
		if d := w.get("old", "customer.com").Domain; d.Status != DomainStatusActive {
			t.Fatalf("lost by what was missing before the contest: %+v", d)
		}
		w.check("old", "customer.com", isMatch, noKey)
	}
	w.check("new", "customer.com", isMatch, nil)
	if d := w.get("new", "customer.com").Domain; d.Status != DomainStatusActive {
		t.Errorf("not handed over: %+v", d)
	}
}

// A rival that stands on a mark contests nothing, and the next one is told of
// anew.
func TestContestEndsWithTheRivalsProof(t *testing.T) {
	w := newWorld(t)
	w.create("old", "customer.com")
	w.check("old", "customer.com", isMatch, nil)
	dkim := record(w.create("new", "customer.com"), dnscheck.PurposeDKIM).ID
	for _, status := range []RecordStatus{RecordStatusDisabled, RecordStatusPending} {
		w.check("new", "customer.com", isMatch, nil)
		_, err := w.MarkRecord(context.Background(), tenant("new"), "customer.com", Mark{RecordID: dkim, Status: status})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.check("new", "customer.com", isMatch, nil)
	if n := count(w.events("old", "customer.com"), EventDomainContested); n != 2 {
		t.Errorf("%d domain.contested events, want 2", n)
	}
}

func TestDeleteFreesTheName(t *testing.T) {
	w := newWorld(t)
	w.create("old", "customer.com")
	w.check("old", "customer.com", isMatch, nil)
	w.create("new", "customer.com")
	w.check("new", "customer.com", isMatch, nil)
	w.clock.forward(time.Second)
	if err := w.DeleteDomain(context.Background(), tenant("old"), "customer.com"); err != nil {
		t.Fatal(err)
	}
	if d := w.get("new", "customer.com").Domain; d.Status == DomainStatusActive || !d.NextCheckAt.Equal(w.clock.now()) {
		t.Errorf("after the delete: %+v", d)
	}
	w.check("new", "customer.com", isMatch, nil)
	if d := w.get("new", "customer.com").Domain; d.Status != DomainStatusActive {
		t.Errorf("after a look: %+v", d)
	}
}

func TestProofTakesFromMarks(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	markAll := func(user string) {
		for _, r := range w.create(user, "customer.com").Records {
			_, err := w.MarkRecord(ctx, tenant(user), "customer.com", Mark{RecordID: r.ID, Status: RecordStatusVerified})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	markAll("marked")
	markAll("marked2")
	if d := w.get("marked2", "customer.com").Domain; d.Status != DomainStatusPending || !d.HeldByOther {
		t.Errorf("a mark took a held name: %+v", d)
	}
	w.create("proven", "customer.com")
	w.check("proven", "customer.com", isMatch, nil)
	if d := w.get("proven", "customer.com").Domain; d.Status != DomainStatusActive {
		t.Errorf("a proof did not take the name from marks: %+v", d)
	}
	if d := w.get("marked", "customer.com").Domain; d.Status != DomainStatusPending || !d.HeldByOther {
		t.Errorf("the marked one: %+v", d)
	}
	if n := count(w.events("marked", "customer.com"), EventDomainLost); n != 1 {
		t.Errorf("%d domain.lost events", n)
	}
}
