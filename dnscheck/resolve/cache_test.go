package resolve_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// clock is a clock that stands still until it is moved.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newCache(t *testing.T, s *dnstest.Server, config resolve.CacheConfig) *resolve.Cache {
	t.Helper()
	c := resolve.NewCache(newClient(t, resolve.Config{Timeout: 20 * time.Second}, s.Addr()), config)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCacheLives(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		fault dnstest.Behaviour
		life  time.Duration // 0 is not kept at all
	}{
		{name: "short.example", lines: []string{`short.example 30 TXT "x"`}, life: 30 * time.Second},
		{name: "long.example", lines: []string{`long.example 86400 TXT "x"`}, life: 5 * time.Minute},
		{name: "zero.example", lines: []string{`zero.example 0 TXT "x"`}},
		{name: "no.neg.example", lines: []string{"neg.example 10 SOA ns.neg.example. h.neg.example. 1 2 3 4 600"}, life: 10 * time.Second},
		{name: "no.longneg.example", lines: []string{"longneg.example 3600 SOA ns.x.example. h.x.example. 1 2 3 4 3600"}, life: time.Minute},
		{name: "weak.example", fault: dnstest.NoDataNoSOA},
		{name: "broken.example", fault: dnstest.ServFail, life: 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t)
			set(t, s, tt.lines...)
			s.Fault(tt.name, tt.fault)
			var now clock
			shared := newCache(t, s, resolve.CacheConfig{Now: now.now}).Shared()
			ask := func() (resolve.Answer, int, error) {
				before := s.Queries(tt.name)
				a, err := shared.Lookup(t.Context(), tt.name, resolve.TypeTXT)
				return a, s.Queries(tt.name) - before, err
			}
			first, sent, firstErr := ask()
			if sent == 0 || first.Cached {
				t.Fatalf("the first time: %d queries, %+v", sent, first)
			}
			if tt.life > 0 {
				now.advance(tt.life - time.Second)
				a, sent, err := ask()
				if sent != 0 || !a.Cached || !errors.Is(err, firstErr) {
					t.Errorf("within its life: %d queries, %+v, %v", sent, a, err)
				}
				if err == nil && a.TTL != first.TTL-tt.life+time.Second {
					t.Errorf("TTL %v is not what is left of %v", a.TTL, first.TTL)
				}
				now.advance(time.Second)
			}
			if a, sent, _ := ask(); sent == 0 || a.Cached {
				t.Errorf("after its life: %d queries, %+v", sent, a)
			}
		})
	}
}

func TestCacheViews(t *testing.T) {
	s := startServer(t)
	set(t, s, `www.own.example 60 TXT "x"`)
	c := newCache(t, s, resolve.CacheConfig{})
	tests := []struct {
		view   resolve.Resolver
		name   string
		cached bool
	}{
		{c.Shared(), "www.own.example", true},
		{c.Fresh(), "www.own.example", false},
	}
	for i, tt := range tests {
		for range 2 {
			if _, err := tt.view.Lookup(t.Context(), tt.name, resolve.TypeTXT); err != nil {
				t.Fatal(err)
			}
		}
		if a, _ := tt.view.Lookup(t.Context(), tt.name, resolve.TypeTXT); a.Cached != tt.cached {
			t.Errorf("%d: cached is %v", i, a.Cached)
		}
	}
}

// Callers share one lookup, and it goes on when the one that began it leaves.
func TestCacheFliesOnce(t *testing.T) {
	const name, callers = "late.example", 20
	s := startServer(t)
	set(t, s, name+` 60 TXT "x"`)
	s.Fault(name, dnstest.Late)
	shared := newCache(t, s, resolve.CacheConfig{}).Shared()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := shared.Lookup(ctx, name, resolve.TypeTXT)
		left <- err
	}()
	waitFor(t, func() bool { return s.Queries(name) == 1 })
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if a, err := shared.Lookup(t.Context(), name, resolve.TypeTXT); err != nil || len(a.TXT) != 1 {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller got %v", err)
	}
	wg.Wait()
	if n := s.Queries(name); n != 1 {
		t.Errorf("%d questions for one name", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := startServer(t)
	set(t, s, `*.many.example 60 TXT "0123456789"`)
	ask := func(r resolve.Resolver, i int) bool {
		a, err := r.Lookup(t.Context(), strconv.Itoa(i)+".many.example", resolve.TypeTXT)
		if err != nil {
			t.Fatal(err)
		}
		return a.Cached
	}
	for title, config := range map[string]resolve.CacheConfig{
		"entries": {Entries: 3},
		"bytes":   {Bytes: 3 * 500},
	} {
		t.Run(title, func(t *testing.T) {
			r := newCache(t, s, config).Shared()
			for _, i := range []int{1, 2, 3, 1, 4} { // 2 is the one used longest ago
				ask(r, i)
			}
			for _, i := range []int{4, 1, 3} {
				if !ask(r, i) {
					t.Errorf("%d was dropped", i)
				}
			}
			if ask(r, 2) {
				t.Error("more is kept than may be")
			}
		})
	}
}

func TestCacheClosed(t *testing.T) {
	s := startServer(t)
	s.Fault("silent.example", dnstest.Silent)
	c := newCache(t, s, resolve.CacheConfig{})
	result := make(chan error)
	go func() {
		_, err := c.Shared().Lookup(context.Background(), "silent.example", resolve.TypeA)
		result <- err
	}()
	waitFor(t, func() bool { return s.Queries("silent.example") == 1 })
	_ = c.Close()
	if err := <-result; code(t, err) != resolve.CodeTimeout {
		t.Errorf("got %v", err)
	}
	if _, err := c.Shared().Lookup(t.Context(), "silent.example", resolve.TypeA); code(t, err) != resolve.CodeResolverDown {
		t.Errorf("after Close got %v", err)
	}
}
