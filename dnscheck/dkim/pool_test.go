package dkim

import (
	"context"
	"errors"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestPool(t *testing.T) {
	defer goleak.VerifyNone(t)
	p := NewPool(1)
	ctx, cancel := context.WithCancel(t.Context())
	var filling sync.WaitGroup
	filling.Go(func() { p.Run(ctx) })

	seen := map[string]bool{}
	for range 3 {
		key, err := p.Take(ctx)
		if err != nil || seen[key.Selector] || len(key.Selector) != SelectorLength {
			t.Fatalf("%q, %v", key.Selector, err)
		}
		seen[key.Selector] = true
	}
	cancel()
	filling.Wait()
	if p.Len() > 1 {
		t.Errorf("%d keys in a pool of one", p.Len())
	}
}

func TestEmptyPoolGenerates(t *testing.T) {
	p := NewPool(0) // nobody fills it
	if key, err := p.Take(t.Context()); err != nil || key.Public == "" {
		t.Errorf("%v, %v", key.Public, err)
	}
}

func TestFullHouseWaitsForItsTurn(t *testing.T) {
	p := NewPool(1)
	for range cap(p.makers) {
		p.makers <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	p.keys <- Key{Selector: "ready"}
	if key, err := p.Take(ctx); err != nil || key.Selector != "ready" {
		t.Errorf("%v, %v", key, err)
	}
}
