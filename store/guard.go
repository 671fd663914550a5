package store

import (
	"context"
	"fmt"
)

// The sweep guard. When so many verified domains went bad within one pass over
// them, the fault is more likely a resolver's or a provider's than that of each
// customer: then none of them is demoted.
const (
	// guardFloor is how many may always be demoted.
	guardFloor = 50
	// guardShare is the part of the verified domains that may be: one in 200.
	guardShare = 200
)

const demotionsReleased = "demotions_released_at"

// guard reports whether a demotion must be held. It counts the domains whose
// trouble began within one pass of this one's and has not ended, so that all of
// a sweep are held, and not only those after the first fifty. When enough of
// them recover, the rest is let go by the same count.
func (x *tx) guard(c *claim) (bool, error) {
	since := c.DegradedAt
	if since.IsZero() {
		since = x.now
	}
	var released int64
	err := x.queryRow(context.Background(), `SELECT coalesce(max(value), 0) FROM setting WHERE name = ?`,
		demotionsReleased).Scan(&released)
	if err != nil {
		return false, wrap("read sweep guard", err)
	}
	if !since.After(at(released)) {
		return false, nil
	}
	verified, err := x.s.counts.get(context.Background(), x.s)
	if err != nil {
		return false, err
	}
	limit := max(guardFloor, verified[DomainStatusActive]/guardShare)
	window := x.s.schedule.units(unitsMX)
	var bad int64
	err = x.queryRow(context.Background(), `SELECT count(*) FROM (SELECT 1 FROM domain
		WHERE degraded_at > 0 AND degraded_at BETWEEN ? AND ? LIMIT ?) AS sweep`,
		ms(since.Add(-window)), ms(since.Add(window)), limit+1).Scan(&bad)
	if err != nil {
		return false, wrap("count degraded domains", err)
	}
	if bad <= limit {
		c.Held = false
		return false, nil
	}
	if c.Held {
		return true, nil
	}
	c.Held = true
	return true, x.event(*c, Event{
		Type: EventDomainHeld, Actor: actorSystem, From: string(c.Status), To: string(c.Status),
		Detail: "its records look lost, and those of many others too: held until an operator has looked",
	})
}

// DemotionsHeld returns how many domains the sweep guard keeps from failing:
// an alarm when it is not 0.
func (s *Store) DemotionsHeld(ctx context.Context) (int64, error) {
	var n int64
	err := s.read.queryRow(ctx, `SELECT count(*) FROM domain WHERE held = 1`).Scan(&n)
	return n, wrap("count held demotions", err)
}

// ReleaseDemotions is the operator's word that the held demotions are real:
// each takes effect at the domain's next look.
func (s *Store) ReleaseDemotions(ctx context.Context) error {
	err := s.write(ctx, func(x *tx) error {
		_, err := x.exec(`INSERT INTO setting (name, value) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, demotionsReleased, ms(x.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("store: release demotions: %w", err)
	}
	return nil
}
