package chaos

import (
	"os"
	"testing"
	"time"

	"github.com/domaind/domaind/chaos/process"
)

// longestBirth is about how long a first start takes.
const longestBirth = 100 * time.Millisecond

// TestBirth kills the program at random moments of its first start, when it
// makes its database, its schema and its key, some times over; the start after
// that must go well.
func TestBirth(t *testing.T) {
	n := seed(t)
	moment := random(n, -1)
	births, kills, early := 0, 0, 0
	for end := time.Now().Add(loadTime(t) / 2); time.Now().Before(end) && !t.Failed(); births++ {
		s := newService(t, "DOMAIND_DKIM_POOL=0")
		for range 1 + moment.IntN(3) {
			p, err := process.Launch(binary, s.dir, s.settings...)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Duration(moment.Float64() * float64(longestBirth)))
			p.Kill()
			kills++
			if len(p.Log.Whole()) == 0 {
				early++ // before it listened
			}
		}
		s.start() // until it is ready: it writes, and has its key
		s.stop()
		if half, err := s.audit(""); err != nil || len(half) > 0 {
			t.Errorf("after a first start that was killed: %v %v", half, err)
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Fatal(err)
		}
	}
	if early == 0 {
		t.Error("no start was killed: the test has shown nothing")
	}
	if t.Failed() {
		return
	}
	figure("birth: %d kills in %d first starts, %d of them before it listened: all started after that (seed %d)", kills, births, early, n)
	figure("birth: bound: a first start that a kill spoils %s", bound(early))
}
