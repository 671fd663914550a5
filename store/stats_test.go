package store

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Nobody waits for a count who can have numbers that are not much older.
func TestStatsAge(t *testing.T) {
	w := newWorld(t)
	pending := func() int64 {
		t.Helper()
		st, err := w.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return st.Domains[DomainStatusPending]
	}
	w.create("u1", "a.example.com")
	for i, step := range []struct {
		after       time.Duration
		first, then int64 // the numbers at once, and when the count is done
	}{
		{0, 1, 1},
		{countEvery - time.Millisecond, 1, 1}, // of the next domain nothing yet
		{time.Millisecond, 1, 3},
		{countStale * countEvery, 4, 4},
		{-time.Hour, 5, 5}, // the clock was set back
	} {
		w.clock.forward(step.after)
		if got := pending(); got != step.first {
			t.Errorf("after another %v: %d, want %d", step.after, got, step.first)
		}
		w.counts.end.Wait()
		if got := pending(); got != step.then {
			t.Errorf("after another %v, counted: %d, want %d", step.after, got, step.then)
		}
		w.create("u1", fmt.Sprintf("b%d.example.com", i))
	}
}
