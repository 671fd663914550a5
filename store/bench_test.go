package store

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/domaind/domaind/dnscheck"
)

// sizeOf reads a size from the environment: the million takes a minute to fill.
func sizeOf(tb testing.TB, name string, usual int) int {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return n
}

// fill makes n due domains, in transactions of many.
func (w *world) fill(n int) {
	w.tb.Helper()
	ctx := context.Background()
	for done := 0; done < n; {
		batch := min(1000, n-done)
		err := w.write(ctx, func(x *tx) error {
			for i := range batch {
				key, err := w.keys(ctx)
				if err != nil {
					return err
				}
				c := creation{
					t: tenant(fmt.Sprintf("u%d", (done+i)/100)), key: key,
					n: NewDomain{Name: fmt.Sprintf("d%d.example.com", done+i)},
				}
				if err := c.run(x); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			w.tb.Fatal(err)
		}
		done += batch
	}
	// What autovacuum does within a minute: without statistics PostgreSQL reads
	// whole tables.
	if _, err := w.writeDB.ExecContext(ctx, `ANALYZE`); err != nil {
		w.tb.Fatal(err)
	}
}

const benchBatch = 64

// BenchmarkClaims claims due domains in batches, by four claimers at once, and
// reads what each must publish; beside it, in the same run, the bare claim
// query as a schedule in a table has it, each batch in a durable transaction.
// It fails when a domain is claimed twice.
func BenchmarkClaims(b *testing.B) {
	rows := sizeOf(b, "DOMAIND_BENCH_ROWS", 1_000_000)
	w := newWorld(b)
	w.fill(rows)
	bare, err := w.openBare()
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	claims := map[string]func() ([]dnscheck.Job, error){
		"bare":  func() ([]dnscheck.Job, error) { return w.bareClaim(bare) },
		"store": func() ([]dnscheck.Job, error) { return w.Due(context.Background(), benchBatch) },
	}
	for _, how := range []string{"bare", "store"} {
		b.Run(how, func(b *testing.B) { benchClaims(b, w, claims[how]) })
	}
}

func benchClaims(b *testing.B, w *world, claim func() ([]dnscheck.Job, error)) {
	var total, doubles, todo atomic.Int64
	var seen sync.Mutex
	type held struct {
		epoch int64
		since time.Time
	}
	holds := make(map[int64]held)
	todo.Store(int64(b.N))
	w.clock.forward(2 * lease)
	b.ResetTimer()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for todo.Add(-1) >= 0 {
				before := w.clock.now()
				jobs, err := claim()
				after := w.clock.now()
				if err != nil {
					b.Error(err)
					return
				}
				seen.Lock()
				for _, j := range jobs {
					last, again := holds[j.DomainID]
					if again && j.Epoch < last.epoch {
						continue // an earlier claim, told of later
					}
					if again && (j.Epoch == last.epoch || after.Before(last.since.Add(lease))) {
						doubles.Add(1) // while another holds it
					}
					holds[j.DomainID] = held{j.Epoch, before}
				}
				seen.Unlock()
				total.Add(int64(len(jobs)))
				if len(jobs) < benchBatch {
					w.clock.forward(2 * lease) // all are due again
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(total.Load())/b.Elapsed().Seconds(), "claims/s")
	b.ReportMetric(float64(doubles.Load()), "doubles")
	if doubles.Load() > 0 {
		b.Errorf("%d domains were claimed twice", doubles.Load())
	}
}

// openBare opens the database beside the store, as its writer does.
func (w *world) openBare() (*sqlx.DB, error) {
	if isURL(w.c.Database) {
		return openPostgres(w.c.Database, w.dialect.writers, writerParams())
	}
	return openSQLite(writerDSN(w.c.Database), w.dialect.writers)
}

func (w *world) bareClaim(db *sqlx.DB) ([]dnscheck.Job, error) {
	tx, err := db.Beginx()
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	now := w.clock.now()
	rows, err := tx.Query(w.read.sql.text(`UPDATE domain SET epoch = epoch + 1, next_check_at = ?
		WHERE id IN (SELECT id FROM domain WHERE lane = 0 AND next_check_at <= ? ORDER BY next_check_at LIMIT ?
		`+skipLockedHere+`) RETURNING id, epoch`), ms(now.Add(lease)), ms(now), benchBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []dnscheck.Job
	for rows.Next() {
		var j dnscheck.Job
		if err := rows.Scan(&j.DomainID, &j.Epoch); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return jobs, tx.Commit()
}

// BenchmarkCreate creates domains, one at a time and by 64 at once, beside the
// bare durable inserts of the same rows, one transaction each.
func BenchmarkCreate(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		w := newWorld(b)
		for i := range b.N {
			if err := w.bareCreate(i); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
	})
	for _, at := range []int{1, 64} {
		b.Run(fmt.Sprintf("store-%d", at), func(b *testing.B) {
			w := newWorld(b)
			ctx := context.Background()
			var next atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range at {
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						n := NewDomain{Name: fmt.Sprintf("d%d.example.com", i)}
						if _, _, err := w.CreateDomain(ctx, tenant("u1"), n); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
		})
	}
}

// bareCreate writes the rows of a create and nothing else.
func (w *world) bareCreate(i int) error {
	ctx := context.Background()
	key, err := w.keys(ctx)
	if err != nil {
		return err
	}
	now, name := ms(start), fmt.Sprintf("d%d.example.com", i)
	conn, err := w.writeDB.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO domain (id, user_id, name, unicode, organization_id, status, created_at,
		updated_at, lane, next_check_at, pending_since, bulk, route_updated_at)
		VALUES (?, 'u1', ?, ?, '', 'pending', ?, ?, 0, ?, ?, 0, ?)`, i+1, name, name, now, now, now, now, now)
	if err != nil {
		return err
	}
	for seq, p := range w.c.Service.Plan(name, key) {
		_, err := conn.ExecContext(ctx, `INSERT INTO record (domain_id, seq, user_id, id, type, purpose, host, name, value,
			priority, ttl, required, status, pending_since, key_state, retired)
			VALUES (?, ?, 'u1', ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, '', '')`,
			i+1, seq, seq+1, p.Type, p.Purpose, p.Host, p.Name, p.Value, p.Priority, p.TTL, p.Required, now)
		if err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO dkim_key (domain_id, selector, user_id, state, public, sealed, created_at)
		VALUES (?, ?, 'u1', 'active', ?, ?, ?)`, i+1, key.Selector, key.Public, key.Private, now)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO event (domain_id, id, user_id, type, actor, at)
		VALUES (?, 1, 'u1', 'domain.created', 'x', ?)`, i+1, now)
	if err != nil {
		return err
	}
	return conn.Commit()
}

func BenchmarkDomain(b *testing.B) {
	w := newWorld(b)
	w.fill(1000)
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7) % 1000
		t := tenant(fmt.Sprintf("u%d", i/100))
		if _, err := w.Domain(ctx, t, fmt.Sprintf("d%d.example.com", i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	w := newWorld(b)
	w.fill(1000)
	ctx := context.Background()
	for b.Loop() {
		b.StopTimer()
		jobs, err := w.Due(ctx, benchBatch)
		if err != nil {
			b.Fatal(err)
		}
		w.clock.forward(time.Hour)
		b.StartTimer()
		var all sync.WaitGroup
		for _, j := range jobs {
			all.Go(func() {
				if err := w.Record(ctx, j, report(j, dnscheck.VerdictMatch, nil)); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func BenchmarkKeyBySecret(b *testing.B) {
	w := newWorld(b)
	ctx := context.Background()
	_, secret, err := w.CreateKey(ctx, NewKey{Scope: ScopeRead})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.KeyBySecret(ctx, secret); err != nil {
			b.Fatal(err)
		}
	}
}
