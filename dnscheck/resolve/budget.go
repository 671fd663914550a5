package resolve

import (
	"context"
	"sync"
	"sync/atomic"
)

// Budget is the Resolver of one check: it asks nothing twice, counts what it
// sends, and stops at a limit. It is safe for concurrent use.
type Budget struct {
	resolver Resolver
	limit    int64
	spent    atomic.Int64

	mu   sync.Mutex
	memo map[key]*memo
}

// key names a question. The name is canonical.
type key struct {
	name  string
	qtype Type
}

// memo is a question that was asked; done is closed when it has its answer.
type memo struct {
	done   chan struct{}
	answer Answer
	err    error
}

var _ Resolver = (*Budget)(nil)

// WithBudget returns a Resolver that sends at most about n queries through r,
// retries included: a lookup under way when the limit is reached still ends.
// After that every new question fails with CodeTimeout.
func WithBudget(r Resolver, n int) *Budget {
	return &Budget{resolver: r, limit: int64(n), memo: make(map[key]*memo)}
}

// Queries returns how many queries were sent so far. A lookup counts as what
// it sent, retries included; as one where its resolver does not say; and as
// none when it was served from a cache.
func (b *Budget) Queries() int { return int(b.spent.Load()) }

// Lookup implements Resolver.
func (b *Budget) Lookup(ctx context.Context, name string, qtype Type) (Answer, error) {
	k := key{canonical(name), qtype}
	b.mu.Lock()
	m, asked := b.memo[k]
	if !asked {
		if b.spent.Load() >= b.limit {
			b.mu.Unlock()
			return Answer{}, &Error{Code: CodeTimeout, Name: k.name, Type: qtype, Detail: "Too many questions for one check."}
		}
		b.spent.Add(1)
		m = &memo{done: make(chan struct{})}
		b.memo[k] = m
	}
	b.mu.Unlock()
	if !asked {
		b.ask(ctx, k, m)
		return m.answer, m.err
	}
	select {
	case <-m.done:
		return m.answer, m.err
	case <-ctx.Done():
		return Answer{}, &Error{Code: CodeTimeout, Name: k.name, Type: qtype, Detail: "No name server answered in time.", Err: ctx.Err()}
	}
}

// ask settles a question, of which one query is counted already.
func (b *Budget) ask(ctx context.Context, k key, m *memo) {
	var sent atomic.Int64
	defer close(m.done)
	m.answer, m.err = b.resolver.Lookup(withSent(ctx, &sent), k.name, k.qtype)
	switch n := sent.Load(); {
	case n > 0:
		b.spent.Add(n - 1)
	case m.answer.Cached:
		b.spent.Add(-1)
	}
}
