package dkim

import (
	"context"
	"runtime"
	"time"
)

// Pool keeps fresh keys ready, so that creating a domain does not wait for the
// 100 to 150 ms that one costs. It is safe for concurrent use.
type Pool struct {
	keys chan Key
	// makers bounds how many callers generate at once when the pool is empty:
	// more than there are processors would only make all of them slower.
	makers chan struct{}
}

// NewPool returns an empty pool that Run fills up to size keys.
func NewPool(size int) *Pool {
	return &Pool{
		keys:   make(chan Key, max(size, 0)),
		makers: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Run fills the pool until ctx ends. It makes one key at a time and then rests
// as long as that took, so that it never takes more than half a processor.
func (p *Pool) Run(ctx context.Context) {
	for ctx.Err() == nil {
		start := time.Now()
		key, err := Generate()
		if err == nil {
			select {
			case p.keys <- key:
			case <-ctx.Done():
				return
			}
		}
		// An error means that the machine has no randomness or memory; Take
		// reports it to the caller who needs the key, and we try again.
		select {
		case <-time.After(time.Since(start)):
		case <-ctx.Done():
		}
	}
}

// Take returns a key from the pool, or generates one when it is empty: it never
// refuses. The error is ctx's or Generate's.
func (p *Pool) Take(ctx context.Context) (Key, error) {
	select {
	case key := <-p.keys:
		return key, nil
	default:
	}
	select {
	case key := <-p.keys:
		return key, nil
	case p.makers <- struct{}{}:
		defer func() { <-p.makers }()
		return Generate()
	case <-ctx.Done():
		return Key{}, ctx.Err()
	}
}

// Len returns how many keys are ready.
func (p *Pool) Len() int { return len(p.keys) }
