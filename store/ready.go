package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// readiness remembers the last probe, so that asking often costs no disk write.
type readiness struct {
	mu      sync.Mutex
	at      time.Time
	err     error
	running *probing // nil: none
	end     sync.WaitGroup
}

// probing is a probe under way.
type probing struct {
	done chan struct{}
	late <-chan struct{}
}

const (
	// probeEvery is how old the answer of Ready may be.
	probeEvery = time.Second
	// probeWithin is how long a probe may take before the answer is no.
	probeWithin = 4 * time.Second
)

// Ready returns nil when the database can be read and written, has a schema, and
// the master key is the one that seals; else ErrUnavailable, ErrFull or
// ErrMasterKey.
// A database that does not answer for 4 s is unavailable, and is asked no second
// time meanwhile.
func (s *Store) Ready(ctx context.Context) error {
	r := &s.ready
	r.mu.Lock()
	now := s.now()
	if r.running == nil && !r.at.IsZero() && now.Sub(r.at) < probeEvery && !now.Before(r.at) {
		defer r.mu.Unlock()
		return r.err
	}
	if r.running == nil {
		s.startProbe(now)
	}
	p := r.running
	r.mu.Unlock()
	select {
	case <-p.done:
	case <-p.late:
		select {
		case <-p.done: // it is late after the end, too
		default:
			return fmt.Errorf("store: probe: %w: no answer within %v", ErrUnavailable, probeWithin)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// startProbe starts one; the caller has the lock.
func (s *Store) startProbe(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), probeWithin)
	p := &probing{done: make(chan struct{}), late: ctx.Done()}
	s.ready.running = p
	s.ready.end.Go(func() {
		err := s.probe(ctx)
		s.ready.mu.Lock()
		s.ready.at, s.ready.err, s.ready.running = now, err, nil
		s.ready.mu.Unlock()
		close(p.done)
		cancel()
	})
}

func (s *Store) probe(ctx context.Context) error {
	var version int64
	err := s.read.queryRow(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&version)
	if err != nil {
		return wrap("read schema version", err)
	}
	err = s.write(ctx, func(x *tx) error {
		if _, err := s.ring.current(x); err != nil {
			return err
		}
		_, err := x.exec(`INSERT INTO setting (name, value) VALUES ('probed_at', ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, ms(x.now))
		return err
	})
	return wrap("write probe", err)
}
