package store

import (
	"context"
	"fmt"
	"time"
)

// tombstoneFor is how long a deleted claim is kept for the same user.
const tombstoneFor = 30 * 24 * time.Hour

// sweepBatch bounds what one transaction of a sweep removes.
const sweepBatch = 100

// DeleteDomain ends a claim: its name is free at once, and its records and keys
// wait 30 days for the same user. ErrNotFound as for Domain.
func (s *Store) DeleteDomain(ctx context.Context, t Tenant, name string) error {
	err := s.write(ctx, func(x *tx) error {
		c, err := x.claimByName(t, name)
		if err != nil {
			return err
		}
		return x.bury(c, t.Actor)
	})
	if err != nil {
		return fmt.Errorf("store: delete domain: %w", err)
	}
	return nil
}

func (x *tx) bury(c claim, actor string) error {
	was := c
	c.DeletedAt, c.UpdatedAt = x.now, x.now
	c.Holder, c.Proven, c.HeldByOther = false, false, false
	c.Status = DomainStatusPending
	c.InboundReady, c.SendingReady, c.Degraded, c.Held = false, false, false, false
	c.ContestedAt, c.AbsentFirst, c.AbsentLast, c.DegradedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	c.Lane, c.NextCheckAt = laneNone, time.Time{}
	c.Epoch++
	if err := x.putClaim(c); err != nil {
		return err
	}
	if err := x.resetRoute(c); err != nil {
		return err
	}
	if err := x.holdMail(c); err != nil {
		return err
	}
	if _, err := x.revokeLinks(c); err != nil {
		return err
	}
	if was.Holder {
		if err := x.wakeRivals(c); err != nil {
			return err
		}
	}
	if was.HeldByOther {
		if err := x.endContest(c); err != nil {
			return err
		}
	}
	return x.event(c, Event{Type: EventDomainDeleted, Actor: actor, From: string(was.Status)})
}

// purge removes a deleted claim for good, its private keys with it.
func (x *tx) purge(id int64) error {
	_, err := x.exec(`DELETE FROM domain WHERE id = ? AND deleted_at > 0`, id)
	return wrap("purge domain", err)
}

// Sweep removes what has outlived its time: claims deleted 30 days ago, keys
// and records retired by a rotation 7 days ago, links that ended 90 days ago,
// and idle pace rows. It is
// meant to be called every hour or so; it returns how many claims it removed.
func (s *Store) Sweep(ctx context.Context) (int, error) {
	purged := 0
	for {
		var n int64
		err := s.write(ctx, func(x *tx) (err error) {
			n, err = x.exec(`DELETE FROM domain WHERE id IN (SELECT id FROM domain
				WHERE deleted_at > 0 AND deleted_at <= ? ORDER BY deleted_at LIMIT ? `+skipLockedHere+`)`,
				ms(x.now.Add(-tombstoneFor)), sweepBatch)
			return wrap("purge domains", err)
		})
		if err != nil {
			return purged, fmt.Errorf("store: sweep: %w", err)
		}
		purged += int(n)
		if n < sweepBatch {
			break
		}
	}
	if err := s.sweepKeys(ctx); err != nil {
		return purged, err
	}
	err := s.write(ctx, func(x *tx) error {
		if err := x.sweepLinks(); err != nil {
			return err
		}
		_, err := x.exec(`DELETE FROM pace WHERE free_at < ?`, ms(x.now))
		return wrap("purge pace", err)
	})
	if err != nil {
		return purged, fmt.Errorf("store: sweep: %w", err)
	}
	return purged, nil
}
