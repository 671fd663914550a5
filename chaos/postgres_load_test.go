package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const writersEach = 2 // at each replica

// crowd is the clients of a fleet, which remember what they were told.
type crowd struct {
	*fleet
	clients load // of no one service
}

func newCrowd(t *testing.T, f *fleet, seed uint64) *crowd {
	c := &crowd{fleet: f}
	for n, s := range f.replicas {
		for i := range writersEach {
			id := n*writersEach + i
			c.clients.writers = append(c.clients.writers, newWriter(t, s, id, random(seed, id)))
		}
		c.clients.senders = append(c.clients.senders, &sender{service: s, t: t, id: n, random: random(seed, 100+n)})
	}
	return c
}

// work has all clients at work until stop is called, or until each has met a
// call without answer: after that it must look before it goes on.
func (c *crowd) work() (stop func()) {
	var enough atomic.Bool
	var all sync.WaitGroup
	for _, w := range c.clients.writers {
		all.Go(func() { repeat(func() bool { return !enough.Load() && w.step() }) })
	}
	for _, m := range c.clients.senders {
		all.Go(func() { repeat(func() bool { return !enough.Load() && m.step() }) })
	}
	return func() {
		enough.Store(true)
		all.Wait()
	}
}

// missing compares what was acknowledged with what is there: each message as
// another replica sees it.
func (c *crowd) missing() []string {
	var missing []string
	for _, w := range c.clients.writers {
		missing = append(missing, w.check()...)
	}
	for n, m := range c.clients.senders {
		missing = append(missing, c.replicas[(n+1)%replicas].lost(m.acks)...)
		c.clients.seen, m.acks = append(c.clients.seen, m.acks...), nil
	}
	return missing
}

// halved returns what a transaction cut in two would leave behind.
func (c *crowd) halved() (found []string, err error) {
	for _, h := range halves {
		if strings.Contains(h.sql, "pragma") {
			continue // of SQLite
		}
		list, err := column(c.db, h.sql)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.what, err)
		}
		for _, text := range list {
			found = append(found, h.what+": "+text)
		}
	}
	return found, nil
}

// longest keeps the longest time.
func longest(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	return slices.Max(list).Round(10 * time.Millisecond)
}
