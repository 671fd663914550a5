package dnscheck_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// queue is the seam to the store: due jobs go out, reports come back.
type queue struct {
	mu       sync.Mutex
	due      []dnscheck.Job
	err      error
	claims   int
	recorded map[int64][]dnscheck.Report
	released []dnscheck.Job
	epoch    int64 // reports of older ones are stale
}

func newQueue(ids ...int64) *queue {
	q := &queue{recorded: map[int64][]dnscheck.Report{}}
	for _, id := range ids {
		q.due = append(q.due, job(id))
	}
	return q
}

func job(id int64) dnscheck.Job {
	name := fmt.Sprintf("d%d.example", id)
	return dnscheck.Job{DomainID: id, Epoch: 1, Target: dnscheck.Target{
		Domain:  name,
		Records: []dnscheck.Expectation{{ID: id, Purpose: dnscheck.PurposeMX, Name: name, Value: ourMX}},
	}}
}

func (q *queue) Due(_ context.Context, n int) ([]dnscheck.Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims++
	if q.err != nil {
		return nil, q.err
	}
	n = min(n, len(q.due))
	batch := q.due[:n:n]
	q.due = q.due[n:]
	return batch, nil
}

func (q *queue) Record(_ context.Context, j dnscheck.Job, r dnscheck.Report) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	if j.Epoch < q.epoch {
		return fmt.Errorf("record: %w", dnscheck.ErrStale)
	}
	q.recorded[j.DomainID] = append(q.recorded[j.DomainID], r)
	return nil
}

func (q *queue) Release(_ context.Context, jobs []dnscheck.Job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.released = append(q.released, jobs...)
	return q.err
}

func (q *queue) add(ids ...int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		q.due = append(q.due, job(id))
	}
}

func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
}

// counts are the domains recorded and released, and the claims made.
func (q *queue) counts() (recorded, released, claims int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.recorded), len(q.released), q.claims
}

func (q *queue) reports(id int64) []dnscheck.Report {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.recorded[id]
}

// zones answers MX questions; a domain in slow is silent until its channel is
// closed or the lookup ends.
type zones struct {
	slow map[string]chan struct{}
	fail string // a code for every question
}

func (z zones) Lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	if z.fail != "" {
		return resolve.Answer{}, &resolve.Error{Code: z.fail, Name: name}
	}
	if gate := z.slow[name]; gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return resolve.Answer{}, &resolve.Error{Code: resolve.CodeTimeout, Name: name, Err: ctx.Err()}
		}
	}
	if qtype != resolve.TypeMX {
		return resolve.Answer{TTL: time.Second}, nil
	}
	return mx(ourMX), nil
}

func monitor(q dnscheck.Queue, r resolve.Resolver) dnscheck.MonitorConfig {
	return dnscheck.MonitorConfig{
		Checker:     dnscheck.NewChecker(dnscheck.Config{Fresh: r, Shared: r, MXHosts: []string{ourMX}}),
		Queue:       q,
		Concurrency: 2,
		Batch:       4,
		Log:         slog.New(slog.DiscardHandler),
	}
}

// run runs a monitor until stop is called; stop waits for its end.
func run(m *dnscheck.Monitor) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	return func() { cancel(); <-done }
}

func TestRunOnce(t *testing.T) {
	q := newQueue(1, 2, 3, 4, 5, 6)
	m := dnscheck.NewMonitor(monitor(q, zones{}))
	for _, want := range []int{4, 2, 0} {
		if n, err := m.RunOnce(t.Context()); n != want || err != nil {
			t.Errorf("RunOnce: %d, %v, want %d", n, err, want)
		}
	}
	if recorded, released, _ := q.counts(); recorded != 6 || released != 0 {
		t.Errorf("recorded %d, released %d", recorded, released)
	}
	if got := verdicts(q.reports(3)[0]); got != "match" {
		t.Errorf("verdict %q", got)
	}
	boom := errors.New("boom")
	q.fail(boom)
	if _, err := m.RunOnce(t.Context()); !errors.Is(err, boom) {
		t.Errorf("error %v, want the queue's", err)
	}
}

func TestStaleReportIsNoTrouble(t *testing.T) {
	q := newQueue(1)
	q.epoch = 2
	stale, cfg := 0, monitor(q, zones{})
	cfg.Observer.Stale = func() { stale++ }
	if n, err := dnscheck.NewMonitor(cfg).RunOnce(t.Context()); n != 1 || err != nil || stale != 1 {
		t.Errorf("%d, %v, %d stale", n, err, stale)
	}
	if recorded, released, _ := q.counts(); recorded+released != 0 {
		t.Errorf("recorded %d, released %d", recorded, released)
	}
}

func TestSlowDomainHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 2, 3, 4, 5, 6, 7, 8, 9)
		gate := make(chan struct{})
		stop := run(dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{"d1.example": gate}})))
		synctest.Wait()
		if recorded, _, _ := q.counts(); recorded != 8 {
			t.Errorf("recorded %d while one domain is silent, want 8", recorded)
		}
		close(gate)
		synctest.Wait()
		if recorded, _, _ := q.counts(); recorded != 9 {
			t.Errorf("recorded %d, want 9", recorded)
		}
		stop()
	})
}

func TestIdlePollsAndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		cfg := monitor(q, zones{})
		cfg.Poll = time.Minute
		m := dnscheck.NewMonitor(cfg)
		stop := run(m)
		synctest.Wait()
		q.add(1)
		synctest.Wait()
		if recorded, _, claims := q.counts(); recorded != 0 || claims != 1 {
			t.Errorf("recorded %d after %d claims; it must be idle", recorded, claims)
		}
		m.Wake()
		m.Wake() // never blocks
		synctest.Wait()
		if recorded, _, _ := q.counts(); recorded != 1 {
			t.Errorf("recorded %d after a wake-up, want 1", recorded)
		}
		q.add(2)
		time.Sleep(cfg.Poll)
		synctest.Wait()
		if recorded, _, _ := q.counts(); recorded != 2 {
			t.Errorf("recorded %d after the poll time, want 2", recorded)
		}
		stop()
	})
}

func TestQueueTroubleIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		q.fail(errors.New("disk on fire"))
		cfg := monitor(q, zones{})
		var log strings.Builder
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		stop := run(dnscheck.NewMonitor(cfg))
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, _, claims := q.counts(); claims > 11 {
			t.Errorf("%d claims in a minute of trouble: no backing off", claims)
		}
		q.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if recorded, _, _ := q.counts(); recorded != 1 {
			t.Errorf("recorded %d after the trouble, want 1", recorded)
		}
		stop()
		if n := strings.Count(log.String(), "check queue failed"); n != 1 {
			t.Errorf("%d lines about one outage:\n%s", n, log.String())
		}
	})
}

// However many reports fail in a short outage, the checks go on soon after it.
func TestQueueTroubleEndsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gate, slow := newQueue(), make(chan struct{}), map[string]chan struct{}{}
		for id := range int64(8) {
			q.add(id)
			slow[fmt.Sprintf("d%d.example", id)] = gate
		}
		cfg := monitor(q, zones{slow: slow})
		cfg.Concurrency, cfg.Batch = 8, 8
		stop := run(dnscheck.NewMonitor(cfg))
		synctest.Wait()
		q.fail(errors.New("no database"))
		close(gate)
		time.Sleep(2 * time.Second)
		q.fail(nil)
		q.add(9)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if recorded, _, _ := q.counts(); recorded != 1 {
			t.Errorf("recorded %d 8 s after an outage of 2 s, want 1", recorded)
		}
		stop()
	})
}

func TestShutdownGivesBackWhatHasNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 2, 3, 4, 5, 6, 7, 8)
		gate := make(chan struct{})
		stop := run(dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{
			"d1.example": gate, "d2.example": make(chan struct{}),
		}})))
		synctest.Wait() // two are silent, two wait for a worker, two more are claimed
		start := time.Now()
		time.AfterFunc(3*time.Second, func() { close(gate) })
		stop()
		recorded, released, _ := q.counts()
		if recorded != 1 || len(q.reports(1)) != 1 {
			t.Errorf("recorded %d: a check that ends in time must count", recorded)
		}
		if recorded+released+len(q.due) != 8 {
			t.Errorf("recorded %d, released %d, still due %d of 8", recorded, released, len(q.due))
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want the grace of 10 s", took)
		}
	})
}

func TestLagAndDoneAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		q.due[0].DueAt = time.Now()
		time.Sleep(5 * time.Second)
		cfg := monitor(q, zones{})
		var lag time.Duration
		var done []dnscheck.Report
		cfg.Observer = dnscheck.Observer{
			Lag:       func(d time.Duration) { lag = d },
			CheckDone: func(r dnscheck.Report) { done = append(done, r) },
		}
		if _, err := dnscheck.NewMonitor(cfg).RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if lag != 5*time.Second || len(done) != 1 {
			t.Errorf("lag %v, %d reports", lag, len(done))
		}
	})
}
