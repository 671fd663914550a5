package dnscheck_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// world is one server that is the whole DNS: every zone's authority, and the
// resolver that we ask.
type world struct {
	*dnstest.Server
	checker *dnscheck.Checker
}

// newWorld has our own host, and times that are short enough for tests.
func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	server.SetDelay(20 * time.Millisecond)
	client, err := resolve.NewClient(resolve.Config{
		Servers:  []netip.AddrPort{server.Addr()},
		Timeout:  400 * time.Millisecond,
		Schedule: []time.Duration{0, 150 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	cache := resolve.NewCache(client, resolve.CacheConfig{})
	t.Cleanup(func() { _ = cache.Close() })
	direct := resolve.NewDirect(resolve.DirectConfig{
		Resolver: cache.Shared(),
		Allow:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Port:     server.Addr().Port(),
		Timeout:  400 * time.Millisecond, ServerTimeout: 200 * time.Millisecond,
	})
	t.Cleanup(func() { _ = direct.Close() })
	w := &world{Server: server, checker: dnscheck.NewChecker(dnscheck.Config{
		Fresh: cache.Fresh(), Shared: cache.Shared(), Direct: direct, MXHosts: []string{ourMX},
	})}
	w.publish(t, ourMX+". IN A 192.0.2.25")
	return w
}

func (w *world) publish(t *testing.T, lines ...string) {
	t.Helper()
	if err := w.Set(lines...); err != nil {
		t.Fatal(err)
	}
}

// plan publishes the four records as Zone writes them.
func (w *world) plan(t *testing.T) {
	t.Helper()
	var records []dnscheck.PlannedRecord
	for _, x := range target().Records {
		r := dnscheck.PlannedRecord{Type: dnscheck.TypeTXT, Name: x.Name, Value: x.Value, Priority: x.Priority, TTL: 60}
		if x.Purpose == dnscheck.PurposeMX {
			r.Type = dnscheck.TypeMX
		}
		records = append(records, r)
	}
	w.publish(t, strings.Split(strings.TrimSpace(dnscheck.Zone(records)), "\n")...)
}

func TestRealServer(t *testing.T) {
	w := newWorld(t)
	look := func(x dnscheck.Target, onDemand bool) string {
		return verdicts(w.checker.Check(t.Context(), x, dnscheck.Options{OnDemand: onDemand}))
	}
	if got, want := look(target(), false), "missing(mx_missing) missing(spf_missing) missing(dkim_missing) missing(dmarc_missing)"; got != want {
		t.Errorf("before: %q, want %q", got, want)
	}
	w.plan(t)
	if got, want := look(target(), true), "match match match match"; got != want {
		t.Errorf("published: %q, want %q", got, want)
	}
	w.Remove(dkimAt, "TXT")
	if got, want := look(verified(), false), "match match missing(dkim_missing)! match"; got != want {
		t.Errorf("removed: %q, want %q", got, want)
	}
}

// definite are the behaviours that say something about the zone: what they
// show is a verdict. All others must never be one against a record.
var definite = []dnstest.Behaviour{
	dnstest.NXDomain, dnstest.NXDomainNoSOA, dnstest.NoData, dnstest.NoDataNoSOA,
	dnstest.TXT200, dnstest.TXT64K, dnstest.Stray, dnstest.Chain8,
}

// Whatever a zone's server does, the check ends in time and within its
// queries, and no fault speaks against a verified record.
func TestEveryFaultOfAServer(t *testing.T) {
	names := map[string]string{"apex": domain, "selector": dkimAt}
	for _, b := range dnstest.Behaviours() {
		for where, name := range names {
			t.Run(string(b)+" at the "+where, func(t *testing.T) {
				t.Parallel()
				testFault(t, b, name)
			})
		}
	}
}

func testFault(t *testing.T, b dnstest.Behaviour, name string) {
	w := newWorld(t)
	w.plan(t)
	w.Fault(name, b)
	for onDemand, limit := range map[bool]int{false: 20, true: 30} {
		start, before := time.Now(), w.Total()
		r := w.checker.Check(t.Context(), verified(), dnscheck.Options{OnDemand: onDemand})
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		const shared = 2 // the addresses of our own host, once for all domains
		if asked := w.Total() - before; r.Queries > limit || asked > limit+shared {
			t.Errorf("on demand %v: sent %d queries, %d came, more than %d", onDemand, r.Queries, asked, limit)
		}
		if len(r.Results) != 4 {
			t.Fatalf("%d results", len(r.Results))
		}
		t.Logf("on demand %v: %d queries: %s", onDemand, r.Queries, verdicts(r))
		for i, res := range r.Results {
			told := target().Records[i].Name == name || name == domain && b == dnstest.NXDomain
			if res.Verdict.Bad() && (!told || !slices.Contains(definite, b)) {
				t.Errorf("%s: %s %s: %s", res.Purpose, res.Verdict, res.Code, res.Detail)
			}
		}
	}
}
