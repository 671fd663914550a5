package dnscheck

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// When the resolver is asked for its health.
const (
	canaryEvery = 30 * time.Second
	canaryRetry = 2 * time.Second // while it fails
)

// maxDead bounds the zones that are known to be dead.
const maxDead = 10_000

// breaker stops bad verdicts from counting while the fault is likely ours: when
// too many checks end without an answer, or not even our own MX host can be
// looked up. Matches still count: an ill resolver does not invent our DKIM key.
//
// A zone that is dead counts when it dies, and not each time that it is looked
// at again: dead ones are asked far more often than the verified, and a few of
// them must not keep the breaker open for everybody.
type breaker struct {
	log    *slog.Logger
	notify func(bool)

	mu     sync.Mutex
	checks share
	canary bool            // the last canary failed
	open   bool            // as it was last said
	dead   map[string]bool // domains whose last check taught nothing, at most maxDead
}

func newBreaker(c MonitorConfig) *breaker {
	return &breaker{log: c.Log, notify: c.Observer.BreakerOpen, dead: map[string]bool{}}
}

// weigh counts a report and, while the breaker is open, turns what speaks
// against records into nothing learned.
func (b *breaker) weigh(report Report) Report {
	if len(report.Results) == 0 {
		return report
	}
	ill := 0
	for _, r := range report.Results {
		if r.Verdict == VerdictUnknown && resolve.Ill(&resolve.Error{Code: r.Code}) {
			ill++
		}
	}
	open := b.change(func() { b.record(report.Domain, 2*ill < len(report.Results)) })
	if !open {
		return report
	}
	for i, r := range report.Results {
		if r.Verdict.Bad() {
			report.Results[i] = r.withheld()
		}
	}
	return report
}

// record counts a check by whether it taught something, unless its domain is
// known to be dead.
func (b *breaker) record(domain string, taught bool) {
	switch {
	case taught:
		delete(b.dead, domain)
	case b.dead[domain]:
		return
	case len(b.dead) < maxDead:
		b.dead[domain] = true
	}
	b.checks.record(taught)
}

func (r Result) withheld() Result {
	return Result{
		ID: r.ID, Purpose: r.Purpose, Name: r.Name, CheckedAt: r.CheckedAt,
		Verdict: VerdictUnknown, Code: resolve.CodeResolverDown,
		Detail: "Our own DNS resolver is in trouble, so this look does not count.",
		Hint:   "Nothing to change; we keep asking.",
	}
}

// change runs f, says once what it changed, and returns whether the breaker is
// open.
func (b *breaker) change(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	open := b.canary || b.checks.open
	if open == b.open {
		return open
	}
	b.open = open
	if open {
		b.log.Error("dns resolver in trouble, bad verdicts are withheld", "canary_failed", b.canary)
	} else {
		b.log.Info("dns resolver works again, verdicts count")
	}
	if b.notify != nil {
		b.notify(open)
	}
	return open
}

// watch looks our MX hosts up from time to time until ctx ends.
func (b *breaker) watch(ctx context.Context, c MonitorConfig) {
	for {
		err := c.Checker.Canary(ctx)
		if ctx.Err() != nil {
			return
		}
		b.change(func() { b.canary = err != nil })
		wait := canaryEvery
		if err != nil {
			wait = canaryRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-c.After(wait):
		}
	}
}

// trouble logs an outage of the queue once, and its end.
type trouble struct {
	log *slog.Logger

	mu       sync.Mutex
	failures int
}

// report notes how a call went, and returns whether it failed.
func (t *trouble) report(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil && t.failures == 0:
		t.log.Error("check queue failed", "error", err)
	case err == nil && t.failures > 0:
		t.log.Info("check queue works again", "failures", t.failures)
	}
	if err == nil {
		t.failures = 0
		return false
	}
	t.failures++
	return true
}
