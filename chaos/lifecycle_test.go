package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/domaind/domaind/gen/client"
)

const (
	clients = 6
	// eraNames and eraKills bound how many calls without answer there are on
	// one name: the time of a check doubles with each.
	eraNames   = 3
	eraKills   = 2
	longestRun = 600 * time.Millisecond
)

// era is one history: all clients on a few names, with kills in between.
type era struct {
	*caller
	t     *testing.T
	names []string
	h     *history
}

func newEra(t *testing.T, s *service, n int) *era {
	e := &era{t: t, h: newHistory(), caller: &caller{service: s, users: [2]string{"ann", "ben"}}}
	for i := range eraNames {
		e.names = append(e.names, fmt.Sprintf("e%d-%d.example", n, i))
	}
	return e
}

// each asks the same of every claim, all at once.
func (e *era) each(k kind) {
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { e.ask(i, request{kind: k, user: i % 2, name: e.names[i/2%eraNames]}) })
	}
	all.Wait()
}

// run has all clients at work, and kills the program after some time.
func (e *era) run(random []*rand.Rand, some time.Duration) {
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			repeat(func() bool { return e.ask(i, e.choose(random[i])) })
		})
	}
	<-time.After(some)
	e.kill()
	all.Wait()
}

// ask makes a call and writes it down; it reports whether there was an answer.
func (e *era) ask(worker int, r request) bool {
	return e.h.do(worker, r, func() (any, bool) {
		got, err := e.call(r)
		if errors.As(err, new(fault)) || errors.As(err, new(status)) {
			e.t.Error(err)
		}
		return got, err == nil
	})
}

func (e *era) choose(r *rand.Rand) request {
	out := request{name: e.names[r.IntN(len(e.names))], user: r.IntN(2)}
	switch n := r.IntN(200); {
	case n < 20:
		out.kind = create
	case n < 26:
		out.kind = remove
	case n < 48:
		out.kind, out.to = route, fmt.Sprintf("n%d@elsewhere.example", r.IntN(1e6))
	case n < 49:
		out.kind = rotate
	case n < 140:
		out.kind, out.purpose = mark, purposes[r.IntN(len(purposes))]
		out.status = [...]client.RecordStatus{
			client.RecordStatusVerified, client.RecordStatusVerified, client.RecordStatusVerified,
			client.RecordStatusDisabled, client.RecordStatusPending, client.RecordStatusFailed,
		}[r.IntN(6)]
		if !e.knows(out) {
			out.kind = create
		}
	default:
		out.kind = info
	}
	return out
}

// TestLifecycle has clients of two users call about the same names at the same
// time, with kills in between, and asks whether what they were told fits a
// service that does one call after the other.
func TestLifecycle(t *testing.T) {
	n := seed(t)
	s, moment := newService(t, "DOMAIND_DKIM_POOL=8"), random(n, -1)
	workers := make([]*rand.Rand, clients)
	for i := range workers {
		workers[i] = random(n, i)
	}
	s.start()
	var eras, kills, calls, open int
	for end := time.Now().Add(loadTime(t)); time.Now().Before(end) && !t.Failed(); eras++ {
		e := newEra(t, s, eras)
		e.each(create)
		for range eraKills {
			e.run(workers, time.Duration(moment.Float64()*float64(longestRun)))
			s.start()
			kills++
		}
		e.each(info)
		ops := e.h.taken()
		judge(t, ops)
		for _, op := range ops {
			calls++
			if op.Output == nil {
				open++
			}
		}
	}
	if open == 0 {
		t.Error("no call was cut: the test has shown nothing")
	}
	if t.Failed() {
		return
	}
	figure("lifecycle: %d kills, %d clients of 2 users on %d names: %d calls, %d without answer, %d histories, all linearizable (seed %d)",
		kills, clients, eras*eraNames, calls, open, eras, n)
	figure("lifecycle: bound: a history that is not %s", bound(eras*eraNames))
}
