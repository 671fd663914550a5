package store

import "time"

// Schedule holds the operator's times. All schedules scale with Unit; all
// times of the evidence against a record scale with DemoteAfter.
type Schedule struct {
	Unit        time.Duration // DOMAIND_CHECK_MIN; 0 means one minute
	DemoteAfter time.Duration // DOMAIND_DEMOTE_AFTER; 0 means 24 h
	PendingFor  time.Duration // DOMAIND_PENDING_FOR; 0 means 72 h
}

func (s Schedule) withDefaults() Schedule {
	if s.Unit <= 0 {
		s.Unit = time.Minute
	}
	if s.DemoteAfter <= 0 {
		s.DemoteAfter = 24 * time.Hour
	}
	if s.PendingFor <= 0 {
		s.PendingFor = 72 * time.Hour
	}
	return s
}

// lease is how long a claimed check belongs to whoever claimed it.
const lease = 90 * time.Second

// The lanes of the due queue.
const (
	laneNone     = -1 // never due: a deleted domain
	lanePending  = 0  // not verified, or degraded
	laneVerified = 1
	laneBulk     = 2 // not verified, and one of a mass import
)

// In units of the schedule, which is a minute unless the operator says so.
const (
	unitsHour = 60
	unitsDay  = 24 * unitsHour
	unitsWeek = 7 * unitsDay

	unitsMX       = 6 * unitsHour // between two looks at a verified MX
	unitsFull     = unitsDay      // between two looks at all of a verified domain
	unitsDegraded = 15
)

// pendingSteps are the ages at which a new domain is looked at.
func pendingSteps() []int { return []int{0, 1, 2, 5, 10, 20, 40, 60} }

// unitsUnknown is where the steps 1, 2, 4 … of an unknown verdict end.
const unitsUnknown = 60

// spacing is how far apart two looks must be to count as two: 10 min of 24 h.
func (s Schedule) spacing() time.Duration { return s.DemoteAfter / 144 }

// contest is how long the key of a contested name's holder must be absent, and
// how often it is looked for: 1 h of 24 h.
func (s Schedule) contest() time.Duration { return s.DemoteAfter / 24 }

// negative is how long an unconfirmed look stays unconfirmed by another: for
// as long as a cache may answer it, and 3 h of 24 h at most (RFC 2308 section
// 5). Asking twice in a row proves nothing, whatever the answer says: one unit
// of the schedule lies between, or less where demotions are set to be quick.
func (s Schedule) negative(ttl time.Duration) time.Duration {
	return max(min(s.Unit, s.spacing()/10), min(ttl, s.DemoteAfter/8))
}

// span is how far apart the first and the last look against a record must be:
// twice the TTL that others may still hold it for, between 24 and 48 h of 24 h.
func (s Schedule) span(ttl time.Duration) time.Duration {
	return max(s.DemoteAfter, min(2*ttl, 2*s.DemoteAfter))
}

func (s Schedule) units(n int) time.Duration { return time.Duration(n) * s.Unit }

// plan is what the next check depends on.
type plan struct {
	Status       DomainStatus
	Degraded     bool
	PendingSince time.Time
	VerifiedAt   time.Time
	FullAt       time.Time // when all records are due, of a verified domain
	Full         bool      // this check looked at all records
	Unknowns     int       // checks in a row that learned nothing of some record
	Suspect      time.Time // the latest unconfirmed bad look; zero: none
	SuspectTTL   time.Duration
	Contested    bool
	Bulk         bool
	// RotatingSince is when a second DKIM key was first asked for that has not
	// been seen; it is looked for as often as a new domain. Zero: none.
	RotatingSince time.Time
}

// slot is where the next check stands.
type slot struct {
	Lane   int
	At     time.Time
	FullAt time.Time
}

// next says when to look again. r, from 0 to below 1, spreads it by ±10 %.
func (s Schedule) next(p plan, now time.Time, r float64) slot {
	wait := s.usual(p, now)
	if !p.RotatingSince.IsZero() {
		wait = min(wait, s.whilePending(now.Sub(p.RotatingSince)))
	}
	if p.Unknowns > 0 {
		wait = s.afterUnknown(p, wait)
	}
	wait = time.Duration(float64(wait) * (0.9 + 0.2*r))
	out := slot{Lane: p.lane(), At: now.Add(wait), FullAt: p.FullAt}
	if p.Contested {
		out.At = earlier(out.At, now.Add(s.contest()+time.Duration(r*float64(s.contest())/10)))
	}
	if !p.Suspect.IsZero() {
		// Not before what it saw has left the caches: earlier proves nothing.
		confirm := later(p.Suspect.Add(s.negative(p.SuspectTTL)), now.Add(s.Unit))
		out.At = earlier(out.At, confirm.Add(time.Duration(r*float64(s.Unit)/10)))
	}
	if p.Full || p.Status != DomainStatusActive {
		out.FullAt = now.Add(s.units(unitsFull) * 9 / 10)
	}
	return out
}

func (p plan) lane() int {
	switch {
	case p.Status == DomainStatusActive && !p.Degraded && p.Suspect.IsZero() && !p.Contested && p.RotatingSince.IsZero():
		return laneVerified
	case p.Bulk && p.Status != DomainStatusActive:
		return laneBulk
	default:
		return lanePending
	}
}

func (s Schedule) usual(p plan, now time.Time) time.Duration {
	switch {
	case p.Status != DomainStatusActive:
		return s.whilePending(now.Sub(p.PendingSince))
	case p.Degraded:
		return s.units(unitsDegraded)
	default:
		return s.units(unitsMX) // whoever looks decides whether at all records
	}
}

// whilePending gives the time from one age to the next step.
func (s Schedule) whilePending(age time.Duration) time.Duration {
	for _, step := range pendingSteps() {
		// Jitter may have brought the last look forward, to just before a step.
		if wait := s.units(step) - age; wait > max(s.Unit/4, s.units(step)*3/20) {
			return wait
		}
	}
	switch {
	case age < s.units(unitsDay):
		return s.units(unitsHour)
	case age < 2*s.units(unitsWeek):
		return s.units(unitsHour * 6)
	default:
		return s.units(unitsDay)
	}
}

// afterUnknown asks again soon, then ever slower. A domain that never was
// verified goes back to its usual, slower pace in the end.
func (s Schedule) afterUnknown(p plan, usual time.Duration) time.Duration {
	backoff := s.units(unitsUnknown)
	if n := p.Unknowns - 1; n < 6 {
		backoff = s.units(1 << n)
	}
	if p.Status != DomainStatusActive && backoff >= s.units(unitsUnknown) {
		return max(backoff, usual)
	}
	if p.Degraded {
		return min(backoff, usual)
	}
	return backoff
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// full reports whether a check claimed now looks at all records: only the MX of
// a domain that has been verified for a week is looked at more often.
func (s Schedule) full(p plan, now time.Time) bool {
	return p.lane() != laneVerified ||
		now.Sub(p.VerifiedAt) < s.units(unitsWeek) ||
		!now.Before(p.FullAt)
}
