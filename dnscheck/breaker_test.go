package dnscheck_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// moody answers by the domain's name: t… times out, b… has no MX, g… is fine;
// everything fails while down is set.
type moody struct{ down atomic.Bool }

func (m *moody) Lookup(_ context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	switch {
	case m.down.Load(), strings.HasPrefix(name, "t"):
		return resolve.Answer{}, &resolve.Error{Code: resolve.CodeTimeout, Name: name}
	case strings.HasPrefix(name, "g") && qtype == resolve.TypeMX:
		return mx(ourMX), nil
	}
	return resolve.Answer{TTL: time.Second}, nil
}

func named(id int64, name string) dnscheck.Job {
	j := job(id)
	j.Target.Domain, j.Target.Records[0].Name = name, name
	j.Target.Records[0].Failures = 1
	return j
}

// sweep checks n new domains of one kind and returns the verdicts of the last.
func sweep(t *testing.T, m *dnscheck.Monitor, q *queue, kind string, n int) string {
	t.Helper()
	_, _, claims := q.counts()
	return again(t, m, q, fmt.Sprintf("%s%d", kind, claims), n)
}

// again checks n domains whose names begin with a prefix.
func again(t *testing.T, m *dnscheck.Monitor, q *queue, prefix string, n int) string {
	t.Helper()
	for i := range n {
		q.mu.Lock()
		q.due = append(q.due, named(int64(i), fmt.Sprintf("%s-%d.example", prefix, i)))
		q.mu.Unlock()
	}
	for {
		done, err := m.RunOnce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if done == 0 {
			break
		}
	}
	reports := q.reports(int64(n - 1))
	return verdicts(reports[len(reports)-1])
}

func TestBreakerOpensOnTooManyUnknown(t *testing.T) {
	q := newQueue()
	cfg := monitor(q, &moody{})
	var log strings.Builder
	var states []bool
	cfg.Concurrency = 1
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Observer.BreakerOpen = func(open bool) { states = append(states, open) }
	m := dnscheck.NewMonitor(cfg)

	steps := []struct {
		kind string
		n    int
		want string
	}{
		{"t", 49, "unknown(dns_timeout)"}, // too few to say anything
		{"b", 1, "unknown(resolver_down)"},
		{"g", 5, "match"},
		{"b", 13, "unknown(resolver_down)"},
		{"t", 1, "unknown(dns_timeout)"}, // 19 answers in a row were not enough
		{"b", 19, "unknown(resolver_down)"},
		{"b", 1, "missing(mx_missing)"},
		{"b", 40, "missing(mx_missing)"},
		{"t", 10, "unknown(dns_timeout)"},
		{"b", 1, "missing(mx_missing)"}, // 10 of 51, and not more than a fifth
	}
	for i, s := range steps {
		if got := sweep(t, m, q, s.kind, s.n); got != s.want {
			t.Errorf("step %d: %d of %s: %q, want %q", i, s.n, s.kind, got, s.want)
		}
	}
	if len(states) != 2 || !states[0] || states[1] {
		t.Errorf("states %v, want open and closed", states)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines in the log, want 2:\n%s", n, log.String())
	}
}

// A few dead zones are looked at again and again; they must not outweigh the
// verified ones, which are looked at seldom.
func TestDeadZonesDoNotOpenBreaker(t *testing.T) {
	q := newQueue()
	m := dnscheck.NewMonitor(monitor(q, &moody{}))
	sweep(t, m, q, "g", 45)
	for range 50 {
		again(t, m, q, "t", 5)
	}
	if got := sweep(t, m, q, "b", 1); got != "missing(mx_missing)" {
		t.Errorf("verdict %q while 5 of 50 zones are dead", got)
	}
	again(t, m, q, "there", 50)
	if got := sweep(t, m, q, "b", 1); got != "unknown(resolver_down)" {
		t.Errorf("verdict %q after 50 more zones went silent", got)
	}
}

func TestCanaryOpensBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, q := &moody{}, newQueue()
		m := dnscheck.NewMonitor(monitor(q, r))
		stop := run(m)
		r.down.Store(true)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		r.down.Store(false)
		if got := sweep(t, m, q, "b", 1); got != "unknown(resolver_down)" {
			t.Errorf("verdict %q while the canary is silent", got)
		}
		if got := sweep(t, m, q, "g", 1); got != "match" {
			t.Errorf("verdict %q: a match always counts", got)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := sweep(t, m, q, "b", 1); got != "missing(mx_missing)" {
			t.Errorf("verdict %q after the canary sang again", got)
		}
		stop()
	})
}
