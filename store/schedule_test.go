package store

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNext(t *testing.T) {
	const m, h, day = time.Minute, time.Hour, 24 * time.Hour
	s := Schedule{}.withDefaults()
	now := start.Add(100 * day)
	pending := func(age time.Duration) plan {
		return plan{Status: DomainStatusPending, PendingSince: now.Add(-age)}
	}
	active := plan{Status: DomainStatusActive, VerifiedAt: now.Add(-day)}
	with := func(p plan, change func(*plan)) plan {
		change(&p)
		return p
	}
	tests := []struct {
		name string
		plan plan
		wait time.Duration
		lane int
	}{
		{"at once, then after 1 min", pending(0), m, lanePending},
		{"2 min", pending(m), m, lanePending},
		{"5 min", pending(2 * m), 3 * m, lanePending},
		{"40 min", pending(20 * m), 20 * m, lanePending},
		{"a look just before its step is that step's", pending(38 * m), 22 * m, lanePending},
		{"hourly", pending(2 * h), h, lanePending},
		{"hourly to 24 h", pending(23 * h), h, lanePending},
		{"6-hourly", pending(25 * h), 6 * h, lanePending},
		{"daily", pending(15 * day), day, lanePending},
		{"failed as pending", with(pending(15*day), func(p *plan) { p.Status = DomainStatusFailed }), day, lanePending},
		{"bulk has its own lane", with(pending(0), func(p *plan) { p.Bulk = true }), m, laneBulk},
		{"active", active, 6 * h, laneVerified},
		{"degraded", with(active, func(p *plan) { p.Degraded = true }), 15 * m, lanePending},
		{"contested", with(active, func(p *plan) { p.Contested = true }), h + 3*m, lanePending},
		{"unknown once", with(active, func(p *plan) { p.Unknowns = 1 }), m, laneVerified},
		{"unknown thrice", with(active, func(p *plan) { p.Unknowns = 3 }), 4 * m, laneVerified},
		{"unknown for long", with(active, func(p *plan) { p.Unknowns = 99 }), h, laneVerified},
		{"unknown, and daily anyway", with(pending(15*day), func(p *plan) { p.Unknowns = 99 }), day, lanePending},
		{"a suspicion waits for the negative TTL", with(active, func(p *plan) {
			p.Suspect, p.SuspectTTL = now, 5*m
		}), 5*m + 3*time.Second, lanePending},
		{"and for a minute at least", with(active, func(p *plan) { p.Suspect = now }), m + 3*time.Second, lanePending},
		{"a rotation is looked for", with(active, func(p *plan) { p.RotatingSince = now }), m, lanePending},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.next(tt.plan, now, 0.5)
			if got.At.Sub(now) != tt.wait || got.Lane != tt.lane {
				t.Errorf("wait %v in lane %d, want %v in %d", got.At.Sub(now), got.Lane, tt.wait, tt.lane)
			}
		})
	}
}

func TestFull(t *testing.T) {
	s := Schedule{}.withDefaults()
	old := plan{Status: DomainStatusActive, VerifiedAt: start.Add(-8 * 24 * time.Hour), FullAt: start}
	for name, tt := range map[string]struct {
		plan plan
		at   time.Time
		want bool
	}{
		"only the MX between":       {old, start.Add(-time.Second), false},
		"all once a day":            {old, start, true},
		"all in the first week":     {plan{Status: DomainStatusActive, VerifiedAt: start, FullAt: start.Add(time.Hour)}, start, true},
		"all of a pending one":      {plan{Status: DomainStatusPending, FullAt: start.Add(time.Hour)}, start, true},
		"all of a degraded one":     {plan{Status: DomainStatusActive, Degraded: true, FullAt: start.Add(time.Hour)}, start, true},
		"all while a key is looked": {plan{Status: DomainStatusActive, RotatingSince: start, FullAt: start.Add(time.Hour)}, start, true},
	} {
		if got := s.full(tt.plan, tt.at); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Whatever the state, the next check is in the future, within reach, and
// halving the unit halves the wait.
func TestPropertyNextScales(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := time.Duration(rapid.IntRange(1, 120).Draw(t, "unit")) * time.Second
		age := rapid.IntRange(0, 30*24*60).Draw(t, "age")
		r := rapid.Float64Range(0, 0.999).Draw(t, "r")
		p := plan{
			Status:   rapid.SampledFrom([]DomainStatus{"pending", "active", "failed"}).Draw(t, "status"),
			Degraded: rapid.Bool().Draw(t, "degraded"), Unknowns: rapid.IntRange(0, 10).Draw(t, "unknowns"),
		}
		wait := func(unit time.Duration) time.Duration {
			s := Schedule{Unit: unit}.withDefaults()
			p := p
			p.PendingSince = start.Add(-time.Duration(age) * unit)
			return s.next(p, start, r).At.Sub(start)
		}
		one, two := wait(unit), wait(2*unit)
		if one < unit/5 || one > 1584*unit {
			t.Fatalf("waits %v at a unit of %v", one, unit)
		}
		if diff := two - 2*one; diff < -time.Microsecond || diff > time.Microsecond {
			t.Fatalf("%v at %v, %v at the double", one, unit, two)
		}
	})
}
