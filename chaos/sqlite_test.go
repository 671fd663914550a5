package chaos

import (
	"testing"
	"time"
)

// longestRound is how long the load may go on before the next kill.
const longestRound = 800 * time.Millisecond

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
	lost := l.lost(l.seen)
	s.stop()
	half, err := s.audit("")
	if len(lost) > 0 || len(half) > 0 || err != nil {
		t.Errorf("at the end: %v %v %v", lost, half, err)
	}
	keys, shut, err := s.openKeys()
	if err != nil || len(shut) > 0 {
		t.Errorf("keys: %v %v", shut, err)
	}
	sum := l.totals()
	if sum.writes == 0 || sum.messages == 0 || sum.open == 0 || sum.refused > 0 {
		t.Errorf("%+v: refused without a reason, or the test has shown nothing", sum)
	}
	if t.Failed() {
		return
	}
	figure("sqlite: %d kills, %d writers, %d senders: %d acknowledged writes, %d acknowledged messages, %d keys, 0 missing, 0 half written; %d calls without answer (seed %d)",
		kills, writers, senders, sum.writes, sum.messages, keys, sum.open, n)
	figure("sqlite: bound: a kill -9 that loses or halves something %s; no power was cut", bound(kills))
}
