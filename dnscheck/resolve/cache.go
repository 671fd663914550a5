package resolve

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Defaults of a CacheConfig, and how long answers live at most.
const (
	DefaultCacheEntries = 50_000
	DefaultCacheBytes   = 32 << 20
	DefaultFlight       = 20 * time.Second

	maxPositiveLife = 5 * time.Minute
	maxNegativeLife = time.Minute
	errorLife       = 5 * time.Second // RFC 9520 section 3.2: 1 s to 5 min
)

// CacheConfig bounds a Cache. Its zero value is usable.
type CacheConfig struct {
	// Entries and Bytes bound what is kept; 0 means DefaultCacheEntries and
	// DefaultCacheBytes. Bytes are an estimate.
	Entries, Bytes int
	// Flight bounds one lookup, which goes on for the others when the caller
	// that began it leaves; 0 means DefaultFlight.
	Flight time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Cache lets lookups of the same names share what a resolver says, in two
// views. Shared is for names that many domains have in common, like SPF
// includes and hosts: it joins a lookup of the same question that is under
// way, and takes an answer that is up to 5 minutes old, a no up to 60 s, never
// older than its TTL, and an error up to 5 s. Fresh is for the records that a
// check judges and shares nothing: a check of one domain runs once at a time
// anyway, and the goroutine of a shared lookup would cost half as much again
// as the lookup itself.
//
// Answers are shared: nobody may change the slices in them.
type Cache struct {
	resolver Resolver
	config   CacheConfig
	flights  singleflight.Group
	life     context.Context
	stop     context.CancelFunc

	mu     sync.Mutex
	kept   *lru
	closed bool
	flying sync.WaitGroup
}

// NewCache returns a Cache in front of r; Close ends its lookups.
func NewCache(r Resolver, config CacheConfig) *Cache {
	if config.Entries == 0 {
		config.Entries = DefaultCacheEntries
	}
	if config.Bytes == 0 {
		config.Bytes = DefaultCacheBytes
	}
	if config.Flight == 0 {
		config.Flight = DefaultFlight
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	c := &Cache{resolver: r, config: config, kept: newLRU(config.Entries, config.Bytes)}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// Close ends all lookups under way and waits for them.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.flying.Wait()
	return nil
}

// Fresh returns the resolver itself.
func (c *Cache) Fresh() Resolver { return c.resolver }

// Shared returns the view that joins and remembers.
func (c *Cache) Shared() Resolver { return shared{c} }

type shared struct{ cache *Cache }

// Lookup implements Resolver.
func (s shared) Lookup(ctx context.Context, name string, qtype Type) (Answer, error) {
	k := key{canonical(name), qtype}
	if a, ok, err := s.cache.get(k); ok {
		return a, err
	}
	return s.cache.fly(ctx, k)
}

// fly asks, or joins whoever asks the same already. The lookup is detached
// from ctx: others may wait for it too.
func (c *Cache) fly(ctx context.Context, k key) (Answer, error) {
	ch := c.flights.DoChan(k.name+"/"+strconv.Itoa(int(k.qtype)), func() (any, error) {
		if !c.takeOff() {
			return Answer{}, &Error{Code: CodeResolverDown, Name: k.name, Type: k.qtype, Detail: "The resolver is shut down."}
		}
		defer c.flying.Done()
		detached, cancel := context.WithTimeout(c.life, c.config.Flight)
		defer cancel()
		a, err := c.resolver.Lookup(sameSent(detached, ctx), k.name, k.qtype)
		if c.life.Err() == nil {
			c.put(k, a, err)
		}
		return a, err
	})
	select {
	case r := <-ch:
		a, _ := r.Val.(Answer)
		return a, r.Err
	case <-ctx.Done():
		return Answer{}, &Error{Code: CodeTimeout, Name: k.name, Type: k.qtype, Detail: "No name server answered in time.", Err: ctx.Err()}
	}
}

// takeOff reports whether a lookup may begin; it is counted then.
func (c *Cache) takeOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.flying.Add(1)
	return true
}

// get returns the answer or the error that is kept for a question, if one is,
// with what is left of its life.
func (c *Cache) get(k key) (a Answer, ok bool, err error) {
	now := c.config.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.kept.get(k)
	if e == nil || !now.Before(e.until) {
		return Answer{}, false, nil
	}
	a = e.answer
	a.Cached = true
	a.TTL = max(0, a.TTL-now.Sub(e.since))
	return a, true, e.err
}

// put keeps an answer as long as it may live.
func (c *Cache) put(k key, a Answer, err error) {
	life := lifetime(a, err)
	if life <= 0 {
		return
	}
	now := c.config.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.put(&entry{key: k, answer: a, err: err, since: now, until: now.Add(life)})
}

// lifetime of a Weak answer is 0, like its TTL (RFC 2308 section 5).
func lifetime(a Answer, err error) time.Duration {
	switch {
	case err != nil:
		return errorLife
	case a.Empty():
		return min(a.TTL, maxNegativeLife)
	}
	return min(a.TTL, maxPositiveLife)
}
