package client

import (
	"context"
	"iter"

	gen "github.com/domaind/domaind/gen/client"
)

// pageSize is how many entries one request asks for.
const pageSize = 100

// DomainFilter narrows Domains; its zero value lets all pass.
type DomainFilter struct {
	Organization string
	Status       DomainStatus
}

// Domains yields the user's domains by name. An error is the last thing
// yielded.
func (c *Client) Domains(ctx context.Context, f DomainFilter) iter.Seq2[Domain, error] {
	return pages(func(cursor *string) ([]Domain, *string, error) {
		params := gen.ListDomainsParams{
			UserID: c.user, OrganizationID: orNil(f.Organization), Status: orNil(f.Status), Limit: new(pageSize), Cursor: cursor,
		}
		r, err := c.API.ListDomainsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, err
		}
		page, err := given(r.JSON200, r)
		return page.Domains, page.NextCursor, err
	})
}

// Messages yields the domain's stored mail, the newest first. An error is the
// last thing yielded.
func (c *Client) Messages(ctx context.Context, domain string) iter.Seq2[Message, error] {
	return pages(func(cursor *string) ([]Message, *string, error) {
		params := gen.ListMessagesParams{UserID: c.user, Limit: new(pageSize), Cursor: cursor}
		r, err := c.API.ListMessagesWithResponse(ctx, domain, &params)
		if err != nil {
			return nil, nil, err
		}
		page, err := given(r.JSON200, r)
		return page.Messages, page.NextCursor, err
	})
}

// Deliveries yields what became of the domain's mail: what is in one state, or
// all with "". An error is the last thing yielded.
func (c *Client) Deliveries(ctx context.Context, domain string, state DeliveryState) iter.Seq2[Delivery, error] {
	return pages(func(cursor *string) ([]Delivery, *string, error) {
		params := gen.ListDeliveriesParams{UserID: c.user, Limit: new(pageSize), State: orNil(state), Cursor: cursor}
		r, err := c.API.ListDeliveriesWithResponse(ctx, domain, &params)
		if err != nil {
			return nil, nil, err
		}
		page, err := given(r.JSON200, r)
		return page.Deliveries, page.NextCursor, err
	})
}

// Events yields the domain's history, the newest first. An error is
// the last thing yielded.
func (c *Client) Events(ctx context.Context, domain string) iter.Seq2[Event, error] {
	return pages(func(cursor *string) ([]Event, *string, error) {
		params := gen.ListEventsParams{UserID: c.user, Limit: new(pageSize), Cursor: cursor}
		r, err := c.API.ListEventsWithResponse(ctx, domain, &params)
		if err != nil {
			return nil, nil, err
		}
		page, err := given(r.JSON200, r)
		return page.Events, page.NextCursor, err
	})
}

// pages yields the entries of all pages, and fetches the next one only when it
// is asked for.
func pages[T any](fetch func(cursor *string) ([]T, *string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor, more := (*string)(nil), true; more; more = cursor != nil {
			page, next, err := fetch(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
			}
			cursor = next
		}
	}
}

func orNil[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}
