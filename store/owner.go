package store

import (
	"context"
	"errors"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// Who holds a name. Many users may claim one; MX, SPF and DMARC are the same
// text for all and prove nothing. A claim proves itself by its own DKIM key in
// DNS, and takes a name only in the transaction that records a look which saw
// that key. A mark may take a free name, and never one that another holds.
//
// The statements of this file, and none beside them, look across users. They
// write the holder's contest and, at a hand-over, the loser's standing; no row
// of one user is ever shown to another.

// sight is what a check showed of a claim's own DKIM key.
type sight int

const (
	sightNone    sight = iota // nothing was learned
	sightPresent              // the key is in DNS
	sightAbsent               // a look that counts did not find it
)

// sightOf reads a verdict on a DKIM record as evidence of who publishes.
// A conflict means that our key is there, beside something that defeats it.
func sightOf(v dnscheck.Verdict, counted bool) sight {
	switch {
	case v == dnscheck.VerdictMatch:
		return sightPresent
	case counted && (v == dnscheck.VerdictMissing || v == dnscheck.VerdictMismatch):
		return sightAbsent
	default:
		return sightNone
	}
}

// lostProof reports whether a contested holder has lost its proof: its key was
// absent twice, far enough apart, both times after the contest began. What was
// missing before, when nobody had told the holder of a rival, does not count.
func (s Schedule) lostProof(c claim) bool {
	return !c.ContestedAt.IsZero() && !c.AbsentFirst.IsZero() && !c.AbsentFirst.Before(c.ContestedAt) &&
		c.AbsentLast.Sub(c.AbsentFirst) >= s.contest()
}

// take makes a claim the holder, with nothing left of what it held before.
func (c *claim) take() {
	c.Holder, c.HeldByOther = true, false
	c.ContestedAt, c.AbsentFirst, c.AbsentLast = time.Time{}, time.Time{}, time.Time{}
}

// letGo ends what a claim held.
func (c *claim) letGo() {
	c.Holder = false
	c.ContestedAt, c.AbsentFirst, c.AbsentLast = time.Time{}, time.Time{}, time.Time{}
}

// ownByLook applies what a check saw of the claim's own key.
func (x *tx) ownByLook(c *claim, saw sight) error {
	switch saw {
	case sightPresent:
		c.Proven = true
		c.AbsentFirst, c.AbsentLast = time.Time{}, time.Time{}
		if c.Holder {
			return nil
		}
		return x.contend(c)
	case sightAbsent:
		if c.AbsentFirst.IsZero() || c.AbsentFirst.Before(c.ContestedAt) {
			c.AbsentFirst = x.now
		}
		c.AbsentLast = x.now
		if c.Holder {
			if x.s.schedule.lostProof(*c) {
				return x.wakeRivals(*c)
			}
			return nil
		}
		if c.Proven {
			c.Proven, c.HeldByOther = false, false
			return x.endContest(*c)
		}
	}
	return nil
}

// contend is a claim whose key was just seen, on a name that it does not hold.
func (x *tx) contend(c *claim) error {
	holder, err := x.holderOf(c.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		c.take()
		return nil
	case err != nil:
		return err
	}
	var reason string
	switch {
	case !holder.Proven:
		reason = "another claim proved the name by its DKIM key; this one stood on marks"
	case x.s.schedule.lostProof(holder):
		reason = "another claim proved the name by its DKIM key; this one's key is no longer in DNS"
	default:
		c.HeldByOther = true
		return x.contest(holder)
	}
	if err := x.unseat(holder, reason); err != nil {
		return err
	}
	c.take()
	return nil
}

// ownByMark lets a claim that stands on an admin's marks take a free name, and
// lets go of one that neither a proof nor a mark holds.
func (x *tx) ownByMark(c *claim, lines []line) error {
	p := parts(lines)
	if c.Holder {
		if c.Proven || dkimMarked(p) {
			return nil
		}
		c.letGo()
		return x.wakeRivals(*c)
	}
	if c.Proven {
		return nil // only a look decides
	}
	if !entitled(p, false) {
		c.HeldByOther = false
		return nil
	}
	_, err := x.holderOf(c.Name)
	if errors.Is(err, ErrNotFound) {
		c.take()
		return nil
	}
	c.HeldByOther = err == nil
	return err
}

func (x *tx) holderOf(name string) (claim, error) {
	c, err := scanClaim(x.queryRow(context.Background(), `SELECT `+claimColumns+` FROM domain
		WHERE name = ? AND holder = 1`, name))
	return c, wrap("read holder", err)
}

// contest tells the holder, once, and has it checked soon.
func (x *tx) contest(holder claim) error {
	if !holder.ContestedAt.IsZero() {
		return nil
	}
	holder.ContestedAt = x.now
	holder.NextCheckAt, holder.Lane = earlier(holder.NextCheckAt, x.now), lanePending
	if err := x.putClaim(holder); err != nil {
		return err
	}
	return x.event(holder, Event{
		Type: EventDomainContested, Actor: actorDNS,
		Detail: "another claim's DKIM key is in DNS; keep yours published to keep the name",
	})
}

// unseat takes the name from its holder.
func (x *tx) unseat(holder claim, reason string) error {
	lines, err := x.lines(holder)
	if err != nil {
		return err
	}
	was := holder.Status
	holder.letGo()
	holder.Proven = false
	holder.HeldByOther = entitled(parts(lines), false)
	holder.stand(stand(parts(lines), false, false), x.now)
	holder.NextCheckAt, holder.Lane = x.now, lanePending
	if err := x.putClaim(holder); err != nil {
		return err
	}
	return x.event(holder, Event{
		Type: EventDomainLost, Actor: actorDNS, From: string(was), To: string(holder.Status), Detail: reason,
	})
}

// wakeRivals makes the proven claims on a name due: their next look decides.
func (x *tx) wakeRivals(c claim) error {
	_, err := x.exec(`UPDATE domain SET next_check_at = ?, lane = ? WHERE name = ? AND held_by_other = 1
		AND deleted_at = 0 AND next_check_at > ? AND id <> ?`, ms(x.now), lanePending, c.Name, ms(x.now), c.ID)
	return wrap("wake rivals", err)
}

// endContest tells the holder's schedule that no proven rival is left.
func (x *tx) endContest(gone claim) error {
	_, err := x.exec(`UPDATE domain SET contested_at = 0 WHERE name = ? AND holder = 1 AND NOT EXISTS (
		SELECT 1 FROM domain o WHERE o.name = ? AND o.held_by_other = 1 AND o.proven = 1 AND o.id <> ?)`,
		gone.Name, gone.Name, gone.ID)
	return wrap("end contest", err)
}

// stand applies what the records make of a claim.
func (c *claim) stand(st standing, now time.Time) {
	if c.Status != st.Status {
		if st.Status == DomainStatusActive {
			c.VerifiedAt, c.Bulk = now, false
		}
		if c.Status == DomainStatusActive {
			c.PendingSince = now // looked at often again, as a new one is
		}
	}
	if c.Status != st.Status || c.Degraded != st.Degraded ||
		c.InboundReady != st.Inbound || c.SendingReady != st.Send {
		c.UpdatedAt = now
	}
	c.Status, c.Degraded = st.Status, st.Degraded
	c.InboundReady, c.SendingReady = st.Inbound, st.Send
	switch {
	case st.Degraded && c.DegradedAt.IsZero():
		c.DegradedAt = now
	case !st.Degraded && st.Status != DomainStatusFailed:
		c.DegradedAt = time.Time{}
	}
	if !st.Degraded {
		c.Held = false
	}
}

// derive brings a claim in line with its records and its ownership, and writes
// the event of a change, which is the actor's doing.
func (x *tx) derive(c *claim, lines []line, actor string) error {
	was := c.Status
	c.stand(stand(parts(lines), c.Holder, c.Proven), x.now)
	if c.Status == was {
		return nil
	}
	e := Event{Actor: actor, From: string(was), To: string(c.Status)}
	switch {
	case c.Status == DomainStatusActive:
		e.Type = EventDomainActivated
	case c.Status == DomainStatusFailed:
		e.Type = EventDomainFailed
	case was == DomainStatusActive:
		e.Type = EventDomainSuspended
	default:
		return nil // failed to pending: a record was handed back, and says so
	}
	return x.event(*c, e)
}
