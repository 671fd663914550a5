package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

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
	var lines []line
	for seq, p := range w.c.Service.Plan(name, key) {
		lines = append(lines, line{Record: planned(p, int64(seq+1))})
		_, err := conn.ExecContext(ctx, `INSERT INTO record (domain_id, seq, user_id, id, type, purpose, host, name, value,
			priority, ttl, required, status, pending_since, key_state, retired)
			VALUES (?, ?, 'u1', ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, '', '')`,
			i+1, seq, seq+1, p.Type, p.Purpose, p.Host, p.Name, p.Value, p.Priority, p.TTL, p.Required, now)
		if err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO expectation (domain_id, records) VALUES (?, ?)`, i+1, pack(lines))
	if err != nil {
		return err
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
