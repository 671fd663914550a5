package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

const (
	replicaDomains = 300
	// leaseOf is how long a claimed check belongs to its replica.
	leaseOf = 90 * time.Second
	// takenOverWithin is how soon all is well again after a replica is gone:
	// its leases end, and what it had claimed is checked by another.
	takenOverWithin = leaseOf + 60*time.Second
)

// audit writes down, in the database, each change of a domain that has to do
// with its checks: who made it, and from which epoch to which.
const audit = `
CREATE TABLE audit (n BIGSERIAL PRIMARY KEY, domain_id BIGINT, who TEXT, was BIGINT, epoch BIGINT,
	checked BOOLEAN, next_at BIGINT, at BIGINT);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO audit (domain_id, who, was, epoch, checked, next_at, at) VALUES (NEW.id,
		current_setting('application_name'), OLD.epoch, NEW.epoch, NEW.last_checked_at <> OLD.last_checked_at,
		NEW.next_check_at, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT);
	RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON domain FOR EACH ROW
	WHEN (OLD.epoch <> NEW.epoch OR OLD.next_check_at <> NEW.next_check_at) EXECUTE FUNCTION audit()`

// fleet is three replicas on one database.
type fleet struct {
	db       *sql.DB
	dns      *dnstest.Server
	replicas []*service
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	url, key := storetest.NewPostgres(t), storetest.MasterKey(t, t.TempDir())
	server, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if err := server.Set("mx.mail.example. 60 IN A 127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	f := &fleet{dns: server}
	for i := range 3 {
		f.replicas = append(f.replicas, serve(t, "DOMAIND_API_KEY="+labKey, "DOMAIND_MX_HOST=mx.mail.example",
			"DOMAIND_DKIM_POOL=4", "DOMAIND_RATE_LIMIT=0", "DOMAIND_CHECK_MIN=1s", "DOMAIND_CHECK_CONCURRENCY=8",
			"DOMAIND_DNS_SERVERS="+server.Addr().String(), "DOMAIND_DNS_DIRECT=false", "DOMAIND_ALLOW_SPECIAL_USE=true",
			"DOMAIND_MASTER_KEY_FILE="+key, fmt.Sprintf("DOMAIND_DATABASE=%s&application_name=r%d", url, i)))
	}
	if f.db, err = sql.Open("pgx", url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close() })
	if _, err := f.db.ExecContext(t.Context(), audit); err != nil {
		t.Fatal(err)
	}
	return f
}

// create makes every step-th domain through one replica, publishes what each
// must, and stops when ctx does. A domain that is there is published again.
func (f *fleet) create(ctx context.Context, s *service, first, step int) error {
	for n := first; n < replicaDomains; n += step {
		reply, err := s.CreateDomainWithResponse(ctx, client.CreateDomainJSONRequestBody{
			Domain: fmt.Sprintf("d%d.example", n), UserID: labUser,
		})
		if err != nil {
			return err
		}
		var d client.DomainDetails
		switch {
		case reply.JSON201 != nil:
			d = reply.JSON201.Domain
		case reply.JSON200 != nil:
			d = reply.JSON200.Domain
		default:
			return unexpected(reply)
		}
		if err := f.publish(d); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) publish(d client.DomainDetails) error {
	var lines []string
	for _, r := range d.DNS {
		data := quoted(r.ExpectedValue)
		if r.RecordType == client.DNSRecordRecordTypeMX {
			data = fmt.Sprintf("%d %s.", *r.Priority, r.ExpectedValue)
		}
		lines = append(lines, fmt.Sprintf("%s. 1 IN %s %s", r.Name, r.RecordType, data))
	}
	return f.dns.Set(lines...)
}

// count asks the database for a number.
func (f *fleet) count(ctx context.Context, query string, args ...any) (n int) {
	_ = f.db.QueryRowContext(ctx, query, args...).Scan(&n)
	return n
}

func (f *fleet) active(ctx context.Context) int {
	return f.count(ctx, `SELECT count(*) FROM domain WHERE status = 'active'`)
}

// inFlight counts the checks that a replica has claimed and not recorded.
func (f *fleet) inFlight(ctx context.Context, who string) int {
	return f.count(ctx, `SELECT count(*) FROM (SELECT DISTINCT ON (domain_id) who, checked FROM audit
		ORDER BY domain_id, n DESC) AS last WHERE who = $1 AND NOT checked`, who)
}

// TestReplicas has three replicas make and check 300 domains. In the middle one
// is killed and one stopped, with checks in flight; the third takes over when
// their leases end, and what the stopped one says later is refused.
func TestReplicas(t *testing.T) {
	if storetest.Postgres() {
		t.Skip("it is always on PostgreSQL: once is enough")
	}
	t.Parallel()
	f := newFleet(t)
	alive, killed, stopped := f.replicas[0], f.replicas[1], f.replicas[2]
	for n := range replicaDomains {
		f.dns.Fault(fmt.Sprintf("d%d.example", n), dnstest.Late)
	}
	f.dns.SetDelay(500 * time.Millisecond) // checks take a while
	creating, enough := context.WithCancel(t.Context())
	defer enough()
	var all sync.WaitGroup
	for i, s := range f.replicas {
		all.Go(func() {
			if err := f.create(creating, s, i, len(f.replicas)); err != nil && creating.Err() == nil {
				t.Error(err)
			}
		})
	}
	eventually(t, startWithin, "in the middle, and both have checks in flight", func() bool {
		return f.active(t.Context()) > replicaDomains/5 && f.inFlight(t.Context(), "r1") > 1 && f.inFlight(t.Context(), "r2") > 1
	})
	enough()
	if err := syscall.Kill(stopped.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(stopped.pid, syscall.SIGCONT) })
	killed.kill()
	all.Wait()
	t.Logf("in flight at the kill: %d and %d, active %d", f.inFlight(t.Context(), "r1"),
		f.inFlight(t.Context(), "r2"), f.active(t.Context()))
	f.dns.SetDelay(0)
	if err := f.create(t.Context(), alive, 0, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, takenOverWithin, "all active, and nothing held by the others", func() bool {
		return f.active(t.Context()) == replicaDomains &&
			f.inFlight(t.Context(), "r1") == 0 && f.inFlight(t.Context(), "r2") == 0
	})
	f.resume(t, stopped)
	f.judge(t)
}

// resume lets the stopped replica go on: its late results come first, and then
// it checks again, of what no one holds.
func (f *fleet) resume(t *testing.T, stopped *service) {
	t.Helper()
	before := f.count(t.Context(), `SELECT max(n) FROM audit`)
	if err := syscall.Kill(stopped.pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, startWithin, "the stopped one checks again", func() bool {
		_, err := f.db.ExecContext(t.Context(), `UPDATE domain SET next_check_at = 1
			WHERE next_check_at > (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + $1`, (leaseOf + time.Second).Milliseconds())
		if err != nil {
			t.Fatal(err)
		}
		return f.count(t.Context(), `SELECT count(*) FROM audit WHERE who = 'r2' AND checked AND n > $1`, before) > 0
	})
}

// judge holds the audit against the rules: a check is recorded by whoever
// claimed it, in the epoch of that claim, and nobody claims what another holds.
func (f *fleet) judge(t *testing.T) {
	t.Helper()
	rows, err := f.db.QueryContext(t.Context(), `SELECT domain_id, who, was, epoch, checked, next_at, at FROM audit ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	held := make(map[int64]step) // the claim in flight, by domain
	var claims, records, takeovers int
	for rows.Next() {
		var s step
		if err := rows.Scan(&s.domain, &s.who, &s.was, &s.epoch, &s.checked, &s.next, &s.at); err != nil {
			t.Fatal(err)
		}
		last, busy := held[s.domain]
		switch {
		case s.epoch == s.was:
			delete(held, s.domain) // given back, or made due by this test
		case s.checked:
			records++
			if !busy || last.who != s.who || last.epoch != s.was {
				t.Errorf("%+v was accepted; the claim is %+v", s, last)
			}
			delete(held, s.domain)
		default:
			claims++
			if busy && s.at < last.next {
				t.Errorf("%+v claims what is held: %+v", s, last)
			}
			if busy && s.who != last.who {
				takeovers++
			}
			held[s.domain] = s
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d claims, %d results accepted, %d taken over from a dead or stopped replica", claims, records, takeovers)
	if takeovers == 0 || records < replicaDomains {
		t.Error("nothing was taken over: the test has shown nothing")
	}
}

// step is one row of the audit.
type step struct {
	domain, was, epoch, next, at int64
	who                          string
	checked                      bool
}
