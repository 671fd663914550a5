package dnscheck

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Job is one domain whose check somebody claimed.
type Job struct {
	DomainID int64
	// Epoch fences: a report for an older one is dropped by the queue.
	Epoch    int64
	Target   Target
	OnDemand bool
	// DueAt is when the check was due, for the lag; zero: not known.
	DueAt time.Time
}

// Queue hands out due domains and takes their reports.
type Queue interface {
	// Due claims at most n due domains, the most urgent first; each stays
	// claimed until it is recorded, released, or its lease ends.
	Due(ctx context.Context, n int) ([]Job, error)
	// Record takes the report of a claimed domain, in one transaction. It
	// drops the report of an outdated epoch and returns ErrStale.
	Record(ctx context.Context, job Job, report Report) error
	// Release gives claimed domains back unchecked, due at once.
	Release(ctx context.Context, jobs []Job) error
}

// ErrStale is what a Queue returns for work whose epoch is outdated: somebody
// else has claimed the domain since, or it is gone.
var ErrStale = errors.New("stale epoch")

// What a MonitorConfig's zero values mean.
const (
	defaultConcurrency = 32
	defaultBatch       = 64
	defaultPoll        = time.Second
	defaultGrace       = 10 * time.Second
)

// queueTimeout bounds one call to the queue while the monitor stops.
const queueTimeout = 5 * time.Second

// Observer is told what the monitor does. Every field may be nil; the
// functions are called from many goroutines and must not block.
type Observer struct {
	// Check is called as a check starts; the context that it returns is the
	// check's, and what else it returns is called with the report as the check
	// ends: not when it was cut short.
	Check func(context.Context, Job) (context.Context, func(Report))
	// CheckDone is called for each report as it goes to the queue.
	CheckDone func(Report)
	// Lag is how late a scheduled check started.
	Lag func(time.Duration)
	// Stale is called for each report that the queue dropped: somebody else has
	// claimed the domain since.
	Stale func()
	// BreakerOpen says that the resolver is taken to be ill, or well again.
	BreakerOpen func(bool)
}

// MonitorConfig is what a Monitor needs.
type MonitorConfig struct {
	Checker     *Checker
	Queue       Queue
	Concurrency int           // scheduled checks at once, and as many on demand; 0 means 32
	Batch       int           // domains claimed at once; 0 means 64, never more than twice Concurrency
	Poll        time.Duration // idle wait; 0 means 1 s
	Grace       time.Duration // how long running checks may go on at the end; 0 means 10 s
	Observer    Observer
	Now         func() time.Time                     // nil means time.Now
	After       func(time.Duration) <-chan time.Time // nil means time.After
	Log         *slog.Logger                         // nil means slog.Default
}

// Monitor checks due domains one after the other, and single ones on demand.
// It is safe for concurrent use.
type Monitor struct {
	cfg     MonitorConfig
	flights *flights
	breaker *breaker
	queue   trouble
	wake    chan struct{}
	slots   chan struct{} // for checks on demand

	mu       sync.Mutex
	closed   bool
	onDemand sync.WaitGroup
	lifetime context.Context // of the checks that Close ends
	end      context.CancelFunc
}

// NewMonitor returns a Monitor; Checker and Queue must be set. Close ends it.
func NewMonitor(c MonitorConfig) *Monitor {
	if c.Concurrency <= 0 {
		c.Concurrency = defaultConcurrency
	}
	if c.Batch <= 0 {
		c.Batch = defaultBatch
	}
	// Whoever is claimed must start before its lease ends, even behind checks
	// that all take their full time.
	c.Batch = min(c.Batch, 2*c.Concurrency)
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	if c.Grace <= 0 {
		c.Grace = defaultGrace
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.After == nil {
		c.After = time.After
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	m := &Monitor{
		cfg:     c,
		flights: newFlights(c.Now),
		wake:    make(chan struct{}, 1),
		slots:   make(chan struct{}, c.Concurrency),
	}
	m.breaker = newBreaker(c)
	m.queue.log = c.Log
	m.lifetime, m.end = context.WithCancel(context.Background())
	return m
}

// Wake makes an idle Run look for due domains now, so that the first check of
// a new domain starts at once.
func (m *Monitor) Wake() {
	select {
	case m.wake <- struct{}{}:
	default: // a wake-up is on its way
	}
}

// Run checks due domains until ctx ends, and returns when the last check has:
// running ones may go on for Grace, claimed ones that have not started are
// given back. Trouble with the queue never ends it.
func (m *Monitor) Run(ctx context.Context) {
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	jobs := make(chan Job, m.cfg.Concurrency)
	var workers, canary sync.WaitGroup
	for range m.cfg.Concurrency {
		workers.Go(func() {
			for job := range jobs {
				_ = m.scheduled(work, job) // it has reported the error
			}
		})
	}
	canary.Go(func() { m.breaker.watch(ctx, m.cfg) })

	m.feed(ctx, jobs)
	m.giveBack(drain(jobs))
	close(jobs)
	finished := make(chan struct{})
	go func() { workers.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-m.cfg.After(m.cfg.Grace):
		abort()
		<-finished
	}
	canary.Wait()
}

// feed claims due domains and hands them to the workers until ctx ends. It
// claims the next batch while the last one is still being worked on.
func (m *Monitor) feed(ctx context.Context, jobs chan<- Job) {
	failures := 0
	for ctx.Err() == nil {
		batch, err := m.cfg.Queue.Due(ctx, m.cfg.Batch)
		if ctx.Err() != nil {
			m.giveBack(batch)
			return
		}
		if m.queue.report(err) {
			m.idle(ctx, pauseAfter(failures))
			failures++
			continue
		}
		failures = 0
		for i, job := range batch {
			select {
			case jobs <- job:
			case <-ctx.Done():
				m.giveBack(batch[i:])
				return
			}
		}
		if len(batch) < m.cfg.Batch {
			m.idle(ctx, m.cfg.Poll)
		}
	}
}

// pauseAfter is how long to wait after a failed claim, when so many had failed
// before it: 1, 2, 4, then 8 s. The reports that fail with it do not count, else
// a short outage under load would end the checks for as long as a long one.
func pauseAfter(failures int) time.Duration { return time.Second << min(failures, 3) }

func (m *Monitor) idle(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-m.wake:
	case <-m.cfg.After(d):
	}
}

func drain(jobs <-chan Job) []Job {
	var left []Job
	for {
		select {
		case job := <-jobs:
			left = append(left, job)
		default:
			return left
		}
	}
}

// giveBack releases jobs that will not be checked now.
func (m *Monitor) giveBack(jobs []Job) {
	if len(jobs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), queueTimeout)
	defer cancel()
	m.queue.report(m.cfg.Queue.Release(ctx, jobs))
}

// RunOnce claims one batch, checks it and records each report as its check
// ends. It returns how many domains it claimed, and what the queue said.
func (m *Monitor) RunOnce(ctx context.Context) (int, error) {
	batch, err := m.cfg.Queue.Due(ctx, m.cfg.Batch)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(batch))
	slots := make(chan struct{}, m.cfg.Concurrency)
	var running sync.WaitGroup
	for i, job := range batch {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = m.scheduled(ctx, job)
		})
	}
	running.Wait()
	return len(batch), errors.Join(errs...)
}

// scheduled checks one claimed domain, unless it is being checked on demand:
// then this claim is given back, which the queue ignores once the other check
// has taken it over.
func (m *Monitor) scheduled(ctx context.Context, job Job) error {
	f, mine := m.flights.start(job.DomainID, false)
	if !mine {
		m.giveBack([]Job{job})
		return nil
	}
	if m.cfg.Observer.Lag != nil && !job.DueAt.IsZero() {
		m.cfg.Observer.Lag(m.cfg.Now().Sub(job.DueAt))
	}
	report, err := m.check(ctx, job)
	m.flights.finish(f, report, err)
	if ctx.Err() == nil {
		m.queue.report(err)
	}
	return err
}

// check is the one path of every check: look, weigh, record. A check that was
// cut short has learned nothing and is given back.
func (m *Monitor) check(ctx context.Context, job Job) (Report, error) {
	done := func(Report) {}
	if m.cfg.Observer.Check != nil {
		ctx, done = m.cfg.Observer.Check(ctx, job)
	}
	report := m.cfg.Checker.Check(ctx, job.Target, Options{OnDemand: job.OnDemand})
	if err := ctx.Err(); err != nil {
		m.giveBack([]Job{job})
		return Report{}, err
	}
	report = m.breaker.weigh(report)
	defer done(report)
	if err := m.cfg.Queue.Record(ctx, job, report); errors.Is(err, ErrStale) {
		if m.cfg.Observer.Stale != nil {
			m.cfg.Observer.Stale()
		}
		return report, nil // true, but not ours to say any more
	} else if err != nil {
		return Report{}, err
	}
	if m.cfg.Observer.CheckDone != nil {
		m.cfg.Observer.CheckDone(report)
	}
	return report, nil
}
