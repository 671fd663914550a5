package resolve

import (
	"context"
	"sync"
	"time"
)

// Defaults of a BreakerConfig.
const (
	DefaultBreakerWindow  = 200
	DefaultBreakerMinimum = 50
	DefaultBreakerShare   = 0.2
	DefaultBreakerPause   = 10 * time.Second
	DefaultBreakerProbes  = 3
)

// BreakerConfig says when a Breaker opens and closes. Its zero value is usable.
type BreakerConfig struct {
	// Window is how many of the last outcomes count, Minimum how many there
	// must be, Share above which part of failures it opens.
	Window, Minimum int
	Share           float64
	// Pause is the time from one probe to the next while it is open; Probes is
	// how many must succeed in a row to close it.
	Pause  time.Duration
	Probes int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Breaker tells that our own resolver is ill, from the share of outcomes that
// teach nothing: then nobody's records may be judged. It is safe for
// concurrent use.
type Breaker struct {
	config BreakerConfig

	mu       sync.Mutex
	ring     []bool // true is a failure
	next     int
	seen     int
	failures int
	open     bool
	probed   time.Time
	healthy  int // probes in a row that succeeded
}

// NewBreaker returns a closed Breaker.
func NewBreaker(config BreakerConfig) *Breaker {
	if config.Window == 0 {
		config.Window = DefaultBreakerWindow
	}
	if config.Minimum == 0 {
		config.Minimum = min(DefaultBreakerMinimum, config.Window)
	}
	if config.Share == 0 {
		config.Share = DefaultBreakerShare
	}
	if config.Pause == 0 {
		config.Pause = DefaultBreakerPause
	}
	if config.Probes == 0 {
		config.Probes = DefaultBreakerProbes
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Breaker{config: config, ring: make([]bool, config.Window)}
}

// Open reports whether outcomes are to be left unjudged.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// Record takes the outcome of a lookup or a check: ok when it taught
// something, be it a no. While the Breaker is open, only probes are recorded.
func (b *Breaker) Record(ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.probe(ok)
		return
	}
	if b.seen == len(b.ring) && b.ring[b.next] {
		b.failures--
	}
	b.ring[b.next] = !ok
	b.next = (b.next + 1) % len(b.ring)
	b.seen = min(b.seen+1, len(b.ring))
	if !ok {
		b.failures++
	}
	if b.seen >= b.config.Minimum && float64(b.failures) > b.config.Share*float64(b.seen) {
		b.trip()
	}
}

// Trip opens the Breaker at once, for a canary that failed: a name of ours
// that always resolves.
func (b *Breaker) Trip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trip()
}

// Allow reports whether a lookup may be made now: always while the Breaker is
// closed; while it is open, one a Pause, as a probe whose outcome is to be
// given to Record.
func (b *Breaker) Allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true
	}
	now := b.config.Now()
	if now.Sub(b.probed) < b.config.Pause {
		return false
	}
	b.probed = now
	return true
}

func (b *Breaker) trip() {
	b.open, b.healthy, b.probed = true, 0, b.config.Now()
}

// probe counts one outcome while open, and closes with a clean window.
func (b *Breaker) probe(ok bool) {
	if !ok {
		b.healthy = 0
		return
	}
	if b.healthy++; b.healthy >= b.config.Probes {
		clear(b.ring)
		b.open, b.next, b.seen, b.failures = false, 0, 0, 0
	}
}

// Guard returns a Resolver that asks r only while the Breaker allows it, fails
// with CodeResolverDown otherwise, and records what comes of each lookup.
func (b *Breaker) Guard(r Resolver) Resolver { return guarded{b, r} }

type guarded struct {
	breaker  *Breaker
	resolver Resolver
}

func (g guarded) Lookup(ctx context.Context, name string, qtype Type) (Answer, error) {
	if !g.breaker.Allow() {
		return Answer{}, &Error{Code: CodeResolverDown, Name: name, Type: qtype, Detail: "Our own resolver is ill; nothing is judged until it recovers."}
	}
	a, err := g.resolver.Lookup(ctx, name, qtype)
	if ctx.Err() == nil {
		g.breaker.Record(!Ill(err))
	}
	return a, err
}
