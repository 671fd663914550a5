package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// Record applies the report of a claimed domain: verdict, record status, domain
// status, ownership, events and the next check, in one transaction. ErrStale,
// and nothing is written, when the domain was claimed again, recorded or
// deleted since.
func (s *Store) Record(ctx context.Context, job dnscheck.Job, r dnscheck.Report) error {
	err := s.write(ctx, func(x *tx) error { return x.record(job, r) })
	if err != nil {
		return fmt.Errorf("store: record check: %w", err)
	}
	return nil
}

func (x *tx) record(job dnscheck.Job, r dnscheck.Report) error {
	if err := x.lockName(job.Target.Domain); err != nil {
		return err
	}
	var was string
	c, err := scanClaim(x.queryRow(context.Background(), `SELECT `+claimColumns+`, `+packedRecords+` FROM domain
		WHERE id = ? AND epoch = ? AND deleted_at = 0`, job.DomainID, job.Epoch), &was)
	if err = wrap("read domain", err); errors.Is(err, ErrNotFound) {
		return ErrStale
	} else if err != nil {
		return err
	}
	lines, err := x.lines(c)
	if err != nil {
		return err
	}
	k := checking{x: x, c: c, lines: lines, expected: was, full: true, onDemand: job.OnDemand}
	k.misled = was != pack(lines)
	if err := k.apply(r); err != nil {
		return err
	}
	return k.settle()
}

// checking applies one report to one claim.
type checking struct {
	x     *tx
	c     claim
	lines []line
	// expected is what checks look for, packed, and misled says that it is not
	// what they should.
	expected string
	misled   bool
	saw      sight
	unknown  bool // nothing was learned of some record
	learned  bool // something was learned of some record
	full     bool // all live records were looked at
	// onDemand says that somebody asked for the check.
	onDemand bool
}

func (k *checking) apply(r dnscheck.Report) error {
	for i := range k.lines {
		l := &k.lines[i]
		if l.Status == RecordStatusDisabled || l.KeyState == keyRetired {
			continue
		}
		j := slices.IndexFunc(r.Results, func(r dnscheck.Result) bool { return r.ID == l.ID })
		if j < 0 {
			k.full = false
			continue
		}
		if err := k.look(l, r.Results[j]); err != nil {
			return err
		}
	}
	return nil
}

// look applies the result of one record.
func (k *checking) look(l *line, r dnscheck.Result) error {
	before := l.Status
	state, out := k.x.s.schedule.see(l.state(), look{
		Verdict: r.Verdict, Confirmed: r.Confirmed, TTL: r.TTL, At: k.x.now,
	})
	l.setState(state)
	l.show(r, k.x.now)
	if r.Verdict == dnscheck.VerdictUnknown {
		k.unknown = true
	} else {
		k.learned = true
	}
	k.see(l, sightOf(r.Verdict, out.Counted))
	if out.Event != "" {
		if err := k.event(l, out.Event, before, r); err != nil {
			return err
		}
	}
	if out.Demote {
		if err := k.demote(l, r); err != nil {
			return err
		}
	}
	if l.KeyState == keyNext && r.Verdict == dnscheck.VerdictMatch && l.Status == RecordStatusVerified {
		return k.promote(l)
	}
	return nil
}

// see keeps the strongest sight of the claim's own key: during a rotation
// either of the two proves, and only the active one can be missed.
func (k *checking) see(l *line, s sight) {
	switch {
	case l.KeyState != keyActive && l.KeyState != keyNext:
	case s == sightPresent:
		k.saw = sightPresent
	case s == sightAbsent && l.KeyState == keyActive && k.saw == sightNone:
		k.saw = sightAbsent
	}
}

// demote fails a record, unless so many domains went bad together that the
// fault is more likely ours or a provider's than that of each customer.
func (k *checking) demote(l *line, r dnscheck.Result) error {
	if k.c.Status == DomainStatusActive {
		hold, err := k.x.guard(&k.c)
		if err != nil || hold {
			return err
		}
	}
	before := l.Status
	l.setState(lose(l.state()))
	return k.event(l, EventRecordLost, before, r)
}

func (k *checking) event(l *line, event string, before RecordStatus, r dnscheck.Result) error {
	detail := string(l.Purpose)
	if r.Code != "" {
		detail += ": " + r.Code
	}
	return k.x.event(k.c, Event{
		Type: event, Actor: actorDNS, RecordID: l.ID, From: string(before), To: string(l.Status), Detail: detail,
	})
}

// show keeps what a result says. A look that learned nothing leaves what is
// known of a verified record, and says why where there is nothing to keep. One
// that saw what is known, and asked no further, leaves what a diagnosis found.
func (r *line) show(res dnscheck.Result, now time.Time) {
	r.LastCheckedAt = now
	if res.Verdict == dnscheck.VerdictUnknown {
		if r.Status != RecordStatusVerified {
			r.Code, r.Detail, r.Hint = res.Code, res.Detail, res.Hint
			r.Situation = res.Situation
		}
		return
	}
	if !res.Diagnosed && res.Situation > 0 && res.Situation == r.Situation {
		return
	}
	r.Situation = res.Situation
	r.Code, r.Detail, r.Hint = res.Code, res.Detail, res.Hint
	r.Observed, r.Suggested, r.Warnings = res.Observed, res.Suggested, res.Warnings
}

// settle writes everything: the claim, its records, and when to look again.
func (k *checking) settle() error {
	x := k.x
	if k.learned {
		if err := k.conclude(); err != nil {
			return err
		}
	}
	k.c.LastCheckedAt = x.now
	k.c.Epoch++ // a report counts once
	k.c.Unknowns = k.unknowns()
	p := k.c.plan(k.lines)
	p.Full = k.full
	next := x.s.schedule.next(p, x.now, x.s.rand())
	k.c.Lane, k.c.NextCheckAt, k.c.FullAt = next.Lane, next.At, next.FullAt
	if k.misled {
		k.c.NextCheckAt = x.now
	}
	for _, l := range k.lines {
		if !l.LastCheckedAt.Equal(x.now) && l.KeyState != keyRetired {
			continue // not looked at
		}
		if err := x.putLine(k.c, l); err != nil {
			return err
		}
	}
	if pack(k.lines) != k.expected { // it rarely is
		if err := x.expect(k.c, k.lines); err != nil {
			return err
		}
	}
	return x.putClaim(k.c)
}

// unknowns is how many checks in a row have learned nothing of some record.
// Pressing a button often must not put the next look off.
func (k *checking) unknowns() int {
	switch {
	case !k.unknown:
		return 0
	case k.onDemand:
		return max(k.c.Unknowns, 1)
	}
	return k.c.Unknowns + 1
}

// conclude draws from the looks who holds the name, and what the claim is now.
func (k *checking) conclude() error {
	if err := k.x.ownByLook(&k.c, k.saw); err != nil {
		return err
	}
	if err := k.x.ownByMark(&k.c, k.lines); err != nil {
		return err
	}
	return k.x.derive(&k.c, k.lines, actorDNS)
}

// plan is what a claim's next check depends on.
func (c *claim) plan(lines []line) plan {
	p := plan{
		Status: c.Status, Degraded: c.Degraded, PendingSince: c.PendingSince, VerifiedAt: c.VerifiedAt,
		FullAt: c.FullAt, Unknowns: c.Unknowns, Contested: c.Holder && !c.ContestedAt.IsZero(), Bulk: c.Bulk,
	}
	for _, r := range lines {
		if r.KeyState == keyNext {
			p.RotatingSince = r.PendingSince
		}
		if r.Suspect.IsZero() || r.Override || r.KeyState == keyRetired || r.Status != RecordStatusVerified {
			continue
		}
		if r.Suspect.After(p.Suspect) {
			p.Suspect, p.SuspectTTL = r.Suspect, r.SuspectTTL
		}
	}
	return p
}
