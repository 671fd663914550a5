package inbound

import (
	"sync"
	"time"
)

const (
	// breakAfter is how many failures in a row open the breaker of an endpoint.
	breakAfter = 5
	// probeEvery is how often an open breaker lets one try pass.
	probeEvery = time.Minute
	// perEndpoint is how many tries one endpoint gets at a time.
	perEndpoint = 8
	// queuedWait is what each delivery sent away adds to the wait of the next.
	queuedWait = 50 * time.Millisecond
	maxQueued  = 1000
	// openQueued is the bound while the breaker is open, of ten minutes more:
	// only a probe gets through, and a backlog need not ask each minute.
	openQueued = 12_000
)

// breaker keeps dead endpoints from taking the workers of all others.
type breaker struct {
	now       func() time.Time
	mu        sync.Mutex
	endpoints map[string]*endpoint
}

type endpoint struct {
	fails  int
	open   int       // tries in progress
	queued int       // how many were sent away lately, for more were in progress
	probed time.Time // when the last probe of an open breaker started
}

func newBreaker(now func() time.Time) *breaker {
	return &breaker{now: now, endpoints: map[string]*endpoint{}}
}

// enter lets a try at an endpoint begin, one of most at a time, to be ended by
// leave, or says how long to wait.
func (b *breaker) enter(url string, most int) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.endpoints[url]
	if e == nil {
		e = &endpoint{}
		b.endpoints[url] = e
	}
	now := b.now()
	switch {
	case e.fails < breakAfter && e.open >= most:
		// The more are sent away, the longer they stay away: a large backlog must
		// not go round and round before a slow endpoint.
		e.queued = min(e.queued+1, maxQueued)
		return time.Second + time.Duration(e.queued)*queuedWait, false
	case e.fails >= breakAfter && now.Sub(e.probed) < probeEvery:
		e.queued = min(e.queued+1, openQueued)
		return probeEvery - now.Sub(e.probed) + time.Duration(e.queued)*queuedWait, false
	case e.fails >= breakAfter:
		e.probed = now
	}
	e.open++
	e.queued = max(e.queued-1, 0)
	return 0, true
}

// leave ends a try. Whether it failed is nothing to the breaker where the
// endpoint answered by asking for patience.
func (b *breaker) leave(url string, failed, counts bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.endpoints[url]
	e.open--
	switch {
	case counts && failed:
		if e.fails++; e.fails == breakAfter {
			e.probed = b.now()
		}
	case counts:
		e.fails = 0
	}
	if e.open == 0 && e.fails == 0 {
		delete(b.endpoints, url)
	}
}
