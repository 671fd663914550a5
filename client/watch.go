package client

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	gen "github.com/domaind/domaind/gen/client"
)

// Watch yields a domain as it is now and then whenever its status, or that of
// one of its records, has changed, until ctx ends. It asks for no checks: the
// service makes them by itself. An error is the last thing yielded; at the end
// of ctx it is that of ctx.
func (c *Client) Watch(ctx context.Context, domain string) iter.Seq2[DomainDetails, error] {
	return func(yield func(DomainDetails, error) bool) {
		tick := time.NewTicker(c.poll)
		defer tick.Stop()
		var last []string
		for {
			d, err := c.Get(ctx, domain)
			if err != nil {
				if ctx.Err() != nil {
					err = ctx.Err()
				}
				yield(DomainDetails{}, err)
				return
			}
			if now := state(d); !slices.Equal(now, last) {
				last = now
				if !yield(d, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				yield(DomainDetails{}, ctx.Err())
				return
			case <-tick.C:
			}
		}
	}
}

// state is what counts as a change for Watch.
func state(d DomainDetails) []string {
	now := []string{string(d.Domain.Status), fmt.Sprint(d.Domain.Degraded)}
	for _, r := range d.DNS {
		now = append(now, string(r.Purpose), string(r.Status))
		if r.Code != nil {
			now = append(now, *r.Code)
		}
	}
	return now
}

// WaitActive returns a domain once it is active. It waits through every other
// status, also failed, since a domain becomes active from each when its records
// are right. On an error, such as the end of ctx, it also returns the domain as
// it was last seen, whose records say what is missing.
func (c *Client) WaitActive(ctx context.Context, domain string) (DomainDetails, error) {
	var last DomainDetails
	for d, err := range c.Watch(ctx, domain) {
		if err != nil {
			return last, err
		}
		last = d
		if d.Domain.Status == gen.DomainStatusActive {
			return d, nil
		}
	}
	return last, ctx.Err()
}
