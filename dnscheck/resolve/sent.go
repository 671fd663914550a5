package resolve

import (
	"context"
	"sync/atomic"
)

type sentKey struct{}

// withSent returns a context whose lookups add the queries that they send to
// n, retries included.
func withSent(ctx context.Context, n *atomic.Int64) context.Context {
	return context.WithValue(ctx, sentKey{}, n)
}

func countSent(ctx context.Context) {
	if n, ok := ctx.Value(sentKey{}).(*atomic.Int64); ok {
		n.Add(1)
	}
}

// sameSent returns ctx with the counter of another context, if that has one.
func sameSent(ctx, from context.Context) context.Context {
	if n, ok := from.Value(sentKey{}).(*atomic.Int64); ok {
		return withSent(ctx, n)
	}
	return ctx
}
