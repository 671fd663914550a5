package server

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/store"
)

// call is what is known of one request on its way.
type call struct {
	id   string
	key  store.Key     // zero before the key was checked
	link *store.Tenant // nil unless a link's token was checked
	code string        // of the problem that was answered
}

type callKey struct{}

// withCall gives a request its id.
func withCall(ctx context.Context) (context.Context, *call) {
	c := &call{id: newRequestID()}
	return context.WithValue(ctx, callKey{}, c), c
}

// carryOut lets a change that was asked for outlive its connection. net/http
// takes a client that closes its sending side after the body for one that went
// away, though it still waits for the answer (RFC 9112 section 9.6). Reads need
// no such care: the store does not cancel them.
func carryOut(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method == http.MethodGet {
			return next(c)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), handleTimeout)
		defer cancel()
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
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
