package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/store/storetest"
)

// world is a store on a real database with a clock that the test moves.
type world struct {
	*Store
	tb    testing.TB
	dir   string
	clock *clock
	// database is what to open, and key the file of its master key.
	database, key string
	keys          func(context.Context) (dkim.Key, error)
}

type clock struct{ ms atomic.Int64 }

func (c *clock) now() time.Time          { return at(c.ms.Load()) }
func (c *clock) forward(d time.Duration) { c.ms.Add(d.Milliseconds()) }

var start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// fakeKeys gives distinct keys fast; nothing here reads their content.
func fakeKeys() func(context.Context) (dkim.Key, error) {
	var n atomic.Int64
	return func(context.Context) (dkim.Key, error) {
		i := n.Add(1)
		return dkim.Key{
			Selector: fmt.Sprintf("s%d", i), Public: fmt.Sprintf("PUBLIC%d", i),
			Private: fmt.Appendf(nil, "PRIVATE-CANARY-%d", i),
		}, nil
	}
}

func (w *world) config() Config {
	return Config{
		Database: w.database, MasterKeyFile: w.key,
		Service: dnscheck.Service{
			MXHost: "mx.example.com", MXPriority: 10, SPF: "v=spf1 mx ~all",
			DMARC: "v=DMARC1; p=none;", DMARCRequired: true,
		},
		NewKey: w.keys, Now: w.clock.now, Rand: func() float64 { return 0.5 },
	}
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, dir: tb.TempDir(), clock: &clock{}, keys: fakeKeys()}
	w.database, w.key = storetest.New(tb, w.dir)
	w.clock.ms.Store(ms(start))
	w.open()
	return w
}

func (w *world) open() {
	w.tb.Helper()
	s, err := Open(context.Background(), w.config())
	if err != nil {
		w.tb.Fatal(err)
	}
	w.Store = s
	w.tb.Cleanup(func() {
		w.judgeExpectations(s)
		if err := s.Close(); err != nil {
			w.tb.Error(err)
		}
	})
}

func tenant(user string) Tenant { return Tenant{UserID: user, Actor: "key:" + user} }

func (w *world) create(user, name string) Details {
	w.tb.Helper()
	d, created, err := w.CreateDomain(context.Background(), tenant(user), NewDomain{Name: name, Unicode: name})
	if err != nil || !created {
		w.tb.Fatalf("create %s: created %v, %v", name, created, err)
	}
	return d
}

func (w *world) get(user, name string) Details {
	w.tb.Helper()
	d, err := w.Domain(context.Background(), tenant(user), name)
	if err != nil {
		w.tb.Fatal(err)
	}
	return d
}

// check claims a domain and records one verdict for each purpose; a purpose
// without one gets other.
func (w *world) check(user, name string, other dnscheck.Verdict, by map[dnscheck.Purpose]dnscheck.Verdict) {
	w.tb.Helper()
	job, err := w.ClaimDomain(context.Background(), tenant(user), name)
	if err != nil {
		w.tb.Fatal(err)
	}
	if err := w.Record(context.Background(), job, report(job, other, by)); err != nil {
		w.tb.Fatal(err)
	}
}

func report(job dnscheck.Job, other dnscheck.Verdict, by map[dnscheck.Purpose]dnscheck.Verdict) dnscheck.Report {
	r := dnscheck.Report{Domain: job.Target.Domain}
	for _, x := range job.Target.Records {
		v, ok := by[x.Purpose]
		if !ok {
			v = other
		}
		r.Results = append(r.Results, dnscheck.Result{
			ID: x.ID, Purpose: x.Purpose, Name: x.Name, Verdict: v, Confirmed: v.Bad(), TTL: time.Minute,
		})
	}
	return r
}

func record(d Details, p dnscheck.Purpose) Record {
	for _, r := range d.Records {
		if r.Purpose == p {
			return r
		}
	}
	return Record{}
}

func (w *world) events(user, name string) []string {
	w.tb.Helper()
	list, _, err := w.Events(context.Background(), tenant(user), name, 100, "")
	if err != nil {
		w.tb.Fatal(err)
	}
	types := make([]string, 0, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		types = append(types, list[i].Type)
	}
	return types
}

func count(list []string, want string) int {
	n := 0
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

func TestLifecycle(t *testing.T) {
	w := newWorld(t)
	d := w.create("u1", "customer.com")
	if len(d.Records) != 4 || d.Domain.Status != DomainStatusPending || d.Route.Mode != ForwardModeStore {
		t.Fatalf("created %+v", d)
	}
	jobs, err := w.Due(context.Background(), 10)
	if err != nil || len(jobs) != 1 || len(jobs[0].Target.Records) != 4 {
		t.Fatalf("due %+v, %v", jobs, err)
	}
	if again, _ := w.Due(context.Background(), 10); len(again) != 0 {
		t.Fatalf("claimed twice: %+v", again)
	}
	if err := w.Record(context.Background(), jobs[0], report(jobs[0], dnscheck.VerdictMatch, nil)); err != nil {
		t.Fatal(err)
	}
	got := w.get("u1", "customer.com")
	if got.Domain.Status != DomainStatusActive || !got.Domain.InboundReady || !got.Domain.SendingReady {
		t.Fatalf("after a match: %+v", got.Domain)
	}
	if !got.Domain.NextCheckAt.Equal(start.Add(6 * time.Hour)) {
		t.Errorf("next check at %v", got.Domain.NextCheckAt)
	}
	err = w.Record(context.Background(), jobs[0], report(jobs[0], dnscheck.VerdictMatch, nil))
	if !errors.Is(err, ErrStale) {
		t.Errorf("the same report twice: %v", err)
	}
	if err := w.DeleteDomain(context.Background(), tenant("u1"), "customer.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Domain(context.Background(), tenant("u1"), "customer.com"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after delete: %v", err)
	}
}
