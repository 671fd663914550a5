package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store/storetest"
)

// replicas are stores on one PostgreSQL, with the clock of the database.
func replicas(t *testing.T, n int) []*world {
	t.Helper()
	if !storetest.Postgres() {
		t.Skip("about PostgreSQL only")
	}
	first := &world{tb: t, dir: t.TempDir(), clock: &clock{}, keys: fakeKeys()}
	first.database, first.key = storetest.New(t, first.dir)
	list := make([]*world, n)
	var all sync.WaitGroup
	for i := range list {
		w := *first
		list[i] = &w
		all.Go(func() { // at once: one of them migrates
			c := w.config()
			c.Now = nil
			s, err := Open(context.Background(), c)
			if err != nil {
				t.Error(err)
				return
			}
			list[i].Store = s
			t.Cleanup(func() { _ = s.Close() })
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return list
}

// Replicas that claim at once never claim a domain twice, and between them all.
func TestReplicasClaim(t *testing.T) {
	list := replicas(t, 3)
	const n = 300
	list[0].fill(n)
	var mu sync.Mutex
	seen := make(map[int64]int)
	var all sync.WaitGroup
	for _, w := range list {
		all.Go(func() {
			for {
				jobs, err := w.Due(context.Background(), 7)
				if err != nil {
					t.Error(err)
					return
				}
				if len(jobs) == 0 {
					return
				}
				mu.Lock()
				for _, j := range jobs {
					seen[j.DomainID]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != n {
		t.Errorf("%d of %d domains claimed", len(seen), n)
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("domain %d was claimed %d times", id, times)
		}
	}
}

// Replicas that create one user's same name at once make one claim.
func TestReplicasCreate(t *testing.T) {
	list := replicas(t, 3)
	for round := range 20 {
		name := fmt.Sprintf("d%d.example.com", round)
		made := make([]bool, len(list))
		var all sync.WaitGroup
		for i, w := range list {
			all.Go(func() {
				var err error
				_, made[i], err = w.CreateDomain(context.Background(), tenant("u1"), NewDomain{Name: name, Unicode: name})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		n := 0
		for _, m := range made {
			if m {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s was created %d times", name, n)
		}
	}
}

// A create does not wait for what another user's claim on the name is busy with.
func TestReplicaCreateWaitsForNobody(t *testing.T) {
	list := replicas(t, 2)
	list[0].create("u1", "customer.com")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := list[0].write(ctx, func(x *tx) error {
		if err := x.lockName("customer.com"); err != nil {
			return err
		}
		_, _, err := list[1].CreateDomain(ctx, tenant("u2"), NewDomain{Name: "customer.com"})
		return err
	})
	if err != nil {
		t.Errorf("create: %v", err)
	}
}

// Of several users whose keys are all seen at once by several replicas, one
// holds the name.
func TestReplicasOwnership(t *testing.T) {
	list := replicas(t, 3)
	for round := range 20 {
		name := fmt.Sprintf("d%d.example.com", round)
		var all sync.WaitGroup
		for i, w := range list {
			user := fmt.Sprintf("u%d", i)
			w.create(user, name)
			all.Go(func() { w.check(user, name, dnscheck.VerdictMatch, nil) })
		}
		all.Wait()
		active, rivals := 0, 0
		for i, w := range list {
			d := w.get(fmt.Sprintf("u%d", i), name).Domain
			if d.Status == DomainStatusActive {
				active++
			}
			if d.HeldByOther {
				rivals++
			}
		}
		if active != 1 || rivals != len(list)-1 {
			t.Errorf("%s: %d active, %d rivals", name, active, rivals)
		}
	}
}

// Every replica needs the same master key, and none makes one.
func TestReplicaMasterKey(t *testing.T) {
	list := replicas(t, 1)
	c := list[0].config()
	c.MasterKeyFile = ""
	if _, err := Open(context.Background(), c); !errors.Is(err, ErrMasterKey) {
		t.Errorf("no key: %v", err)
	}
	c.MasterKeyFile = t.TempDir() + "/master.key"
	if _, err := Open(context.Background(), c); !errors.Is(err, ErrMasterKey) {
		t.Errorf("no key file: %v", err)
	}
	if err := createKeyFile(c.MasterKeyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), c); !errors.Is(err, ErrMasterKey) {
		t.Errorf("another key: %v", err)
	}
}

// A server that is not there, or not as it must be, is told in one line that
// never holds the password.
func TestOpenPostgresRefuses(t *testing.T) {
	url := storetest.NewPostgres(t)
	for name, c := range map[string]struct{ url, want string }{
		"down":        {"postgres://u:hunter2@127.0.0.1:1/d", "database unavailable"},
		"no such":     {strings.Replace(url, "/postgres?", "/none?", 1), "SQLSTATE 3D000"},
		"not durable": {url + "&synchronous_commit=off", "synchronous_commit is off"},
		"no URL":      {"postgres://u:hunter2@[::1", "malformed database URL"},
		"port":        {"postgres://u:hunter2@h:x/d", "malformed database URL"},
		"other":       {"mysql://u:hunter2@h/d", "malformed database URL"},
	} {
		_, err := Open(context.Background(), Config{Database: c.url, MasterKeyFile: "x"})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q", name, err)
		}
	}
	if got := Redact("postgres://u:hunter2@h/d?password=hunter2"); strings.Contains(got, "hunter2") {
		t.Errorf("redacted: %s", got)
	}
}

// When the server ends all connections, as in a restart, writes and reads go on
// by themselves, and what is refused in between is told as unavailable.
func TestReconnect(t *testing.T) {
	w := replicas(t, 1)[0]
	ctx := context.Background()
	w.create("u1", "before.example.com")
	admin, err := openPostgres(w.database, 1, map[string]string{"application_name": "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for round := range 5 {
		_, err := admin.ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'domaind'`)
		if err != nil {
			t.Fatal(err)
		}
		name := NewDomain{Name: fmt.Sprintf("d%d.example.com", round)}
		for try := 0; ; try++ {
			_, _, err := w.CreateDomain(ctx, tenant("u1"), name)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrUnavailable) || try == 20 {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if _, err := w.Domain(ctx, tenant("u1"), name.Name); err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("read: %v", err)
		}
	}
}

// Two writes that lock the same rows in opposite order both end well.
func TestDeadlock(t *testing.T) {
	list := replicas(t, 2)
	ctx := context.Background()
	if err := list[0].write(ctx, func(x *tx) error { return errors.Join(put("a", 0)(x), put("b", 0)(x)) }); err != nil {
		t.Fatal(err)
	}
	add := func(x *tx, name string) error {
		_, err := x.exec(`UPDATE setting SET value = value + 1 WHERE name = ?`, name)
		return err
	}
	var all sync.WaitGroup
	var met sync.WaitGroup
	met.Add(2)
	for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		first := true
		all.Go(func() {
			err := list[i].write(ctx, func(x *tx) error {
				if err := add(x, order[0]); err != nil {
					return err
				}
				if first {
					first = false
					met.Done()
					met.Wait()
				}
				return add(x, order[1])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, name := range []string{"a", "b"} {
		var value int
		err := list[0].read.queryRow(ctx, `SELECT value FROM setting WHERE name = ?`, name).Scan(&value)
		if err != nil || value != 2 {
			t.Errorf("%s is %d, %v", name, value, err)
		}
	}
}

func TestSQLSTATE(t *testing.T) {
	for code, want := range map[string]error{
		"53100": ErrFull, "53300": ErrUnavailable, "57P01": ErrUnavailable, "57014": ErrUnavailable,
		"08006": ErrUnavailable, "25006": ErrUnavailable, "28P01": ErrUnavailable, "3D000": ErrUnavailable,
		"58030": ErrUnavailable, "XX001": ErrUnavailable, "40001": errConflict, "40P01": errConflict,
		"23505": errConflict, "55P03": errConflict,
	} {
		if err := mapErr(fmt.Errorf("x: %w", &pgconn.PgError{Code: code})); !errors.Is(err, want) {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, code := range []string{"42601", "42703", "23502", "22P02", ""} { // ours to mend
		if err := mapErr(&pgconn.PgError{Code: code}); errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull) {
			t.Errorf("%s: %v", code, err)
		}
	}
}
