package server

import (
	"context"

	"github.com/google/uuid"

	"github.com/domaind/domaind/store"
)

// call is what is known of one request on its way.
type call struct {
	id   string
	key  store.Key // zero before the key was checked
	code string    // of the problem that was answered
}

type callKey struct{}

// withCall gives a request its id.
func withCall(ctx context.Context) (context.Context, *call) {
	c := &call{id: newRequestID()}
	return context.WithValue(ctx, callKey{}, c), c
}

// callFrom returns the request's call; an empty one outside of a request.
func callFrom(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// instance names the request as a URI (RFC 9562 section 4).
func (c *call) instance() string { return "urn:uuid:" + c.id }

// newRequestID returns an id that sorts by time.
func newRequestID() string {
	id, err := uuid.NewV7()
	if err != nil { // no randomness
		return uuid.Nil.String()
	}
	return id.String()
}
