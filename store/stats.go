package store

import (
	"context"
	"maps"
	"sync"
	"time"
)

// Stats are numbers for metrics: cheap, and up to half a minute old.
type Stats struct {
	// Domains counts the claims that are not deleted, by status.
	Domains map[DomainStatus]int64
	// DueLag is how long the oldest due check has waited.
	DueLag time.Duration
	// DemotionsHeld is an alarm when it is not 0; see DemotionsHeld.
	DemotionsHeld int64
}

// Stats returns the numbers of now.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	domains, err := s.counts.get(ctx, s)
	if err != nil {
		return Stats{}, err
	}
	out := Stats{Domains: domains}
	if out.DemotionsHeld, err = s.DemotionsHeld(ctx); err != nil {
		return Stats{}, err
	}
	for _, lane := range []int{lanePending, laneVerified, laneBulk} {
		var oldest int64
		err := s.read.queryRow(ctx, `SELECT coalesce(min(next_check_at), 0) FROM domain WHERE lane = ?`, lane).Scan(&oldest)
		if err != nil {
			return Stats{}, wrap("read due lag", err)
		}
		if oldest > 0 {
			out.DueLag = max(out.DueLag, s.now().Sub(at(oldest)))
		}
	}
	return out, nil
}

// countEvery is how old the numbers of domains may be: counting reads a whole
// index.
const countEvery = 30 * time.Second

type counts struct {
	mu   sync.Mutex
	at   time.Time
	last map[DomainStatus]int64
}

func (c *counts) get(ctx context.Context, s *Store) (map[DomainStatus]int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := s.now()
	if c.last != nil && now.Sub(c.at) < countEvery && !now.Before(c.at) {
		return maps.Clone(c.last), nil
	}
	rows, err := s.read.query(ctx, `SELECT status, count(*) FROM domain WHERE deleted_at = 0 GROUP BY status`)
	if err != nil {
		return nil, wrap("count domains", err)
	}
	defer rows.Close()
	last := make(map[DomainStatus]int64, 3)
	for rows.Next() {
		var status DomainStatus
		var n int64
		if err := rows.Scan(&status, &n); err != nil {
			return nil, wrap("count domains", err)
		}
		last[status] = n
	}
	if err := rows.Err(); err != nil {
		return nil, wrap("count domains", err)
	}
	c.last, c.at = last, now
	return maps.Clone(last), nil
}
