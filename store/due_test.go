package store

import (
	"context"
	"testing"
	"time"
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
