package store

import (
	"context"
	"sync"
	"time"
)

// answerWithin is how long a database that others run is waited for: for a
// free connection, a lock and all statements of one transaction together. It is
// below what the callers of the API wait, and above writerParams' times.
const answerWithin = 20 * time.Second

// patience gives contexts that end when the database has not answered in time.
// A server that hangs, or one behind a network that loses packets, would else
// hold its callers for as long. All that starts within a second shares one
// context, so that no call has a timer of its own to stop.
type patience struct {
	within time.Duration // 0: for ever, which suits a file

	mu   sync.Mutex
	born time.Time
	ctx  context.Context //nolint:containedctx // it is what is shared
}

// share is for how long a context is given to those who ask.
const share = time.Second

// context returns one that ends after within, or up to a second later.
func (p *patience) context() context.Context {
	if p.within == 0 {
		return context.Background()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.ctx == nil || now.Sub(p.born) > share {
		ctx, end := context.WithTimeout(context.Background(), p.within+share)
		context.AfterFunc(ctx, end)
		p.born, p.ctx = now, ctx
	}
	return p.ctx
}
