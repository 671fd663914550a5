package chaos

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	writers = 8
	senders = 4
)

// load is the clients of one service, which remember what they were told.
type load struct {
	*service
	writers []*writer
	senders []*sender
	seen    []ack // messages that were compared once
}

func newLoad(t *testing.T, s *service, seed uint64) *load {
	l := &load{service: s}
	for i := range writers {
		l.writers = append(l.writers, newWriter(t, s, i, random(seed, i)))
	}
	for i := range senders {
		l.senders = append(l.senders, &sender{service: s, t: t, id: i, random: random(seed, writers+i)})
	}
	return l
}

// begin starts the service, and has every writer make its first names.
func (l *load) begin(t *testing.T) {
	t.Helper()
	l.start()
	activate(t, l.service)
	var all sync.WaitGroup
	for _, w := range l.writers {
		all.Go(func() {
			repeat(func() bool { return len(w.names) < firstNames && w.step() })
		})
	}
	all.Wait()
}

// killAfter has all clients at work until each has met a call without answer,
// and ends the process after some time.
func (l *load) killAfter(some time.Duration) {
	var all sync.WaitGroup
	for _, w := range l.writers {
		all.Go(func() { repeat(w.step) })
	}
	for _, m := range l.senders {
		all.Go(func() { repeat(m.step) })
	}
	<-time.After(some)
	l.kill()
	all.Wait()
}

func repeat(step func() bool) {
	for step() {
	}
}

// missing compares all that was acknowledged with what is there. Messages are
// compared once, and must be listed from then on.
func (l *load) missing() []string {
	var missing []string
	last := ""
	for _, a := range l.seen {
		last = max(last, a.id)
	}
	for _, w := range l.writers {
		missing = append(missing, w.check()...)
	}
	for _, m := range l.senders {
		missing = append(missing, l.lost(m.acks)...)
		l.seen, m.acks = append(l.seen, m.acks...), nil
	}
	unlisted, err := l.unlisted(l.seen)
	half, err2 := l.audit(last)
	if err = errors.Join(err, err2); err != nil {
		missing = append(missing, err.Error())
	}
	return slices.Concat(missing, unlisted, half)
}

// totals of a load.
type totals struct{ writes, messages, full, refused, open int }

func (l *load) totals() (sum totals) {
	add := func(acked *int, t *tally) {
		*acked += int(t.acked.Load())
		sum.full += int(t.full.Load())
		sum.refused += int(t.refused.Load())
		sum.open += int(t.open.Load())
	}
	for _, w := range l.writers {
		add(&sum.writes, &w.tally)
	}
	for _, m := range l.senders {
		add(&sum.messages, &m.tally)
	}
	return sum
}
