package chaos

import (
	"sync"
	"testing"
	"time"
)

const (
	writers = 8
	senders = 4
	// longestRound is how long the load may go on before the next kill.
	longestRound = 1200 * time.Millisecond
)

// load is the clients of one service, which remember what they were told.
type load struct {
	*service
	writers []*writer
	senders []*sender
	seen    []ack // messages that were checked once
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
			for len(w.names) < firstNames && w.step() {
			}
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

// missing compares all that was acknowledged with what is there.
func (l *load) missing() []string {
	var missing []string
	for _, w := range l.writers {
		missing = append(missing, w.check()...)
	}
	for _, m := range l.senders {
		missing = append(missing, l.lost(m.acks)...)
		l.seen, m.acks = append(l.seen, m.acks...), nil
	}
	half, err := l.audit()
	if err != nil {
		missing = append(missing, err.Error())
	}
	return append(missing, half...)
}

func (l *load) acked() (writes, messages, refused, open int) {
	for _, w := range l.writers {
		writes, refused, open = writes+w.acked, refused+w.refused, open+w.open
	}
	for _, m := range l.senders {
		messages, refused, open = messages+m.acked, refused+m.refused, open+m.open
	}
	return writes, messages, refused, open
}

// TestSQLite kills the program at random moments under load, and looks after
// each restart for what it had acknowledged.
func TestSQLite(t *testing.T) {
	n := seed(t)
	s := newService(t)
	l, moment := newLoad(t, s, n), random(n, -1)
	l.begin(t)
	kills := 0
	for end := time.Now().Add(loadTime(t)); time.Now().Before(end); kills++ {
		l.killAfter(time.Duration(moment.Float64() * float64(longestRound)))
		s.start()
		for _, m := range l.missing() {
			t.Errorf("after %d kills: %s", kills+1, m)
		}
		if t.Failed() {
			return
		}
	}
	for _, m := range l.lost(l.seen) {
		t.Errorf("at the end: %s", m)
	}
	s.stop()
	keys, shut, err := s.openKeys()
	if err != nil || len(shut) > 0 {
		t.Errorf("keys: %v %v", shut, err)
	}
	writes, messages, refused, open := l.acked()
	if writes == 0 || messages == 0 || open == 0 || refused > 0 {
		t.Errorf("%d writes, %d messages, %d calls without answer, %d refused: the test has shown nothing", writes, messages, open, refused)
	}
	figure("sqlite: %d kills, %d writers, %d senders: %d acknowledged writes, %d acknowledged messages, %d keys, 0 missing, 0 half written; %d calls without answer (seed %d)",
		kills, writers, senders, writes, messages, keys, open, n)
	figure("sqlite: bounds: a kill -9 that loses something %s, a lost write %s, a lost message %s; no power was cut", bound(kills), bound(writes), bound(messages))
}
