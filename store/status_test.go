package store

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck"
)

// step is one look, some time after the one before.
type step struct {
	after     time.Duration
	verdict   dnscheck.Verdict
	confirmed bool
	ttl       time.Duration
}

func confirmed(after time.Duration, v dnscheck.Verdict) step {
	return step{after: after, verdict: v, confirmed: true, ttl: time.Minute}
}

func unconfirmed(after, ttl time.Duration) step {
	return step{after: after, verdict: dnscheck.VerdictMissing, ttl: ttl}
}

// walk applies steps from start, and returns the state and the events.
func walk(r state, steps []step) (state, []string) {
	s := Schedule{}.withDefaults()
	now := start
	var events []string
	for _, st := range steps {
		now = now.Add(st.after)
		var o outcome
		r, o = s.see(r, look{Verdict: st.verdict, Confirmed: st.confirmed, TTL: st.ttl, At: now})
		if o.Event != "" {
			events = append(events, o.Event)
		}
		if o.Demote {
			r = lose(r)
			events = append(events, EventRecordLost)
		}
	}
	return r, events
}

func TestSee(t *testing.T) {
	const h = time.Hour
	pending := state{Status: RecordStatusPending, PendingSince: start}
	verified := state{Status: RecordStatusVerified, PendingSince: start}
	longTTL := verified
	longTTL.MatchTTL = 20 * h
	weekTTL := verified
	weekTTL.MatchTTL = 7 * 24 * h
	failed := state{Status: RecordStatusFailed, PendingSince: start}
	sticky := func(st RecordStatus) state { return applyMark(pending, st, start) }
	missing, match, unknown := dnscheck.VerdictMissing, dnscheck.VerdictMatch, dnscheck.VerdictUnknown
	tests := []struct {
		name     string
		from     state
		steps    []step
		want     RecordStatus
		degraded bool
		events   []string
	}{
		{"one match promotes", pending, []step{confirmed(0, match)}, "verified", false, []string{EventRecordVerified}},
		{"a failed record comes back", failed, []step{confirmed(h, match)}, "verified", false, []string{EventRecordVerified}},
		{"pending stays pending", pending, []step{confirmed(71*h, missing)}, "pending", false, nil},
		{"pending fails after 72 h", pending, []step{confirmed(72*h, missing), confirmed(h, missing)}, "failed", false,
			[]string{EventRecordFailed}},
		{"unknown never fails a pending one", pending, []step{confirmed(99*h, unknown)}, "pending", false, nil},
		{"one bad look degrades", verified, []step{confirmed(h, missing)}, "verified", true, []string{EventRecordDegraded}},
		{"mismatch and conflict are bad too", verified, []step{confirmed(h, dnscheck.VerdictMismatch),
			confirmed(12*h, dnscheck.VerdictConflict), confirmed(12*h, missing)}, "failed", false,
			[]string{EventRecordDegraded, EventRecordLost}},
		{"a match restores", verified, []step{confirmed(h, missing), confirmed(h, match), confirmed(h, match)}, "verified", false,
			[]string{EventRecordDegraded, EventRecordRestored}},
		{"two looks are not enough", verified, []step{confirmed(h, missing), confirmed(48*h, missing)}, "verified", true,
			[]string{EventRecordDegraded}},
		{"three looks within a day are not", verified, []step{confirmed(h, missing), confirmed(11*h, missing),
			confirmed(12*h, missing)}, "verified", true, []string{EventRecordDegraded}},
		{"three looks over a day are", verified, []step{confirmed(h, missing), confirmed(12*h, missing),
			confirmed(12*h, missing)}, "failed", false, []string{EventRecordDegraded, EventRecordLost}},
		{"a match between starts over", verified, []step{confirmed(h, missing), confirmed(12*h, match),
			confirmed(h, missing), confirmed(12*h, missing), confirmed(11*h, missing)}, "verified", true,
			[]string{EventRecordDegraded, EventRecordRestored, EventRecordDegraded}},
		{"unknown between neither counts nor resets", verified, []step{confirmed(h, missing), confirmed(12*h, unknown),
			confirmed(h, missing), confirmed(12*h, missing)}, "failed", false, []string{EventRecordDegraded, EventRecordLost}},
		{"twice a TTL of 20 h is waited for", longTTL, []step{confirmed(h, missing), confirmed(13*h, missing),
			confirmed(26*h, missing)}, "verified", true, []string{EventRecordDegraded}},
		{"and no longer", longTTL, []step{confirmed(h, missing), confirmed(14*h, missing),
			confirmed(26*h, missing)}, "failed", false, []string{EventRecordDegraded, EventRecordLost}},
		{"a TTL of a week counts as 24 h", weekTTL, []step{confirmed(h, missing), confirmed(24*h, missing),
			confirmed(24*h, missing)}, "failed", false, []string{EventRecordDegraded, EventRecordLost}},
		{"looks within 10 min are one", verified, []step{confirmed(h, missing), confirmed(time.Minute, missing),
			confirmed(24*h, missing)}, "verified", true, []string{EventRecordDegraded}},
		{"one unconfirmed look does nothing", verified, []step{unconfirmed(h, h)}, "verified", false, nil},
		{"a second within the TTL does nothing", verified, []step{unconfirmed(h, h), unconfirmed(59*time.Minute, h)},
			"verified", false, nil},
		{"a second after the TTL confirms it", verified, []step{unconfirmed(h, h), unconfirmed(h, h)}, "verified", true,
			[]string{EventRecordDegraded}},
		{"no TTL makes two at once one", verified, []step{unconfirmed(h, 0), unconfirmed(time.Second, 0)},
			"verified", false, nil},
		{"a negative TTL is capped at 3 h", verified, []step{unconfirmed(h, 24*h), unconfirmed(3*h, h)}, "verified", true,
			[]string{EventRecordDegraded}},
		{"four unconfirmed looks make three", verified, []step{unconfirmed(h, h), unconfirmed(12*h, h),
			unconfirmed(12*h, h), unconfirmed(h, h)}, "failed", false, []string{EventRecordDegraded, EventRecordLost}},
		{"a match clears a suspicion", verified, []step{unconfirmed(h, h), confirmed(h, match), unconfirmed(h, h)},
			"verified", false, nil},
		{"marked verified sticks", sticky("verified"), []step{confirmed(h, missing), confirmed(24*h, missing),
			confirmed(24*h, missing)}, "verified", false, nil},
		{"marked failed sticks", sticky("failed"), []step{confirmed(h, match)}, "failed", false, nil},
		{"disabled sticks", sticky("disabled"), []step{confirmed(h, match), confirmed(99*h, missing)}, "disabled", false, nil},
		{"handed back, it is judged again", sticky("pending"), []step{confirmed(h, match)}, "verified", false,
			[]string{EventRecordVerified}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, events := walk(tt.from, tt.steps)
			if got.Status != tt.want || got.Degraded != tt.degraded || !slices.Equal(events, tt.events) {
				t.Errorf("got %s degraded %v %v, want %s degraded %v %v",
					got.Status, got.Degraded, events, tt.want, tt.degraded, tt.events)
			}
		})
	}
}

// The times of the evidence scale with DemoteAfter.
func TestEvidenceScales(t *testing.T) {
	s := Schedule{DemoteAfter: 144 * time.Second}.withDefaults()
	for _, tt := range []struct{ got, want time.Duration }{
		{s.spacing(), time.Second}, {s.contest(), 6 * time.Second}, {s.negative(time.Hour), 18 * time.Second},
		{s.span(0), 144 * time.Second}, {s.span(100 * time.Second), 200 * time.Second}, {s.span(time.Hour), 288 * time.Second},
	} {
		if tt.got != tt.want {
			t.Errorf("got %v, want %v", tt.got, tt.want)
		}
	}
}

func TestStand(t *testing.T) {
	rec := func(mx, spf, dkim, dmarc RecordStatus) []part {
		return []part{
			{Purpose: dnscheck.PurposeMX, Status: mx, Required: true},
			{Purpose: dnscheck.PurposeSPF, Status: spf, Required: true},
			{Purpose: dnscheck.PurposeDKIM, Status: dkim, Required: true},
			{Purpose: dnscheck.PurposeDMARC, Status: dmarc},
		}
	}
	marked := func(p []part, i int) []part {
		p[i].Override = true
		return p
	}
	const v, p, f, x = RecordStatusVerified, RecordStatusPending, RecordStatusFailed, RecordStatusDisabled
	tests := []struct {
		name           string
		parts          []part
		holder, proven bool
		want           standing
	}{
		{"nothing yet", rec(p, p, p, p), false, false, standing{Status: "pending"}},
		{"all seen", rec(v, v, v, p), true, true, standing{"active", true, true, false}},
		{"all seen, another holds the name", rec(v, v, v, v), false, true, standing{Status: "pending"}},
		{"never proven, not marked", rec(v, v, v, v), true, false, standing{Status: "pending"}},
		{"DKIM marked", marked(rec(v, v, v, v), 2), true, false, standing{"active", true, true, false}},
		{"DKIM disabled by an admin", marked(rec(v, v, x, v), 2), true, false, standing{"active", true, true, false}},
		{"another record marked proves nothing", marked(rec(v, v, v, v), 0), true, false, standing{Status: "pending"}},
		{"all disabled", marked(rec(x, x, x, x), 2), true, true, standing{"pending", true, true, false}},
		{"a required one failed", rec(f, v, v, v), true, true, standing{"failed", false, true, false}},
		{"an advisory one failed", rec(v, v, v, f), true, true, standing{"active", true, true, false}},
		{"MX pending", rec(p, v, v, v), true, true, standing{"pending", false, true, false}},
		{"SPF disabled", rec(v, x, v, v), true, true, standing{"active", true, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := stand(tt.parts, tt.holder, tt.proven); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func steps(t *rapid.T, verdicts ...dnscheck.Verdict) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			after:     time.Duration(rapid.IntRange(0, 100).Draw(t, "hours")) * time.Hour,
			verdict:   rapid.SampledFrom(verdicts).Draw(t, "verdict"),
			confirmed: rapid.Bool().Draw(t, "confirmed"),
			ttl:       time.Duration(rapid.IntRange(0, 90000).Draw(t, "ttl")) * time.Second,
		}
	}), 1, 12).Draw(t, "steps")
}

func anyState(t *rapid.T) state {
	from := state{
		Status:       rapid.SampledFrom([]RecordStatus{"pending", "verified", "failed", "disabled"}).Draw(t, "status"),
		PendingSince: start,
	}
	from.Override = from.Status == RecordStatusDisabled || rapid.Bool().Draw(t, "override")
	if from.Status == RecordStatusPending {
		from.Override = false
	}
	return from
}

func TestPropertyUnknownChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := anyState(t)
		got, events := walk(from, steps(t, dnscheck.VerdictUnknown))
		if got != from || len(events) > 0 {
			t.Fatalf("%+v became %+v with %v", from, got, events)
		}
	})
}

func TestPropertyNoSingleLookDemotes(t *testing.T) {
	bad := []dnscheck.Verdict{dnscheck.VerdictMissing, dnscheck.VerdictMismatch, dnscheck.VerdictConflict}
	rapid.Check(t, func(t *rapid.T) {
		from := state{Status: RecordStatusVerified, PendingSince: start}
		// After a match, whatever was before, one bad look and any unknowns.
		before := append(steps(t, append(bad, dnscheck.VerdictUnknown)...), confirmed(0, dnscheck.VerdictMatch))
		after := append([]step{{after: 99 * time.Hour, verdict: rapid.SampledFrom(bad).Draw(t, "bad"), confirmed: true}},
			steps(t, dnscheck.VerdictUnknown)...)
		if got, _ := walk(from, append(before, after...)); got.Status != RecordStatusVerified {
			t.Fatalf("became %s", got.Status)
		}
	})
}

func TestPropertyOneMatchPromotes(t *testing.T) {
	all := []dnscheck.Verdict{dnscheck.VerdictMissing, dnscheck.VerdictMismatch, dnscheck.VerdictConflict, dnscheck.VerdictUnknown}
	rapid.Check(t, func(t *rapid.T) {
		from := anyState(t)
		if from.Override {
			from = applyMark(from, RecordStatusPending, start)
		}
		got, _ := walk(from, append(steps(t, all...), confirmed(0, dnscheck.VerdictMatch)))
		if got.Status != RecordStatusVerified || got.Degraded || got.Bad != 0 {
			t.Fatalf("%+v became %+v", from, got)
		}
	})
}

func TestPropertyMarksStick(t *testing.T) {
	all := []dnscheck.Verdict{dnscheck.VerdictMatch, dnscheck.VerdictMissing, dnscheck.VerdictMismatch, dnscheck.VerdictConflict}
	rapid.Check(t, func(t *rapid.T) {
		status := rapid.SampledFrom([]RecordStatus{"verified", "failed", "disabled"}).Draw(t, "mark")
		from := applyMark(anyState(t), status, start)
		if got, _ := walk(from, steps(t, all...)); got.Status != status || !got.Override {
			t.Fatalf("%s became %s", status, got.Status)
		}
	})
}
