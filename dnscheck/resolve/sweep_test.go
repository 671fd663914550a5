package resolve_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/dnscheck/resolve"
)

var sweep = flag.Bool("sweep", false, "measure lookups a second against dnsperf (needs knotd and dnsperf)")

const (
	sweepZones  = 10_000
	sweepRounds = 7
	// sweepInFlight is what one single-threaded server takes without loss.
	sweepInFlight = resolve.DefaultInFlight
	userHertz     = 100 // the unit of CPU times in /proc/PID/stat
)

// sweepQuery is one question, and how many strings the answer has.
type sweepQuery struct {
	name    string
	qtype   resolve.Type
	strings int
}

// cost is what one round took.
type cost struct {
	lookups        int
	wall           time.Duration
	client, server time.Duration // CPU
}

func (c cost) rate() float64 { return float64(c.lookups) / c.wall.Seconds() }

// TestSweepRate measures how fast the monitor's resolver asks a local
// authority for the four records of many zones, next to dnsperf with the same
// questions and as many in flight. The two take turns, so that whatever else
// the machine does meets both.
func TestSweepRate(t *testing.T) {
	if !*sweep {
		t.Skip("a benchmark: make bench-sweep")
	}
	dnsperf, err := exec.LookPath("dnsperf")
	if err != nil {
		t.Fatal("dnsperf is missing: apt-get install dnsperf")
	}
	zones, queries := sweepZone(sweepZones)
	server := lab.StartBulk(t, zones)
	client := newClient(t, resolve.Config{Timeout: resolve.DefaultTimeout}, server.Addr)
	cache := resolve.NewCache(client, resolve.CacheConfig{})
	t.Cleanup(func() { _ = cache.Close() })
	file := writeQueries(t, queries)

	var ours, theirs []cost
	for range sweepRounds {
		ours = append(ours, measure(t, server.PID, syscall.RUSAGE_SELF, func() (int, time.Duration) {
			return lookUpAll(t, cache.Fresh(), queries)
		}))
		theirs = append(theirs, measure(t, server.PID, syscall.RUSAGE_CHILDREN, func() (int, time.Duration) {
			return runDNSPerf(t, dnsperf, server, file)
		}))
	}
	fmt.Printf("%d zones x 4 records, %d in flight, medians of %d interleaved rounds\n", sweepZones, sweepInFlight, sweepRounds)
	x, y := show("domaind", ours), show("dnsperf", theirs)
	fmt.Printf("sweep: %.0f lookups/s, %.2f of dnsperf\n", x, x/y)
}

// sweepZone returns zones as customers have them, and the questions of a sweep.
func sweepZone(n int) (zones []lab.Master, queries []sweepQuery) {
	key := make([]byte, 294) // an RSA key of 2048 bits
	_, _ = rand.Read(key)
	p := base64.StdEncoding.EncodeToString(key)
	for i := range n {
		apex := fmt.Sprintf("customer%d.sweep.example", i)
		dkim := fmt.Sprintf("s%d._domainkey.%s", i, apex)
		zones = append(zones, lab.Master{Apex: apex, Records: fmt.Sprintf(`%[1]s. 300 MX 10 mx.sweep.example.
%[1]s. 300 TXT "v=spf1 mx ~all"
_dmarc.%[1]s. 300 TXT "v=DMARC1; p=none;"
%[2]s. 300 TXT "v=DKIM1; k=rsa; p=%[3]s" %[4]q
`, apex, dkim, p[:200], p[200:])})
		queries = append(queries,
			sweepQuery{apex, resolve.TypeMX, 0}, sweepQuery{apex, resolve.TypeTXT, 1},
			sweepQuery{"_dmarc." + apex, resolve.TypeTXT, 1}, sweepQuery{dkim, resolve.TypeTXT, 2})
	}
	return zones, queries
}

func writeQueries(t *testing.T, queries []sweepQuery) string {
	var b bytes.Buffer
	for _, q := range queries {
		kind := "TXT"
		if q.qtype == resolve.TypeMX {
			kind = "MX"
		}
		fmt.Fprintf(&b, "%s. %s\n", q.name, kind)
	}
	file := filepath.Join(t.TempDir(), "queries")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// lookUpAll asks all questions and returns how many there were, and the time;
// every answer must be the right one.
func lookUpAll(t *testing.T, r resolve.Resolver, queries []sweepQuery) (int, time.Duration) {
	began := time.Now()
	var next atomic.Int64
	group, ctx := errgroup.WithContext(t.Context())
	for range sweepInFlight {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(queries) {
					return nil
				}
				if err := lookUp(ctx, r, queries[i]); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return len(queries), time.Since(began)
}

func lookUp(ctx context.Context, r resolve.Resolver, q sweepQuery) error {
	a, err := r.Lookup(ctx, q.name, q.qtype)
	switch {
	case err != nil:
		return err
	case q.qtype == resolve.TypeMX && len(a.MX) == 1:
	case q.qtype == resolve.TypeTXT && len(a.TXT) == 1 && len(a.TXT[0].Strings) == q.strings:
	default:
		return fmt.Errorf("%s: the answer is %+v", q.name, a)
	}
	return nil
}

var perfResult = regexp.MustCompile(`(?s)Queries completed: +(\d+).*Run time \(s\): +([0-9.]+)`)

// runDNSPerf asks the questions once, gives each up when we would try again,
// and returns how many had an answer, and dnsperf's own time for it.
func runDNSPerf(t *testing.T, dnsperf string, server *lab.Bulk, file string) (int, time.Duration) {
	out, err := exec.CommandContext(t.Context(), dnsperf, "-s", server.Addr.Addr().String(),
		"-p", strconv.Itoa(int(server.Addr.Port())), "-d", file, "-n", "1", "-e", "-t", "3",
		"-q", strconv.Itoa(sweepInFlight)).CombinedOutput()
	found := perfResult.FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("dnsperf: %v\n%s", err, out)
	}
	n, _ := strconv.Atoi(string(found[1]))
	wall, err := time.ParseDuration(string(found[2]) + "s")
	if err != nil {
		t.Fatalf("dnsperf: %v\n%s", err, out)
	}
	return n, wall
}

// measure returns what one round of lookups took the client, which is this
// process or its children, and the server.
func measure(t *testing.T, server, who int, round func() (int, time.Duration)) cost {
	client, served := cpuOf(t, who), cpuOfProcess(t, server)
	var c cost
	c.lookups, c.wall = round()
	c.client, c.server = cpuOf(t, who)-client, cpuOfProcess(t, server)-served
	return c
}

func cpuOf(t *testing.T, who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOfProcess reads user and system time, fields 14 and 15 of proc(5)'s stat.
func cpuOfProcess(t *testing.T, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The second field is a name in brackets and may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHertz
}

// show prints the medians of all rounds, and returns lookups a second.
func show(name string, rounds []cost) float64 {
	each := func(value func(cost) float64) float64 {
		var v []float64
		for _, c := range rounds {
			v = append(v, value(c))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	micros := func(d time.Duration, c cost) float64 { return float64(d.Microseconds()) / float64(c.lookups) }
	rate := each(cost.rate)
	fmt.Printf("%s: %6.0f lookups/s, CPU a lookup: client %4.1f us, server %4.1f us\n", name, rate,
		each(func(c cost) float64 { return micros(c.client, c) }), each(func(c cost) float64 { return micros(c.server, c) }))
	return rate
}
