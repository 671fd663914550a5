package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/domaind/domaind/store/storetest"
)

// The looks in a row decide when a check explains itself; they are counted
// also where they come too soon after each other to be evidence.
func TestExpectationCountsLooks(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "customer.com")
	looks := func() int {
		t.Helper()
		x, err := w.Target(context.Background(), tenant("u1"), "customer.com")
		if err != nil {
			t.Fatal(err)
		}
		return x.Records[0].Failures
	}
	for n := range 12 {
		if got := looks(); got != n {
			t.Fatalf("%d looks after %d bad ones", got, n)
		}
		w.clock.forward(time.Minute)
		w.check("u1", "customer.com", isMissing, nil)
		w.check("u1", "customer.com", isUnknown, nil)
	}
	w.check("u1", "customer.com", isMatch, nil)
	if got := looks(); got != 0 {
		t.Errorf("%d looks after a match", got)
	}
}

// backlog has many due domains in each of these lanes.
func (w *world) backlog(lanes ...int) {
	w.tb.Helper()
	w.fill(60 * len(lanes))
	err := w.write(context.Background(), func(x *tx) error {
		for i, lane := range lanes {
			_, err := x.exec(`UPDATE domain SET lane = ? WHERE id IN (SELECT id FROM domain ORDER BY id LIMIT ?)`,
				lane, 60*(len(lanes)-i))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

// lanesOf counts by lane what was ever claimed.
func (w *world) lanesOf() (count [3]int) {
	w.tb.Helper()
	rows, err := w.read.db.Query(`SELECT lane, count(*) FROM domain WHERE epoch > 0 GROUP BY lane`)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var lane, n int
		if err := rows.Scan(&lane, &n); err != nil {
			w.tb.Fatal(err)
		}
		count[lane] = n
	}
	if err := rows.Err(); err != nil {
		w.tb.Fatal(err)
	}
	return count
}

// Of a backlog no lane starves, however small the batches are, and what one lane
// does not use goes to the others.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		lanes []int
		n     int
		want  [3]int // pending, verified, bulk
	}{
		{[]int{lanePending, laneVerified, laneBulk}, 1, [3]int{6, 1, 1}},
		{[]int{lanePending, laneVerified, laneBulk}, 5, [3]int{30, 5, 5}},
		{[]int{laneVerified, laneBulk}, 2, [3]int{0, 2, 14}},
		{[]int{laneVerified}, 3, [3]int{0, 24, 0}},
	} {
		w := newWorld(t)
		w.backlog(c.lanes...)
		for range 8 {
			jobs, err := w.Due(context.Background(), c.n)
			if err != nil || len(jobs) != c.n {
				t.Fatalf("%v: %d of %d, %v", c.lanes, len(jobs), c.n, err)
			}
		}
		if got := w.lanesOf(); got != c.want {
			t.Errorf("8 batches of %d from %v: %v, want %v", c.n, c.lanes, got, c.want)
		}
	}
}

// A batch that is done again, for a write beside it that failed, has one turn.
func TestTurnOfBatchDoneAgain(t *testing.T) {
	storetest.SQLiteOnly(t) // where writes share a transaction
	w := newWorld(t)
	w.create("u1", "a.com")
	ctx, runs := context.Background(), 0
	w.together(func() {
		if jobs, err := w.Due(ctx, 1); err != nil || len(jobs) != 1 {
			t.Errorf("claimed %+v, %v", jobs, err)
		}
	}, func() {
		_ = w.write(ctx, func(x *tx) error {
			runs++
			return errors.Join(put("a", 1)(x), errors.New("mine"))
		})
	})
	if turns := w.batches.Load(); runs != 2 || turns != 1 {
		t.Errorf("%d turns of one batch, done %d times", turns, runs)
	}
}
