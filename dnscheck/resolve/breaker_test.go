package resolve_test

import (
	"errors"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestBreaker(t *testing.T) {
	record := func(b *resolve.Breaker, n int, ok bool) {
		for range n {
			b.Record(ok)
		}
	}
	var now clock
	tests := map[string]struct {
		act  func(*resolve.Breaker)
		open bool
	}{
		"nothing seen":      {act: func(*resolve.Breaker) {}},
		"too few":           {act: func(b *resolve.Breaker) { record(b, 49, false) }},
		"all fail":          {act: func(b *resolve.Breaker) { record(b, 50, false) }, open: true},
		"just a fifth":      {act: func(b *resolve.Breaker) { record(b, 160, true); record(b, 40, false) }},
		"more than a fifth": {act: func(b *resolve.Breaker) { record(b, 160, true); record(b, 41, false) }, open: true},
		"old failures slide out": {act: func(b *resolve.Breaker) {
			record(b, 49, true)
			record(b, 12, false)
			record(b, 200, true)
			record(b, 40, false)
		}},
		"the canary":      {act: (*resolve.Breaker).Trip, open: true},
		"probes close it": {act: func(b *resolve.Breaker) { b.Trip(); record(b, 3, true) }},
		"a probe fails":   {act: func(b *resolve.Breaker) { b.Trip(); record(b, 2, true); b.Record(false); record(b, 2, true) }, open: true},
		"it starts anew":  {act: func(b *resolve.Breaker) { record(b, 50, false); record(b, 3, true); record(b, 49, false) }},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			b := resolve.NewBreaker(resolve.BreakerConfig{Now: now.now})
			if tt.act(b); b.Open() != tt.open {
				t.Errorf("open is %v", b.Open())
			}
		})
	}
}

func TestBreakerAllowsProbes(t *testing.T) {
	var now clock
	now.advance(time.Hour)
	b := resolve.NewBreaker(resolve.BreakerConfig{Now: now.now, Pause: time.Second})
	if !b.Allow() {
		t.Error("closed, and nothing is allowed")
	}
	b.Trip()
	for range 3 {
		if b.Allow() {
			t.Error("allowed before the pause is over")
		}
		now.advance(time.Second)
		if !b.Allow() {
			t.Error("no probe after the pause")
		}
	}
}

func TestBreakerGuards(t *testing.T) {
	s := startServer(t)
	s.Fault("ill.example", dnstest.ServFail)
	s.Fault("bogus.example", dnstest.Bogus)
	b := resolve.NewBreaker(resolve.BreakerConfig{Window: 4, Minimum: 4, Share: 0.5})
	r := b.Guard(newClient(t, resolve.Config{}, s.Addr()))
	for _, name := range []string{"a.example", "bogus.example", "ill.example", "ill.example"} {
		_, _ = r.Lookup(t.Context(), name, resolve.TypeA)
	}
	if b.Open() {
		t.Error("a fault of the zone counts against the resolver")
	}
	_, _ = r.Lookup(t.Context(), "ill.example", resolve.TypeA)
	n := s.Total()
	if _, err := r.Lookup(t.Context(), "a.example", resolve.TypeA); code(t, err) != resolve.CodeResolverDown || s.Total() != n {
		t.Errorf("got %v and %d questions", err, s.Total()-n)
	}
	if resolve.Ill(nil) || resolve.Ill(errors.New("other")) {
		t.Error("what is no Error of ours counts against the resolver")
	}
}
