package main_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/store"
	"github.com/domaind/domaind/store/storetest"
)

const (
	bigUser     = "user_big" // has every tenth domain
	fewOrg      = "org_few"  // has 20 of them at any size
	latencyPool = 2          // DKIM keys
	latencySeen = 400        // domains that calls are about
)

// sized is the program with a database of some size.
type sized struct {
	database, key, secret string
	domains               int
	random                *rand.Rand

	url  string
	conn net.Conn
	in   *bufio.Reader

	seen    []*known
	pending []*known
	turn    int
	made    []string // created, and not deleted yet
	later   string   // the cursor of a page in the middle
}

// known is a domain that calls are about.
type known struct {
	user, name string
	dmarc      int64 // the record's id
	marked     bool
}

func (s *sized) next() *known {
	s.turn++
	return s.seen[s.turn%len(s.seen)]
}

func (s *sized) nextPending() *known {
	s.turn++
	return s.pending[s.turn%len(s.pending)]
}

// newSized fills a database: ten domains a user, one user with a tenth of all;
// half of them active, with a route.
func newSized(t *testing.T, domains int) *sized {
	t.Helper()
	s := &sized{domains: domains, random: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // names
	s.database, s.key = storetest.New(t, t.TempDir())
	began := time.Now()
	s.fill(t)
	s.run(t, `UPDATE domain SET next_check_at = `+strconv.FormatInt(time.Now().Add(1000*time.Hour).UnixMilli(), 10))
	storetest.Grow(t, s.database, domains)
	for _, table := range []string{"record", "dkim_key", "event"} {
		s.run(t, `UPDATE `+table+` SET user_id = '`+bigUser+`' WHERE user_id LIKE '_%`+bigUser+`'`)
	}
	s.run(t, `UPDATE domain SET user_id = '`+bigUser+`', organization_id = replace(organization_id, '`+fewOrg+`', 'org_many')
		WHERE user_id LIKE '_%`+bigUser+`'`)
	if storetest.Postgres() {
		s.run(t, `VACUUM ANALYZE`) // as autovacuum does
	}
	fmt.Printf("filled %d domains in %.0f s\n", domains, time.Since(began).Seconds())
	return s
}

// fill makes the domains that the others are copies of, as the service does.
func (s *sized) fill(t *testing.T) {
	t.Helper()
	pair, err := dkim.Generate()
	if err != nil {
		t.Fatal(err)
	}
	// Ids go by the time, and those of copies come after: new ones are the last
	// at any size.
	past := func() time.Time { return time.Now().AddDate(0, 0, -30) }
	n := 0
	db, err := store.Open(t.Context(), store.Config{
		Database: s.database, MasterKeyFile: s.key, Now: past,
		Service: dnscheck.Service{MXHost: mxHost, MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;", DMARCRequired: true},
		NewKey: func(context.Context) (dkim.Key, error) {
			n++
			pair.Selector = fmt.Sprintf("s%d", n)
			return pair, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, s.secret, err = db.CreateKey(t.Context(), store.NewKey{Scope: store.ScopeAdmin}); err != nil {
		t.Fatal(err)
	}
	for i := range latencyFew {
		if err := fillOne(t.Context(), db, i); err != nil {
			t.Fatal(err)
		}
	}
}

func fillOne(ctx context.Context, db *store.Store, i int) error {
	who := store.Tenant{UserID: fmt.Sprintf("user_%d", i/10), Actor: "key:fill"}
	d := store.NewDomain{Name: fmt.Sprintf("d%d.latency-lab.net", i)}
	d.Unicode = d.Name
	if i%10 == 0 {
		who.UserID = bigUser
		if i%50 == 0 {
			d.OrganizationID = fewOrg
		}
	}
	if _, _, err := db.CreateDomain(ctx, who, d); err != nil || i%20 < 10 {
		return err
	}
	job, err := db.ClaimDomain(ctx, who, d.Name)
	if err != nil {
		return err
	}
	report := dnscheck.Report{Domain: d.Name}
	for _, x := range job.Target.Records {
		report.Results = append(report.Results, dnscheck.Result{
			ID: x.ID, Purpose: x.Purpose, Name: x.Name, Verdict: dnscheck.VerdictMatch, TTL: time.Hour, Observed: []string{x.Value},
		})
	}
	if err := db.Record(ctx, job, report); err != nil {
		return err
	}
	_, err = db.PutRoute(ctx, who, d.Name, store.PutRoute{Mode: store.ForwardModeForwardEmail, ForwardTo: "inbox@example.org"})
	return err
}

// open opens the database beside the program.
func (s *sized) open(t *testing.T) *sql.DB {
	t.Helper()
	driver := "sqlite3"
	if storetest.Postgres() {
		driver = "pgx"
	}
	db, err := sql.Open(driver, s.database)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (s *sized) run(t *testing.T, q string) {
	t.Helper()
	db := s.open(t)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), q); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// serve starts the program and chooses the domains that calls are about, from
// all over the database.
func (s *sized) serve(t *testing.T) {
	t.Helper()
	server, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if err := server.Set(mxHost + ". 60 IN A " + mxIP); err != nil {
		t.Fatal(err)
	}
	server.Zone("latency-lab.net.")
	server.Zone("latency-new.net.")
	s.know(t)
	s.url = serve(t, "DOMAIND_DATABASE="+s.database, "DOMAIND_MASTER_KEY_FILE="+s.key, "DOMAIND_API_KEY="+labKey,
		"DOMAIND_MX_HOST="+mxHost, "DOMAIND_DNS_SERVERS="+server.Addr().String(), "DOMAIND_DNS_DIRECT=false",
		"DOMAIND_RATE_LIMIT=0", fmt.Sprintf("DOMAIND_DKIM_POOL=%d", latencyPool)).url
	if s.conn, err = net.Dial("tcp", strings.TrimPrefix(s.url, "http://")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	s.in = bufio.NewReader(s.conn)
	s.walk(t)
}

func (s *sized) know(t *testing.T) {
	t.Helper()
	db := s.open(t)
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), `SELECT d.user_id, d.name, d.status, r.id FROM (SELECT id, user_id, name, status
		FROM domain WHERE user_id <> '`+bigUser+`' ORDER BY random() LIMIT `+strconv.Itoa(latencySeen)+`) d
		JOIN record r ON r.domain_id = d.id AND r.purpose = 'dmarc'`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k known
		var status string
		if err := rows.Scan(&k.user, &k.name, &status, &k.dmarc); err != nil {
			t.Fatal(err)
		}
		s.seen = append(s.seen, &k)
		if status == "pending" {
			s.pending = append(s.pending, &k)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

var nextCursor = regexp.MustCompile(`"next_cursor":"([^"]+)"`)

// walk finds the page in the middle of the big user's list.
func (s *sized) walk(t *testing.T) {
	t.Helper()
	for left := s.domains / 20; left > 0; {
		limit := min(100, left)
		path := fmt.Sprintf("/v2/domains?user_id=%s&limit=%d", bigUser, limit)
		if s.later != "" {
			path += "&cursor=" + s.later
		}
		_, body := s.exchange(t, asked{http.MethodGet, path, "", http.StatusOK})
		found := nextCursor.FindStringSubmatch(body)
		if found == nil {
			t.Fatalf("no further page: %s", body)
		}
		s.later = found[1]
		left -= limit
	}
}

// gauge reads a metric without labels.
func (s *sized) gauge(t *testing.T, name string) float64 {
	t.Helper()
	_, body := s.exchange(t, asked{http.MethodGet, "/metrics", "", http.StatusOK})
	_, rest, _ := strings.Cut(body, "\n"+name+" ")
	text, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("metric %s: %v", name, err)
	}
	return v
}

// send makes one exchange and returns how long it took.
func (s *sized) send(t *testing.T, a asked) time.Duration {
	t.Helper()
	took, _ := s.exchange(t, a)
	return took
}

// exchange writes to a kept connection: the client of net/http would take as
// long as some of the calls do.
func (s *sized) exchange(t *testing.T, a asked) (time.Duration, string) {
	t.Helper()
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		a.method, a.path, s.secret, len(a.body), a.body)
	began := time.Now()
	if _, err := io.WriteString(s.conn, request); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	took := time.Since(began)
	_ = r.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != a.status {
		t.Fatalf("%s %s: %s %s", a.method, a.path, r.Status, body)
	}
	return took, string(body)
}
