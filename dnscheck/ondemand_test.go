package dnscheck_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// claims gives the same job to everybody who asks and counts them.
type claims struct{ n atomic.Int64 }

func (c *claims) claim(context.Context) (dnscheck.Job, error) {
	c.n.Add(1)
	j := job(1)
	j.Epoch = 2
	return j, nil
}

func TestCheckNowJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gate := newQueue(), make(chan struct{})
		m := dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{"d1.example": gate}}))
		var c claims
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				if r, err := m.CheckNow(t.Context(), 1, c.claim); err != nil || verdicts(r) != "match" {
					t.Errorf("%v, %v", r, err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		callers.Wait()
		if c.n.Load() != 1 || len(q.reports(1)) != 1 {
			t.Errorf("%d claims, %d records for ten callers", c.n.Load(), len(q.reports(1)))
		}

		time.Sleep(2*time.Second - time.Millisecond)
		if _, err := m.CheckNow(t.Context(), 1, c.claim); err != nil || c.n.Load() != 1 {
			t.Errorf("a check that ended just now must answer: %d claims, %v", c.n.Load(), err)
		}
		time.Sleep(time.Millisecond)
		if _, err := m.CheckNow(t.Context(), 1, c.claim); err != nil || c.n.Load() != 2 {
			t.Errorf("an old check must not answer: %d claims, %v", c.n.Load(), err)
		}
		m.Close()
	})
}

// What a scheduled check asked may be older than the edit that the customer
// wants to see.
func TestCheckNowOvertakesAScheduledCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gate := newQueue(1), make(chan struct{})
		m := dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{"d1.example": gate}}))
		stop := run(m)
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(gate) })
		var c claims
		if r, err := m.CheckNow(t.Context(), 1, c.claim); err != nil || verdicts(r) != "match" {
			t.Errorf("%v, %v", r, err)
		}
		if c.n.Load() != 1 {
			t.Errorf("%d claims, want one for the check on demand", c.n.Load())
		}
		stop()
		// The end of the overtaken check must not end what the other answers for.
		if _, err := m.CheckNow(t.Context(), 1, c.claim); err != nil || c.n.Load() != 1 {
			t.Errorf("a check on demand that ended just now must answer: %d claims, %v", c.n.Load(), err)
		}
		m.Close()
	})
}

func TestScheduledCheckYieldsToOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gate := newQueue(1), make(chan struct{})
		m := dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{"d1.example": gate}}))
		var c claims
		go m.CheckNow(t.Context(), 1, c.claim) //nolint:errcheck // read from the queue
		synctest.Wait()
		if n, err := m.RunOnce(t.Context()); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if _, released, _ := q.counts(); released != 1 {
			t.Errorf("released %d: a claim must not be left to its lease", released)
		}
		close(gate)
		synctest.Wait()
		if n := len(q.reports(1)); n != 1 {
			t.Errorf("%d records, want the one on demand", n)
		}
		// The next scheduled check is a real one, however soon it comes.
		q.add(1)
		if _, err := m.RunOnce(t.Context()); err != nil || len(q.reports(1)) != 2 {
			t.Errorf("%d records, %v", len(q.reports(1)), err)
		}
	})
}

// A check that is forgotten must not take a newer one of its domain with it.
func TestOldCheckIsForgottenAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gate := newQueue(1), make(chan struct{})
		slow := map[string]chan struct{}{}
		m := dnscheck.NewMonitor(monitor(q, zones{slow: slow}))
		var c claims
		if _, err := m.CheckNow(t.Context(), 1, c.claim); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		slow["d1.example"] = gate
		go m.RunOnce(t.Context()) //nolint:errcheck // read from the queue
		time.Sleep(2 * time.Second)
		q.add(1)
		if _, err := m.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, released, _ := q.counts(); released != 1 {
			t.Errorf("released %d: the first scheduled check still runs", released)
		}
		close(gate)
		synctest.Wait()
	})
}

func TestCallerThatLeavesDoesNotEndTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, gate := newQueue(), make(chan struct{})
		m := dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{"d1.example": gate}}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var c claims
		if _, err := m.CheckNow(ctx, 1, c.claim); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		close(gate)
		synctest.Wait()
		if n := len(q.reports(1)); n != 1 {
			t.Errorf("%d records, want 1", n)
		}
	})
}

func TestCheckNowEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		m := dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{"d1.example": make(chan struct{})}}))
		start := time.Now()
		var c claims
		r, err := m.CheckNow(t.Context(), 1, c.claim)
		if err != nil || verdicts(r) != "unknown(dns_timeout)" {
			t.Errorf("%v, %v", r, err)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestCheckNowReturnsWhatClaimSaid(t *testing.T) {
	m := dnscheck.NewMonitor(monitor(newQueue(), zones{}))
	no := errors.New("no such domain")
	claim := func(context.Context) (dnscheck.Job, error) { return dnscheck.Job{}, no }
	if _, err := m.CheckNow(t.Context(), 1, claim); !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	var c claims
	if _, err := m.CheckNow(t.Context(), 1, c.claim); err != nil {
		t.Errorf("a check that failed must not answer for the next: %v", err)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		m := dnscheck.NewMonitor(monitor(q, zones{slow: map[string]chan struct{}{"d1.example": make(chan struct{})}}))
		var c claims
		ended := make(chan error, 1)
		go func() {
			_, err := m.CheckNow(context.Background(), 1, c.claim)
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		m.Close()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("Close took %v, want the grace of 10 s", took)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the check that was cut: %v", err)
		}
		synctest.Wait()
		if _, released, _ := q.counts(); released != 1 || len(q.reports(1)) != 0 {
			t.Errorf("released %d, records %d", released, len(q.reports(1)))
		}
		if _, err := m.CheckNow(t.Context(), 1, c.claim); !errors.Is(err, dnscheck.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
