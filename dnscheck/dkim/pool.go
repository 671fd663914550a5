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
	makers   chan struct{}
	generate func() (Key, error)
	usage    func() usage
}

// usage is processor time: what the process has used, and the calling thread.
type usage struct{ process, thread time.Duration }

// NewPool returns an empty pool that Run fills up to size keys.
func NewPool(size int) *Pool {
	return &Pool{
		keys:     make(chan Key, max(size, 0)),
		makers:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		generate: Generate, usage: processorTime,
	}
}

// Run fills the pool until ctx ends, one key at a time. An idle process gives
// it a whole processor; in a busy one it rests after each key, the longer the
// busier.
//
// That is its low priority. A low one of its thread would do harm: while such
// a thread waits for the processor, it holds back each collection of garbage,
// and all goroutines with it.
func (p *Pool) Run(ctx context.Context) {
	runtime.LockOSThread() // so that the thread's time is that of the keys
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		start, before := time.Now(), p.usage()
		key, err := p.generate()
		took, after := time.Since(start), p.usage()
		if err == nil {
			select {
			case p.keys <- key:
			case <-ctx.Done():
				return
			}
		}
		// An error means that the machine has no randomness or memory; Take
		// reports it to the caller who needs the key, and we try again.
		pause(ctx, p.rest(took, usage{after.process - before.process, after.thread - before.thread}, err))
	}
}

// restFactor is how many times as long as a key took the pool rests after it,
// in a process whose other threads leave no processor idle.
const restFactor = 8

// idleShare is the part of one processor that an idle process uses too: one in
// so many.
const idleShare = 20

// rest is how long to wait after a key that took so long, while the processors
// worked so much.
func (p *Pool) rest(took time.Duration, used usage, err error) time.Duration {
	switch {
	case err != nil:
		return max(took, time.Second)
	case len(p.makers) > 0:
		return 0 // somebody waits for a key: that is what keeps the processors busy
	}
	others := max(used.process-used.thread-took/idleShare, 0)
	return min(restFactor*others/time.Duration(runtime.GOMAXPROCS(0)), restFactor*took)
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
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
		return p.generate()
	case <-ctx.Done():
		return Key{}, ctx.Err()
	}
}

// Len returns how many keys are ready.
func (p *Pool) Len() int { return len(p.keys) }
