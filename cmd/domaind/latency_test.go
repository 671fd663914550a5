package main_test

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/domaind/domaind/store/storetest"
)

var (
	latency     = flag.Bool("latency", false, "measure the calls of the API at a thousand domains and at many")
	latencyMany = flag.Int("many", 1_000_000, "how many domains are many")
)

const (
	latencyFew    = 1000
	latencyRounds = 15
	// latencyMost is how much longer a call may take at many domains.
	latencyMost = 1.3
)

// TestLatency measures every kind of call, by HTTP from the running program, at
// a thousand domains and at a million. The two programs are asked in turn, so
// that the machine's mood is the same for both; of the rounds the medians count.
//
// Both are warm: a round that is not measured asks for all that the others ask
// for. What a million domains cost a disk that was not read yet is not in it.
func TestLatency(t *testing.T) {
	if !*latency {
		t.Skip("a benchmark: make bench-latency")
	}
	few, many := newSized(t, latencyFew), newSized(t, *latencyMany)
	syscall.Sync() // else the kernel still writes what was filled
	few.serve(t)
	many.serve(t)
	calls := latencyCalls()
	for range 2 {
		for _, c := range calls {
			c.round(t, few, many)
		}
	}
	for _, c := range calls {
		c.took = [2][][]time.Duration{}
	}
	for range latencyRounds {
		for _, c := range calls {
			c.round(t, few, many)
		}
	}
	judge(t, calls)
}

// measured is one kind of call, and how long it took at both sizes, by round.
type measured struct {
	name string
	// a round asks this often
	times int
	ask   func(t *testing.T, s *sized) asked
	// before, unless it is nil, goes before each request, to both.
	before func(t *testing.T, s *sized)
	took   [2][][]time.Duration
}

// asked is one request and the status of its answer.
type asked struct {
	method, path, body string
	status             int
}

func (m *measured) round(t *testing.T, few, many *sized) {
	t.Helper()
	both := []*sized{few, many}
	var took [2][]time.Duration
	for n := range m.times {
		for i := range both {
			i = (i + n) % 2 // each is as often the first
			for _, s := range both {
				if m.before != nil {
					m.before(t, s)
				}
			}
			took[i] = append(took[i], both[i].send(t, m.ask(t, both[i])))
		}
	}
	for i := range took {
		m.took[i] = append(m.took[i], took[i])
	}
}

// quantile sorts the list.
func quantile(list []time.Duration, q float64) time.Duration {
	slices.Sort(list)
	return list[int(math.Ceil(q*float64(len(list))))-1]
}

func middle(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// growth is how much longer the call took at many domains: the median, of the
// rounds' medians.
func (m *measured) growth() float64 {
	var ratios []float64
	for round := range m.took[0] {
		ratios = append(ratios, float64(quantile(m.took[1][round], 0.5))/float64(quantile(m.took[0][round], 0.5)))
	}
	return middle(ratios)
}

// tailGrowth is that of the slowest in a hundred of all calls together, each
// call measured by its own median at a thousand domains.
func tailGrowth(calls []*measured) float64 {
	var ratios []float64
	for round := range calls[0].took[0] {
		var tails [2]time.Duration
		for i := range tails {
			var all []time.Duration
			for _, c := range calls {
				unit := quantile(c.took[0][round], 0.5)
				for _, d := range c.took[i][round] {
					all = append(all, time.Duration(float64(d)/float64(unit)*float64(time.Millisecond)))
				}
			}
			tails[i] = quantile(all, 0.99)
		}
		ratios = append(ratios, float64(tails[1])/float64(tails[0]))
	}
	return middle(ratios)
}

func judge(t *testing.T, calls []*measured) {
	t.Helper()
	worst, growth := "", 0.0
	fmt.Printf("%-22s %21s %29s\n", "", "p50", "p99")
	for _, c := range calls {
		few, many := slices.Concat(c.took[0]...), slices.Concat(c.took[1]...)
		g := c.growth()
		if g > growth {
			worst, growth = c.name, g
		}
		fmt.Printf("%-22s %9v %9v %6.2f   %9v %9v %6.2f\n", c.name, short(few, 0.5), short(many, 0.5), g,
			short(few, 0.99), short(many, 0.99), float64(quantile(many, 0.99))/float64(quantile(few, 0.99)))
	}
	tail := tailGrowth(calls)
	what := "latency:"
	if storetest.Postgres() {
		what = "on PostgreSQL:"
	}
	fmt.Printf("%s p50 %.2f, p99 %.2f of that at a thousand domains (worst call: %s)\n", what, growth, tail, worst)
	if growth > latencyMost || tail > latencyMost {
		t.Errorf("a call may take at most %.1f of its time at a thousand domains", latencyMost)
	}
}

func short(list []time.Duration, q float64) time.Duration {
	return quantile(list, q).Round(time.Microsecond)
}
