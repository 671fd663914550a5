package store

import (
	"context"
	"maps"
	"sync"
	"time"
)

// Stats are numbers for metrics, which cost little to ask for.
type Stats struct {
	// Domains counts the claims that are not deleted, by status, as they were a
	// while ago: minutes, and longer where they are very many.
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

// Counting reads a whole index. So it is done at most every countEvery, and in
// at most one part in countShare of the time; and nobody waits for it who can
// have numbers that are not much older.
const (
	countEvery = 30 * time.Second
	countShare = 1000
	// countStale is how many times as old they may be while they are counted.
	countStale = 10
)

// counts are the domains by status, as they were last counted.
type counts struct {
	mu      sync.Mutex
	at      time.Time
	every   time.Duration
	last    map[DomainStatus]int64 // nil: not counted yet
	running *counting              // nil: none
	end     sync.WaitGroup
}

// counting is a count under way.
type counting struct {
	done chan struct{}
	err  error
}

func (c *counts) get(ctx context.Context, s *Store) (map[DomainStatus]int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := s.now().Sub(c.at)
	counted := c.last != nil && age >= 0
	if counted && age < c.every {
		return maps.Clone(c.last), nil
	}
	if c.running == nil {
		c.start(s)
	}
	if counted && age < countStale*c.every {
		return maps.Clone(c.last), nil
	}
	running := c.running
	c.mu.Unlock()
	var err error
	select {
	case <-running.done:
		err = running.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.mu.Lock()
	if err != nil {
		return nil, err
	}
	return maps.Clone(c.last), nil
}

// start begins a count; the caller has the lock.
func (c *counts) start(s *Store) {
	running := &counting{done: make(chan struct{})}
	c.running = running
	c.end.Go(func() {
		began := s.now()
		last, err := s.countDomains(context.Background())
		took := s.now().Sub(began)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = nil
		if running.err = err; err == nil {
			c.last, c.at, c.every = last, began, max(countEvery, countShare*took)
		}
		close(running.done)
	})
}

func (s *Store) countDomains(ctx context.Context) (map[DomainStatus]int64, error) {
	rows, err := s.read.query(ctx, countQuery)
	if err != nil {
		return nil, wrap("count domains", err)
	}
	defer rows.Close()
	out := make(map[DomainStatus]int64, 3)
	for rows.Next() {
		var status DomainStatus
		var n int64
		if err := rows.Scan(&status, &n); err != nil {
			return nil, wrap("count domains", err)
		}
		out[status] = n
	}
	return out, wrap("count domains", rows.Err())
}

const countQuery = `SELECT status, count(*) FROM domain WHERE deleted_at = 0 GROUP BY status`
