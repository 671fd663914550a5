//go:build linux

package chaos

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

const (
	cutDomains    = 20
	vainLooks     = 8
	longestCut    = 8 * time.Second
	islandCallers = 10 // that read, and as many that write
	// The addresses of the hub, each reached by links of its own.
	databaseIP = "10.98.0.1"
	dnsIP      = "10.98.0.2"
	// cutOffWithin is how soon a replica whose packets vanish says that it is
	// not ready: the age of the last probe, and what the next one may take.
	cutOffWithin = 6 * time.Second
	// backWithin is how soon it is ready after the link is back.
	backWithin = 5 * time.Second
	// checksWithin is how soon it checks again.
	checksWithin = 15 * time.Second
	// slowCheck is how long a check takes, so that some are in flight.
	slowCheck = 400 * time.Millisecond
	// overtakenAfter is when a lease ends, instead of after leaseOf.
	overtakenAfter = 2500 * time.Millisecond
)

// islands is a fleet of which each replica lives in a network namespace of its
// own, with one link to the database and one to DNS.
type islands struct {
	*fleet
	database, resolver []*link

	down, up, answer []time.Duration
	claims           int // of those cut off, which others took over
}

func newIslands(t *testing.T, settings ...string) *islands {
	t.Helper()
	hub := newNamespace(t)
	if err := hub.all("addr add "+databaseIP+"/32 dev lo", "addr add "+dnsIP+"/32 dev lo"); err != nil {
		t.Fatal(err)
	}
	server := storetest.NewServer(t, storetest.ServerOptions{Listen: databaseIP, Enter: hub.do})
	socket := server.Schema(t)
	p := &islands{fleet: &fleet{server: server, db: openDB(t, socket)}}
	err := hub.do(func() (err error) {
		p.dns, err = dnstest.StartAt(netip.MustParseAddrPort(dnsIP + ":0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.dns.Close)
	newFleet(t, p.fleet, "postgres://postgres@"+databaseIP+"/postgres?search_path=t1",
		append(settings, "DOMAIND_SMTP_LISTEN=off")...)
	for n, s := range p.replicas {
		place := newNamespace(t)
		p.database = append(p.database, connect(t, hub, place, 10+n, databaseIP))
		p.resolver = append(p.resolver, connect(t, hub, place, 20+n, dnsIP))
		s.enter = place.do
		s.through = func(plain *http.Transport) http.RoundTripper {
			plain.DialContext = place.dial
			return p.answers.through(plain)
		}
	}
	return p
}

// slow has every look at the checked domains take a while, or not.
func (p *islands) slow(b dnstest.Behaviour) {
	p.dns.SetDelay(slowCheck)
	for i := range cutDomains {
		p.dns.Fault(fmt.Sprintf(checkedName, i), b)
	}
}

// withoutDatabase cuts a replica off from the database while it has checks in
// flight, until others have done these; and, unless it is to be brief, until it
// says that it is not ready, and for some time more.
func (p *islands) withoutDatabase(n int, brief bool, more time.Duration) {
	who, s := fmt.Sprintf("r%d", n), p.replicas[n]
	eventually(p.t, time.Minute, "it has checks in flight", func() bool { return p.held(who) > 1 })
	if err := p.database[n].cut(); err != nil {
		p.t.Fatal(err)
	}
	since, start := p.lastAudit(), time.Now()
	held := p.heldAt(who, since)
	p.claims += len(held)
	stop := p.callers(s)
	if !brief {
		eventually(p.t, cutOffWithin, "it is not ready", func() bool { return s.ready() == http.StatusServiceUnavailable })
		p.down = append(p.down, time.Since(start))
		<-time.After(more)
	}
	eventually(p.t, time.Minute, "others have checked what it held", func() bool { return p.doneBy(who, since, held) })
	if err := p.database[n].mend(); err != nil {
		p.t.Fatal(err)
	}
	start = time.Now()
	eventually(p.t, backWithin, "it is ready again", func() bool { return s.ready() == http.StatusOK })
	p.up = append(p.up, time.Since(start))
	p.answer = append(p.answer, stop())
	since = p.lastAudit()
	eventually(p.t, checksWithin, "it checks again", func() bool { return p.recorded(who, since) > 0 })
}

// heldAt returns the domains that a replica held at row n.
func (p *islands) heldAt(who string, n int) (held []int64) {
	rows, err := p.db.Query(`SELECT domain_id FROM (SELECT DISTINCT ON (domain_id) domain_id, who, kind FROM audit
		WHERE n <= $2 AND kind <> 'due' ORDER BY domain_id, n DESC) AS last WHERE who = $1 AND kind = 'claim'`, who, n)
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			p.t.Fatal(err)
		}
		held = append(held, id)
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return held
}

// doneBy reports whether others than who have recorded all these since row n.
func (p *islands) doneBy(who string, n int, held []int64) bool {
	return p.number(`SELECT count(DISTINCT domain_id) FROM audit WHERE n > $1 AND who <> $2 AND kind = 'record'
		AND domain_id = ANY($3)`, n, who, held) == len(held)
}

// callers has clients of the API read and write without a pause. Each call
// must be answered; stop returns the longest time that one took.
func (p *islands) callers(s *service) (stop func() time.Duration) {
	var enough atomic.Bool
	var all sync.WaitGroup
	slowest := make([]time.Duration, 2*islandCallers) // of each
	for i := range 2 * islandCallers {
		name := fmt.Sprintf(checkedName, i)
		all.Go(func() {
			for !enough.Load() {
				start := time.Now()
				if err := touch(s, name, i%2 == 0); err != nil {
					p.t.Error(err)
				}
				slowest[i] = max(slowest[i], time.Since(start))
				<-time.After(tick)
			}
		})
	}
	return func() time.Duration {
		enough.Store(true)
		all.Wait()
		return slices.Max(slowest)
	}
}

// touch reads a domain, or writes it; the error is that of a call without answer.
func touch(s *service, name string, write bool) (err error) {
	if write {
		_, err = s.now().PutRouteWithResponse(context.Background(), name, nil,
			client.PutRouteRequest{UserID: checkedUser, ForwardMode: client.ForwardModeStore})
	} else {
		_, err = s.now().GetDomainWithResponse(context.Background(), name, &client.GetDomainParams{UserID: checkedUser})
	}
	return err
}

// TestPartitionDatabase has the packets between a replica and the database
// vanish, again and again: for a time that ends all connections, or for a short
// one in which what was on its way stays so.
func TestPartitionDatabase(t *testing.T) {
	t.Parallel()
	n := seed(t)
	p, moment := newIslands(t), random(n, -1)
	p.begin(cutDomains)
	p.slow(dnstest.Late)
	stop := p.hurrying(overtakenAfter)
	defer stop()
	cuts, least := 0, 1
	if os.Getenv("CHAOS_TIME") != "" {
		least = 2 // a brief one too
	}
	for end := time.Now().Add(loadTime(t)); cuts < least || time.Now().Before(end); cuts++ {
		more := time.Duration(moment.Float64() * float64(longestCut))
		if p.withoutDatabase(moment.IntN(replicas), cuts%2 == 1, more); t.Failed() {
			return
		}
	}
	stop()
	p.slow("")
	late := p.late()
	p.all(func(_ int, s *service) { s.stop() })
	j, err := p.judge()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range j.doubles {
		t.Error(d)
	}
	if p.claims == 0 || p.answers.unavailable.Load() == 0 {
		t.Errorf("%d claims, %d late results, %+v: the test has shown nothing", p.claims, late, j)
	}
	if t.Failed() {
		return
	}
	figure("partition: database: %d cuts of one of %d replicas, all packets lost: not ready within %v, every call answered within %v, %d with 503, 0 with 500; "+
		"%d checks in flight done by others, %d claims, %d results, %d late ones refused, 0 accepted, 0 claimed by two; ready again within %v, without a restart (seed %d)",
		cuts, replicas, longest(p.down), longest(p.answer), p.answers.unavailable.Load(), p.claims, j.claims, j.records, late, longest(p.up), n)
	figure("partition: database: bound: a cut that goes wrong %s; leases were ended by the test, %v after the claim", bound(cuts), overtakenAfter)
}

// TestPartitionDNS has the packets between a replica and its resolver vanish:
// what it looks at is unknown, and no status moves.
func TestPartitionDNS(t *testing.T) {
	if os.Getenv("CHAOS_TIME") == "" {
		t.Skip("it waits for many timeouts: make chaos runs it")
	}
	t.Parallel()
	p := newIslands(t, "DOMAIND_CHECK_CONCURRENCY=8")
	p.begin(cutDomains)
	events := p.moved()
	stop := p.hurrying(leaseOf)
	defer stop()
	cuts, vain := 0, 0
	for end := time.Now().Add(loadTime(t)); cuts < 1 || time.Now().Before(end); cuts++ {
		vain += p.withoutDNS(cuts % replicas)
	}
	if moved, active := p.moved(), p.active(); events <= 0 || moved != events || active != cutDomains {
		t.Errorf("%d events of DNS, %d before the cuts, %d of %d domains active", moved, events, active, cutDomains)
	}
	if t.Failed() {
		return
	}
	figure("partition: dns: %d cuts of one of %d replicas, %d checks in vain: 0 of %d domains moved", cuts, replicas, vain, cutDomains)
	figure("partition: dns: bound: a cut that moves a domain %s", bound(cuts))
}

// withoutDNS cuts a replica off from its resolver, and returns how many checks
// it has made in vain.
func (p *islands) withoutDNS(n int) int {
	who, since := fmt.Sprintf("r%d", n), p.lastAudit()
	if err := p.resolver[n].cut(); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, time.Minute, "it has looked in vain", func() bool { return p.vain(who, since) >= vainLooks })
	if code := p.replicas[n].ready(); code != http.StatusOK {
		p.t.Errorf("without DNS a replica answers %d: it can do all else", code)
	}
	vain := p.vain(who, since)
	if err := p.resolver[n].mend(); err != nil {
		p.t.Fatal(err)
	}
	since = p.lastAudit()
	eventually(p.t, time.Minute, "its looks are good again", func() bool { return p.recorded(who, since)-p.vain(who, since) > 3 })
	return vain
}
