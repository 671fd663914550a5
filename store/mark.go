package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/domaind/domaind/dnscheck"
)

// Mark is an admin's override of one record.
type Mark struct {
	RecordID int64
	Status   RecordStatus
	Observed *string // what the admin saw; nil keeps what is there
}

// MarkRecord sets a record's status by an admin's word and returns the domain.
// It sticks until a mark "pending" hands the record back to DNS; the checks go
// on and show what they find, but for a disabled record. ErrNotFound also when
// the record is not the domain's.
func (s *Store) MarkRecord(ctx context.Context, t Tenant, name string, m Mark) (Details, error) {
	var out Details
	err := s.write(ctx, func(x *tx) error {
		c, err := x.claimByName(t, name)
		if err != nil {
			return err
		}
		if err := x.mark(c, t, m); err != nil {
			return err
		}
		out, err = details(context.Background(), x, t, name)
		return err
	})
	if err != nil {
		return Details{}, fmt.Errorf("store: mark record: %w", err)
	}
	return out, nil
}

func (x *tx) mark(c claim, t Tenant, m Mark) error {
	lines, err := x.lines(c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(lines, func(r line) bool { return r.ID == m.RecordID })
	if i < 0 {
		return ErrNotFound
	}
	was, unproven := lines[i], false
	r := &lines[i]
	r.setState(applyMark(was.state(), m.Status, x.now))
	r.Situation = 0 // the next look says anew what it sees
	if m.Observed != nil {
		r.Observed = []string{*m.Observed}
	}
	if r.Status == RecordStatusDisabled {
		r.Code, r.Detail, r.Hint, r.Suggested, r.Warnings = "", "", "", "", nil
		if r.Purpose == dnscheck.PurposeDKIM && r.KeyState == keyActive {
			// Nobody looks for the key any more: from here the claim stands on
			// the mark alone.
			unproven, c.Proven = c.Proven, false
		}
	}
	if sameMark(was, *r) {
		return nil
	}
	if err := x.putLine(c, *r); err != nil {
		return err
	}
	if err := x.expect(c, lines); err != nil {
		return err
	}
	err = x.event(c, Event{
		Type: EventRecordMarked, Actor: t.Actor, RecordID: r.ID,
		From: string(was.Status), To: string(r.Status), Detail: string(r.Purpose) + " " + r.Name,
	})
	if err != nil {
		return err
	}
	if unproven && !c.Holder {
		if err := x.endContest(c); err != nil {
			return err
		}
	}
	return x.settleMark(c, lines, r.Status, t.Actor)
}

// settleMark derives the domain from its marked records.
func (x *tx) settleMark(c claim, lines []line, status RecordStatus, actor string) error {
	if err := x.ownByMark(&c, lines); err != nil {
		return err
	}
	if status == RecordStatusPending {
		c.NextCheckAt, c.PendingSince, c.Unknowns = x.now, x.now, 0
	}
	if err := x.derive(&c, lines, actor); err != nil {
		return err
	}
	c.Lane = c.plan(lines).lane()
	return x.putClaim(c)
}

func sameMark(a, b line) bool {
	return a.Status == b.Status && a.Override == b.Override && slices.Equal(a.Observed, b.Observed)
}
