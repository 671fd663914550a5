package dnscheck

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrClosed is what CheckNow returns after Close.
var ErrClosed = errors.New("monitor is closed")

// freshFor is how long a check that ended answers for a new one.
const freshFor = 2 * time.Second

// nowLimit bounds CheckNow: the check itself, the claim and the record.
const nowLimit = onDemandLimit + 2*time.Second

// CheckNow checks one domain now and records the report, within 15 s; the
// zone's own servers are asked too. It joins a check on demand of the domain
// that is running, and returns the report of one that ended less than 2 s ago.
// A scheduled one, which explains less and may have begun before the customer's
// last edit, it overtakes: the claim makes that one's report stale. claim takes
// the domain from the queue; it is called only when a new check starts.
//
// A caller that goes away does not end the check. The error is ctx's, or what
// claim or the queue returned, or ErrClosed; DNS is never an error.
func (m *Monitor) CheckNow(ctx context.Context, domainID int64, claim func(context.Context) (Job, error)) (Report, error) {
	f, err := m.depart(ctx, domainID, claim)
	if err != nil {
		return Report{}, err
	}
	select {
	case <-f.done:
		return f.report, f.err
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
}

// depart finds the domain's flight or starts one.
func (m *Monitor) depart(ctx context.Context, domainID int64, claim func(context.Context) (Job, error)) (*flight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	f, mine := m.flights.start(domainID, true)
	if !mine {
		return f, nil
	}
	// The values of ctx stay (request id), its end does not.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), nowLimit)
	stop := context.AfterFunc(m.lifetime, cancel)
	m.onDemand.Go(func() {
		defer cancel()
		defer stop()
		report, err := m.claimed(work, claim)
		m.flights.finish(f, report, err)
	})
	return f, nil
}

func (m *Monitor) claimed(ctx context.Context, claim func(context.Context) (Job, error)) (Report, error) {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	job, err := claim(ctx)
	if err != nil {
		return Report{}, err
	}
	job.OnDemand = true
	return m.check(ctx, job)
}

// Close lets checks on demand that run go on for Grace, then cuts them short,
// and returns when the last one is gone. Run ends by its own context.
func (m *Monitor) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	defer m.end()
	finished := make(chan struct{})
	go func() { m.onDemand.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-m.cfg.After(m.cfg.Grace):
		m.end()
		<-finished
	}
}

// flight is one check of one domain, running or just ended.
type flight struct {
	id       int64
	onDemand bool
	done     chan struct{}
	report   Report // these two are set before done is closed
	err      error
	ended    time.Time
}

// flights makes sure that a domain has one check at a time, or a second one
// whose customer waits.
type flights struct {
	now func() time.Time

	mu    sync.Mutex
	byID  map[int64]*flight
	ended []*flight // the oldest first
}

func newFlights(now func() time.Time) *flights {
	return &flights{now: now, byID: map[int64]*flight{}}
}

// start returns a flight of the domain that answers for a new one too, and
// false; or else a new one that the caller must finish, and true. On demand,
// only one on demand answers, up to a moment after its end; for a scheduled
// check, any that is running.
func (fs *flights) start(id int64, onDemand bool) (*flight, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.forget()
	if f := fs.byID[id]; f != nil && (onDemand && f.onDemand || !onDemand && f.ended.IsZero()) {
		return f, false
	}
	f := &flight{id: id, onDemand: onDemand, done: make(chan struct{})}
	fs.byID[id] = f
	return f, true
}

// finish ends a flight. One that failed or was scheduled is forgotten at once.
func (fs *flights) finish(f *flight, report Report, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.report, f.err, f.ended = report, err, fs.now()
	if err == nil && f.onDemand {
		fs.ended = append(fs.ended, f)
	} else if fs.byID[f.id] == f { // and was not overtaken
		delete(fs.byID, f.id)
	}
	close(f.done)
}

// forget drops what ended too long ago to answer for a new check.
func (fs *flights) forget() {
	now := fs.now()
	n := 0
	for n < len(fs.ended) && now.Sub(fs.ended[n].ended) >= freshFor {
		if f := fs.ended[n]; fs.byID[f.id] == f { // and not a newer one
			delete(fs.byID, f.id)
		}
		n++
	}
	fs.ended = slices.Delete(fs.ended, 0, n)
}
