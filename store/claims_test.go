package store

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store/storetest"
)

var (
	benchClaims = flag.Bool("claims", false, "measure claims of due domains a second")
	benchRows   = flag.Int("rows", 1_000_000, "how many domains are due")
)

const (
	benchBatch    = 64
	benchClaimers = 4
	benchRound    = 2 * time.Second
	benchRounds   = 9
)

// TestClaimRate measures how many due domains a second are claimed, in batches,
// by four claimers at once, what each must publish included; against the bare
// claim query as a schedule in a table has it, each batch in a durable
// transaction. The two take turns, so that the machine's mood is the same for
// both; the medians count. It fails when a domain is claimed twice.
func TestClaimRate(t *testing.T) {
	if !*benchClaims {
		t.Skip("only with -args -claims")
	}
	w := newWorld(t)
	w.fill(min(*benchRows, 1000))
	storetest.Grow(t, w.database, *benchRows)
	bare, err := w.openBare()
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	held := &holders{clock: w.clock, holds: map[int64]holding{}}
	var rates, bares, ratios []float64
	for range benchRounds {
		b := held.round(t, func() ([]dnscheck.Job, error) { return w.bareClaim(bare) })
		s := held.round(t, func() ([]dnscheck.Job, error) { return w.Due(context.Background(), benchBatch) })
		rates, bares, ratios = append(rates, s), append(bares, b), append(ratios, s/b)
	}
	slices.Sort(rates)
	slices.Sort(bares)
	slices.Sort(ratios)
	const middle = benchRounds / 2
	what := "claims:"
	if storetest.Postgres() {
		what = "on PostgreSQL:"
	}
	fmt.Printf("%d due domains: the bare query claims %.0f a second; rounds from %.2f to %.2f of it\n",
		*benchRows, bares[middle], ratios[0], ratios[benchRounds-1])
	fmt.Printf("%s %.0f claims/s, %.2f of the bare query, %d doubles\n", what, rates[middle], ratios[middle], held.doubles)
	if held.doubles > 0 {
		t.Errorf("%d domains were claimed twice", held.doubles)
	}
}

// holding is a claim, and when it was asked for.
type holding struct {
	epoch int64
	since time.Time
}

// holders knows who holds what, and counts the domains that a second one got.
type holders struct {
	clock   *clock
	mu      sync.Mutex
	holds   map[int64]holding
	doubles int
}

// round returns the claims a second of one round.
func (h *holders) round(t *testing.T, claim func() ([]dnscheck.Job, error)) float64 {
	t.Helper()
	h.clock.forward(2 * lease)
	var total atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range benchClaimers {
		all.Go(func() {
			for time.Since(began) < benchRound {
				before := h.clock.now()
				jobs, err := claim()
				if err != nil {
					t.Error(err)
					return
				}
				h.take(jobs, before, h.clock.now())
				total.Add(int64(len(jobs)))
				if len(jobs) < benchBatch {
					h.clock.forward(2 * lease) // all are due again
				}
			}
		})
	}
	all.Wait()
	if total.Load() == 0 {
		t.Fatal("nothing was due")
	}
	return float64(total.Load()) / time.Since(began).Seconds()
}

func (h *holders) take(jobs []dnscheck.Job, before, after time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range jobs {
		last, again := h.holds[j.DomainID]
		if again && j.Epoch < last.epoch {
			continue // an earlier claim, told of later
		}
		if again && (j.Epoch == last.epoch || after.Before(last.since.Add(lease))) {
			h.doubles++ // while another holds it
		}
		h.holds[j.DomainID] = holding{j.Epoch, before}
	}
}

// openBare opens the database beside the store, with the settings of its writer.
func (w *world) openBare() (*sqlx.DB, error) {
	if isURL(w.c.Database) {
		return openPostgres(w.c.Database, w.dialect.writers, writerParams())
	}
	return openWriter(w.c.Database, w.dialect.writers), nil
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
