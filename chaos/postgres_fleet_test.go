package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

const (
	replicas = 3
	// checkedUser has the domains that are published and checked for ever.
	checkedUser = "checked"
	checkedName = "c%d.test"
	// leaseOf is how long a claimed check belongs to its replica.
	leaseOf = 90 * time.Second
)

// fleet is replicas on one PostgreSQL, which check the domains of checkedUser
// without a pause.
type fleet struct {
	t        *testing.T
	server   *storetest.Server
	db       *sql.DB
	dns      *dnstest.Server
	answers  *answers
	replicas []*service
	domains  int
}

// newFleet prepares replicas that reach the database by a URL.
func newFleet(t *testing.T, f *fleet, url string, settings ...string) {
	t.Helper()
	f.t, f.answers = t, &answers{t: t}
	key := storetest.MasterKey(t, t.TempDir())
	if err := f.dns.Set(mxHost + ". 60 IN A 127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	for n := range replicas {
		s := newService(t, "DOMAIND_MASTER_KEY_FILE="+key,
			fmt.Sprintf("DOMAIND_DATABASE=%s&application_name=r%d", url, n),
			"DOMAIND_DNS_SERVERS="+f.dns.Addr().String(), "DOMAIND_DNS_DIRECT=false",
			"DOMAIND_CHECK_MIN=1s", "DOMAIND_CHECK_CONCURRENCY=4")
		s.settings = append(s.settings, settings...)
		s.through = f.answers.through
		f.replicas = append(f.replicas, s)
	}
}

// begin starts the replicas, at once as after an upgrade, and has the domains
// made and found active.
func (f *fleet) begin(domains int) {
	f.t.Helper()
	f.domains = domains
	f.all(func(_ int, s *service) { s.start() })
	if f.t.Failed() {
		f.t.FailNow()
	}
	if _, err := f.db.Exec(auditSQL); err != nil {
		f.t.Fatal(err)
	}
	f.all(func(n int, s *service) {
		for i := n; i < domains; i += replicas {
			if err := f.publish(s, fmt.Sprintf(checkedName, i)); err != nil {
				f.t.Error(err)
				return
			}
		}
	})
	eventually(f.t, time.Minute, "all published domains are active", func() bool { return f.active() == domains })
}

func (f *fleet) all(do func(n int, s *service)) {
	var all sync.WaitGroup
	for n, s := range f.replicas {
		all.Go(func() { do(n, s) })
	}
	all.Wait()
}

// publish makes a domain and puts its records into DNS.
func (f *fleet) publish(s *service, name string) error {
	reply, err := s.now().CreateDomainWithResponse(context.Background(),
		client.CreateDomainRequest{Domain: name, UserID: checkedUser})
	if err != nil {
		return err
	}
	if reply.JSON201 == nil {
		return status(reply.StatusCode())
	}
	var lines []string
	for _, r := range reply.JSON201.Domain.DNS {
		data := `"` + r.ExpectedValue + `"`
		switch {
		case r.RecordType == client.DNSRecordRecordTypeMX:
			data = fmt.Sprintf("%d %s.", *r.Priority, r.ExpectedValue)
		case len(r.ExpectedValue) > 255:
			data = `"` + r.ExpectedValue[:255] + `" "` + r.ExpectedValue[255:] + `"`
		}
		lines = append(lines, fmt.Sprintf("%s. 1 IN %s %s", r.Name, r.RecordType, data))
	}
	return f.dns.Set(lines...)
}

// number asks the database; -1 while it does not answer.
func (f *fleet) number(query string, args ...any) int {
	n := -1
	_ = f.db.QueryRow(query, args...).Scan(&n)
	return n
}

func (f *fleet) active() int {
	return f.number(`SELECT count(*) FROM domain WHERE user_id = $1 AND status = 'active'`, checkedUser)
}

// moved counts what DNS has ever changed of the checked domains.
func (f *fleet) moved() int {
	return f.number(`SELECT count(*) FROM event WHERE user_id = $1 AND actor = 'dns'`, checkedUser)
}

// held counts the checks that a replica has claimed and not recorded.
func (f *fleet) held(who string) int {
	return f.number(`SELECT count(*) FROM (SELECT DISTINCT ON (domain_id) who, kind FROM audit
		ORDER BY domain_id, n DESC) AS last WHERE who = $1 AND kind = 'claim'`, who)
}

// recorded counts the results of a replica that were accepted after row n.
func (f *fleet) recorded(who string, n int) int {
	return f.number(`SELECT count(*) FROM audit WHERE kind = 'record' AND who = $1 AND n > $2`, who, n)
}

// vain counts those that learned nothing.
func (f *fleet) vain(who string, n int) int {
	return f.number(`SELECT count(*) FROM audit WHERE kind = 'record' AND vain AND who = $1 AND n > $2`, who, n)
}

func (f *fleet) lastAudit() int { return f.number(`SELECT coalesce(max(n), 0) FROM audit`) }

// hurry makes checks due: those that nobody has claimed, and those that somebody
// claimed more than patience ago, whose leases it ends as time would. It is
// called again and again, as if a day had a few seconds.
func (f *fleet) hurry(patience time.Duration) {
	_, _ = f.db.Exec(`UPDATE domain SET next_check_at = now.ms FROM
		(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT AS ms) AS now
		WHERE user_id = $1 AND next_check_at > now.ms AND NOT next_check_at - now.ms BETWEEN $2 AND $3`,
		checkedUser, (leaseOf - patience).Milliseconds(), leaseOf.Milliseconds())
}

// hurrying does so until stop is called.
func (f *fleet) hurrying(patience time.Duration) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			f.hurry(patience)
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		running.Wait()
	})
}

// late counts the results that were refused, as another had the claim by then.
func (f *fleet) late() (sum int) {
	f.t.Helper()
	for _, s := range f.replicas {
		reply, err := s.now().http.Get(s.now().URL + "/metrics")
		if err != nil {
			f.t.Fatal(err)
		}
		text, err := io.ReadAll(reply.Body)
		if err = errors.Join(err, reply.Body.Close()); err != nil {
			f.t.Fatal(err)
		}
		found := staleTotal.FindSubmatch(text)
		if found == nil {
			f.t.Fatal("no metric of late results")
		}
		n, _ := strconv.Atoi(string(found[1]))
		sum += n
	}
	return sum
}

var staleTotal = regexp.MustCompile(`(?m)^domaind_checks_stale_total (\d+)$`)

// answers watches what the replicas answer: 500 never, and 503 only with
// Retry-After.
type answers struct {
	t           *testing.T
	unavailable atomic.Int64
	all         atomic.Int64
}

type watched struct {
	*http.Transport
	a *answers
}

func (a *answers) through(plain *http.Transport) http.RoundTripper { return watched{plain, a} }

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := w.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.a.all.Add(1)
	switch {
	case reply.StatusCode == http.StatusServiceUnavailable:
		w.a.unavailable.Add(1)
		if reply.Header.Get("Retry-After") == "" {
			w.a.t.Errorf("%s %s: 503 without Retry-After", r.Method, r.URL.Path)
		}
	case reply.StatusCode >= http.StatusInternalServerError:
		w.a.t.Errorf("%s %s: %s", r.Method, r.URL.Path, reply.Status)
	}
	return reply, nil
}
