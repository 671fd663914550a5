package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// What a diagnosis found is told until the record looks different.
func TestDiagnosisOutlivesPlainLooks(t *testing.T) {
	thorough := dnscheck.Result{
		Verdict: isMissing, Code: "dmarc_at_apex", Detail: "detail", Hint: "hint", Observed: []string{"one"},
		Warnings:  []dnscheck.Warning{{Code: "name_doubled", Detail: "there"}},
		Diagnosed: true, Situation: 7,
	}
	plain := dnscheck.Result{Verdict: isMissing, Code: "dmarc_missing", Detail: "plain", Observed: []string{"one"}, Situation: 7}
	other := plain
	other.Situation = 9
	unknown := dnscheck.Result{Verdict: isUnknown, Code: "dns_servfail", Detail: "none", Situation: -1}
	bare := plain
	bare.Situation = 0
	for _, tt := range []struct {
		name  string
		looks []dnscheck.Result
		code  string
		warns int
		knows int64 // what the next check is told
	}{
		{"the same again", []dnscheck.Result{thorough, plain, plain}, "dmarc_at_apex", 1, 7},
		{"something else", []dnscheck.Result{thorough, other}, "dmarc_missing", 0, 9},
		{"something else and back", []dnscheck.Result{thorough, other, plain}, "dmarc_missing", 0, 7},
		{"diagnosed again", []dnscheck.Result{plain, thorough}, "dmarc_at_apex", 1, 7},
		{"no answer between", []dnscheck.Result{thorough, unknown, plain}, "dmarc_missing", 0, 7},
		{"no answer last", []dnscheck.Result{thorough, unknown}, "dns_servfail", 1, -1},
		{"no situation given", []dnscheck.Result{bare, thorough, bare}, "dmarc_missing", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.create("u1", "customer.com")
			for _, r := range tt.looks {
				w.clock.forward(time.Minute)
				w.seen("u1", "customer.com", dnscheck.PurposeDMARC, r)
			}
			got := record(w.get("u1", "customer.com"), dnscheck.PurposeDMARC)
			if got.Code != tt.code || len(got.Warnings) != tt.warns || !got.LastCheckedAt.Equal(w.clock.now()) {
				t.Errorf("code %q, warnings %v, looked at %v", got.Code, got.Warnings, got.LastCheckedAt)
			}
			x, err := w.Target(context.Background(), tenant("u1"), "customer.com")
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(x.Records, func(x dnscheck.Expectation) bool { return x.ID == got.ID })
			if x.Records[i].Situation != tt.knows {
				t.Errorf("the next check is told %d, want %d", x.Records[i].Situation, tt.knows)
			}
		})
	}
}

// seen records one look at one record.
func (w *world) seen(user, name string, p dnscheck.Purpose, r dnscheck.Result) {
	w.tb.Helper()
	job, err := w.ClaimDomain(context.Background(), tenant(user), name)
	if err != nil {
		w.tb.Fatal(err)
	}
	for _, x := range job.Target.Records {
		if x.Purpose == p {
			r.ID, r.Purpose, r.Name = x.ID, x.Purpose, x.Name
		}
	}
	if err := w.Record(context.Background(), job, dnscheck.Report{Domain: name, Results: []dnscheck.Result{r}}); err != nil {
		w.tb.Fatal(err)
	}
}

// Only scheduled checks that learn nothing put the next one off.
func TestUnknownOnDemandIsNotPatience(t *testing.T) {
	for onDemand, want := range map[bool]time.Duration{true: time.Minute, false: 16 * time.Minute} {
		w := newWorld(t)
		w.create("u1", "customer.com")
		w.check("u1", "customer.com", isMatch, nil)
		for range 5 {
			job, err := w.ClaimDomain(context.Background(), tenant("u1"), "customer.com")
			if err != nil {
				t.Fatal(err)
			}
			job.OnDemand = onDemand
			if err := w.Record(context.Background(), job, report(job, isUnknown, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.get("u1", "customer.com").Domain.NextCheckAt.Sub(w.clock.now()); got != want {
			t.Errorf("on demand %v: the next look is %v away, want %v", onDemand, got, want)
		}
	}
}
