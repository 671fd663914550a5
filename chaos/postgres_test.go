package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

const (
	killedDomains = 20
	// saysNoWithin and resumesWithin are how soon readiness tells of a server
	// that is gone, and of one that is back.
	saysNoWithin  = 3 * time.Second
	resumesWithin = 5 * time.Second
	// lostAfter is when a claim without a result is taken to be lost.
	lostAfter = 4 * time.Second
)

// outage is one way to take something away in the middle of the load.
type outage struct {
	what string
	do   func(*killing)
}

var outages = []outage{
	{"pg_ctl stop -m immediate", func(k *killing) { k.withoutServer(k.server.Stop) }},
	{"kill -9 of a replica", (*killing).replica},
	{"kill -9 of the postmaster", func(k *killing) { k.withoutServer(k.server.Kill) }},
	{"kill -9 of the postmaster, and of a replica meanwhile", func(k *killing) { k.withoutServer(k.server.Kill, k.victim()) }},
}

// killing is the fleet while servers and replicas die.
type killing struct {
	*crowd
	random *rand.Rand

	servers, replicasKilled int
	down, up                []time.Duration
}

func newKilling(t *testing.T, seed uint64) *killing {
	t.Helper()
	server := storetest.NewServer(t, storetest.ServerOptions{})
	url := server.Schema(t)
	dns, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	f := &fleet{server: server, dns: dns, db: openDB(t, url)}
	newFleet(t, f, url)
	return &killing{crowd: newCrowd(t, f, seed), random: random(seed, -1)}
}

func openDB(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// withoutServer ends the server, sees that all replicas say so, and nothing
// else, kills some of them, and sees the others resume by themselves.
func (k *killing) withoutServer(end func() error, victims ...*service) {
	k.servers++
	if err := end(); err != nil {
		k.t.Fatal(err)
	}
	k.down = append(k.down, k.readiness(http.StatusServiceUnavailable, saysNoWithin))
	k.all(func(n int, s *service) { k.refused(s, k.clients.senders[n]) })
	for _, s := range victims {
		k.replicasKilled++
		s.kill()
	}
	if err := k.server.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.up = append(k.up, k.readiness(http.StatusOK, resumesWithin))
	for _, s := range victims {
		s.start()
	}
}

// readiness waits until all that live are ready or not, and returns how long it
// took.
func (k *killing) readiness(code int, within time.Duration) time.Duration {
	start := time.Now()
	for n, s := range k.replicas {
		if s.now().gone {
			continue
		}
		eventually(k.t, within, fmt.Sprintf("/readyz of replica %d answers %d", n, code), func() bool { return s.ready() == code })
	}
	return time.Since(start)
}

// refused asks a replica without database: it lives, and refuses for now.
func (k *killing) refused(s *service, m *sender) {
	ctx := context.Background()
	if reply, err := s.now().GetLivezWithResponse(ctx); err != nil || reply.StatusCode() != http.StatusOK {
		k.t.Errorf("without database it does not live: %v", err)
	}
	read, err := s.now().ListDomainsWithResponse(ctx, &client.ListDomainsParams{UserID: checkedUser})
	if err != nil || read.StatusCode() != http.StatusServiceUnavailable {
		k.t.Errorf("a read without database: %v %v", read, err)
	}
	write, err := s.now().CreateDomainWithResponse(ctx, client.CreateDomainRequest{Domain: "late.test", UserID: checkedUser})
	if err != nil || write.StatusCode() != http.StatusServiceUnavailable {
		k.t.Errorf("a write without database: %v %v", write, err)
	}
	probe := &sender{service: s, t: k.t, random: random(0, m.id), id: 1000 + m.id}
	if probe.step() || probe.full.Load()+probe.refused.Load() != 1 {
		k.t.Errorf("mail without database: %d acknowledged, %d without answer", probe.acked.Load(), probe.open.Load())
	}
}

func (k *killing) victim() *service { return k.replicas[k.random.IntN(replicas)] }

// replica kills one, and starts it again.
func (k *killing) replica() {
	k.replicasKilled++
	s := k.victim()
	s.kill()
	s.start()
}

// round is one outage in the middle of the load.
func (k *killing) round(o outage) {
	stop := k.work()
	<-time.After(time.Duration((0.2 + 0.8*k.random.Float64()) * float64(longestRound)))
	o.do(k)
	stop()
	for _, m := range k.missing() {
		k.t.Errorf("after %s: %s", o.what, m)
	}
}

// finish sees that all goes on: every domain is checked again.
func (k *killing) finish() {
	since := k.number(`SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT`)
	eventually(k.t, 30*time.Second, "every domain is checked again", func() bool {
		return k.number(`SELECT count(*) FROM domain WHERE user_id = $1 AND last_checked_at > $2`, checkedUser, since) == killedDomains
	})
	if n := k.active(); n != killedDomains {
		k.t.Errorf("%d of %d domains are active", n, killedDomains)
	}
	for _, m := range k.replicas[0].lost(k.clients.seen) {
		k.t.Errorf("at the end: %s", m)
	}
	half, err := k.halved()
	if err != nil || len(half) > 0 {
		k.t.Errorf("half written: %v %v", half, err)
	}
}

// TestPostgres kills the database server and the replicas at random moments
// under load, and looks each time for what was acknowledged.
func TestPostgres(t *testing.T) {
	t.Parallel()
	n := seed(t)
	k := newKilling(t, n)
	k.begin(killedDomains)
	activate(t, k.replicas[0])
	stop := k.hurrying(lostAfter)
	defer stop()
	for i, end := 0, time.Now().Add(loadTime(t)); i < len(outages) || time.Now().Before(end); i++ {
		o := outages[i%len(outages)]
		if i >= len(outages) {
			o = outages[k.random.IntN(len(outages))]
		}
		if k.round(o); t.Failed() {
			return
		}
	}
	k.finish()
	stop()
	k.all(func(_ int, s *service) { s.stop() })
	j, err := k.judge()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range j.doubles {
		t.Error(d)
	}
	sum := k.clients.totals()
	if sum.writes == 0 || sum.messages == 0 || j.records == 0 || j.takeovers == 0 || k.answers.unavailable.Load() == 0 {
		t.Errorf("%+v, %+v: the test has shown nothing", sum, j)
	}
	if t.Failed() {
		return
	}
	figure("postgres: %d server kills, %d replica kills, %d replicas: %d acknowledged writes, %d acknowledged messages, 0 missing, 0 half written; "+
		"%d checks claimed, %d recorded, %d taken over, 0 checked by two; %d answers 503 with Retry-After, 0 of 500; not ready within %v, ready again within %v (seed %d)",
		k.servers, k.replicasKilled, replicas, sum.writes, sum.messages, j.claims, j.records, j.takeovers,
		k.answers.unavailable.Load(), longest(k.down), longest(k.up), n)
	figure("postgres: bound: a kill that loses, halves or doubles something %s; no power was cut, leases were ended by the test, %v after the claim",
		bound(k.servers+k.replicasKilled), lostAfter)
}
