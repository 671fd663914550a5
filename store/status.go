package store

import (
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// What the status machine does not leave to the operator.
const (
	// demoteLooks is how many looks that count must speak against a verified
	// record before it fails.
	demoteLooks = 3
)

// state is what moves when a record is looked at or marked. The functions of
// this file are pure: the transaction that applies them writes the event.
type state struct {
	Status       RecordStatus
	Override     bool
	Degraded     bool
	VerifiedAt   time.Time
	PendingSince time.Time
	evidence
}

// evidence is what speaks against a record since it last matched.
type evidence struct {
	// Bad counts the looks that count; First and Last are when they were.
	Bad         int
	First, Last time.Time
	// Suspect is a bad look that nothing has confirmed yet, and SuspectTTL how
	// long a cache may have kept what it saw.
	Suspect    time.Time
	SuspectTTL time.Duration
	// MatchTTL is the TTL of the last match: for so long others may hold it.
	MatchTTL time.Duration
	// Looks counts all bad looks in a row, those that do not count too: it
	// decides nothing here, but how thoroughly the next check explains.
	Looks int
}

// look is what one check showed of one record, as far as it moves anything.
type look struct {
	Verdict   dnscheck.Verdict
	Confirmed bool
	TTL       time.Duration
	At        time.Time
}

// outcome says what a look did beside moving the state.
type outcome struct {
	// Event is the type of the event to write; "" for no real change.
	Event string
	// Counted says that a bad look counted as evidence.
	Counted bool
	// Demote says that the evidence is enough for failed. The caller asks the
	// sweep guard, and applies lose.
	Demote bool
}

// see applies one look. An unknown verdict changes nothing at all, and nor
// does any look at a disabled record.
func (s Schedule) see(r state, l look) (state, outcome) {
	switch {
	case r.Status == RecordStatusDisabled, l.Verdict == dnscheck.VerdictUnknown:
		return r, outcome{}
	case l.Verdict == dnscheck.VerdictMatch:
		return match(r, l)
	case l.Verdict.Bad():
		return s.bad(r, l)
	default:
		return r, outcome{}
	}
}

func match(r state, l look) (state, outcome) {
	r.evidence = evidence{MatchTTL: l.TTL}
	if r.Override {
		return r, outcome{}
	}
	var o outcome
	switch {
	case r.Status != RecordStatusVerified:
		r.Status, r.VerifiedAt = RecordStatusVerified, l.At
		o.Event = EventRecordVerified
	case r.Degraded:
		o.Event = EventRecordRestored
	}
	r.Degraded = false
	return r, o
}

func (s Schedule) bad(r state, l look) (state, outcome) {
	before := r.Bad
	r.evidence = s.weigh(r.evidence, l)
	r.Looks++
	o := outcome{Counted: r.Bad > before}
	if r.Override {
		return r, o
	}
	switch r.Status {
	case RecordStatusPending:
		if l.At.Sub(r.PendingSince) >= s.PendingFor {
			r.Status = RecordStatusFailed
			o.Event = EventRecordFailed
		}
	case RecordStatusVerified:
		if o.Counted && !r.Degraded {
			r.Degraded = true
			o.Event = EventRecordDegraded
		}
		o.Demote = r.Degraded && s.enough(r.evidence)
	}
	return r, o
}

// lose is the demotion that see asked for.
func lose(r state) state {
	r.Status, r.Degraded = RecordStatusFailed, false
	return r
}

// weigh adds a bad look to the evidence. A look that was confirmed from a
// second vantage counts at once; another counts, at its own time, when a bad
// look follows it after whatever it saw has left every cache.
func (s Schedule) weigh(e evidence, l look) evidence {
	if !e.Suspect.IsZero() && l.At.Sub(e.Suspect) >= s.negative(e.SuspectTTL) {
		e = s.count(e, e.Suspect)
		e.Suspect, e.SuspectTTL = time.Time{}, 0
	}
	switch {
	case l.Confirmed:
		e = s.count(e, l.At)
		e.Suspect, e.SuspectTTL = time.Time{}, 0
	case e.Suspect.IsZero():
		e.Suspect, e.SuspectTTL = l.At, l.TTL
	}
	return e
}

// count adds one look that counts. Looks closer together than the spacing are
// one: pressing a button often proves nothing.
func (s Schedule) count(e evidence, at time.Time) evidence {
	if e.Bad > 0 && at.Sub(e.Last) < s.spacing() {
		return e
	}
	if e.Bad == 0 {
		e.First = at
	}
	e.Bad++
	e.Last = at
	return e
}

// enough reports whether the evidence spans the time that a demotion needs.
func (s Schedule) enough(e evidence) bool {
	return e.Bad >= demoteLooks && e.Last.Sub(e.First) >= s.span(e.MatchTTL)
}

// applyMark is an admin's word: it sticks until a mark "pending" hands the
// record back to DNS.
func applyMark(r state, status RecordStatus, at time.Time) state {
	r.evidence = evidence{MatchTTL: r.MatchTTL}
	r.Override = status != RecordStatusPending
	r.Degraded = false
	switch status {
	case RecordStatusVerified:
		if r.Status != RecordStatusVerified {
			r.VerifiedAt = at
		}
	case RecordStatusPending:
		r.PendingSince = at
	}
	r.Status = status
	return r
}

// part is what a domain's status needs to know of one record.
type part struct {
	Purpose  dnscheck.Purpose
	Status   RecordStatus
	Required bool
	Override bool
	Degraded bool
}

// standing is what a domain's records make of it.
type standing struct {
	Status        DomainStatus
	Inbound, Send bool
	Degraded      bool
}

// stand derives a domain's status from its records. holder says that this
// claim holds the name: no other can be active, or take or send mail. proven
// says that its own DKIM key was seen in DNS.
func stand(parts []part, holder, proven bool) standing {
	out := standing{Status: DomainStatusPending}
	switch {
	case entitled(parts, proven) && holder:
		out.Status = DomainStatusActive
	case anyFailed(parts):
		out.Status = DomainStatusFailed
	}
	for _, p := range parts {
		out.Degraded = out.Degraded || p.Degraded
	}
	owned := holder && (proven || dkimMarked(parts)) && stands(parts, dnscheck.PurposeDKIM)
	out.Inbound = owned && stands(parts, dnscheck.PurposeMX)
	out.Send = owned && stands(parts, dnscheck.PurposeSPF)
	return out
}

// entitled reports whether the records alone would make the domain active.
func entitled(parts []part, proven bool) bool {
	verified := false
	for _, p := range parts {
		if !p.Required {
			continue
		}
		if p.Status != RecordStatusVerified && p.Status != RecordStatusDisabled {
			return false
		}
		verified = verified || p.Status == RecordStatusVerified
	}
	return verified && (proven || dkimMarked(parts))
}

func anyFailed(parts []part) bool {
	for _, p := range parts {
		if p.Required && p.Status == RecordStatusFailed {
			return true
		}
	}
	return false
}

// dkimMarked reports whether an admin vouched for the DKIM record.
func dkimMarked(parts []part) bool {
	for _, p := range parts {
		if p.Purpose == dnscheck.PurposeDKIM && p.Required && p.Override &&
			(p.Status == RecordStatusVerified || p.Status == RecordStatusDisabled) {
			return true
		}
	}
	return false
}

// stands reports whether what a purpose needs is there.
func stands(parts []part, purpose dnscheck.Purpose) bool {
	found := false
	for _, p := range parts {
		if p.Purpose != purpose || !p.Required {
			continue
		}
		if p.Status != RecordStatusVerified && p.Status != RecordStatusDisabled {
			return false
		}
		found = true
	}
	return found
}
