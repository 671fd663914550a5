package chaos

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/domaind/domaind/gen/client"
)

// caller makes the calls of the model to a service.
type caller struct {
	*service
	users [2]string
	ids   sync.Map // of records, by user, name and purpose: they never change
}

type recordKey struct {
	user, name string
	purpose    client.DNSRecordPurpose
}

// call returns what the process of the moment answers; an error when it does
// not: then the call may have happened or not. A fault says that the answer
// itself is wrong.
func (c *caller) call(r request) (answer, error) {
	ctx, now, user := context.Background(), c.now(), c.users[r.user]
	switch r.kind {
	case create:
		reply, err := now.CreateDomainWithResponse(ctx, client.CreateDomainRequest{Domain: r.name, UserID: user})
		if err != nil {
			return answer{}, err
		}
		made := reply.JSON201
		if made == nil {
			made = reply.JSON200
		}
		if made == nil {
			return c.answer(r, reply.HTTPResponse, nil)
		}
		return c.answer(r, reply.HTTPResponse, &made.Domain)
	case info:
		reply, err := now.GetDomainWithResponse(ctx, r.name, &client.GetDomainParams{UserID: user})
		if err != nil {
			return answer{}, err
		}
		return c.answer(r, reply.HTTPResponse, reply.JSON200)
	case remove:
		reply, err := now.DeleteDomainWithResponse(ctx, client.DeleteDomainRequest{Domain: r.name, UserID: user})
		if err != nil {
			return answer{}, err
		}
		return c.answer(r, reply.HTTPResponse, nil)
	case route:
		body := client.PutRouteRequest{UserID: user, ForwardMode: client.ForwardModeStore}
		if r.to != "" {
			body.ForwardToEmail = &r.to
		}
		reply, err := now.PutRouteWithResponse(ctx, r.name, nil, body)
		if err != nil {
			return answer{}, err
		}
		return c.answer(r, reply.HTTPResponse, reply.JSON200)
	case rotate:
		reply, err := now.RotateDKIMWithResponse(ctx, r.name, client.RotateDKIMRequest{UserID: user})
		if err != nil {
			return answer{}, err
		}
		return c.answer(r, reply.HTTPResponse, reply.JSON202)
	default:
		return c.mark(ctx, r)
	}
}

func (c *caller) mark(ctx context.Context, r request) (answer, error) {
	user := c.users[r.user]
	id, ok := c.ids.Load(recordKey{user, r.name, r.purpose})
	if !ok {
		return answer{}, fault("no record of " + r.name + " is known")
	}
	reply, err := c.now().MarkDNSWithResponse(ctx, r.name, client.MarkDNSRequest{
		UserID: user, ID: id.(int64), Status: r.status,
	})
	if err != nil {
		return answer{}, err
	}
	return c.answer(r, reply.HTTPResponse, reply.JSON200)
}

// knows reports whether a mark of this record can be asked for: its id was seen.
func (c *caller) knows(r request) bool {
	_, ok := c.ids.Load(recordKey{c.users[r.user], r.name, r.purpose})
	return ok
}

// fault is what no answer may show.
type fault string

func (f fault) Error() string { return string(f) }

// status is an answer that tells nothing of the domain, such as 503.
type status int

func (s status) Error() string { return fmt.Sprintf("answered with %d", int(s)) }

func (c *caller) answer(r request, reply *http.Response, d *client.DomainDetails) (answer, error) {
	out := answer{code: reply.StatusCode}
	switch {
	case d != nil:
	case out.code < http.StatusInternalServerError && out.code != http.StatusNotFound && r.kind != remove:
		return out, fault(fmt.Sprintf("%+v: answered with %d", r, out.code))
	case out.code == http.StatusNotFound, r.kind == remove && out.code == http.StatusOK:
		return out, nil
	default:
		return out, status(out.code)
	}
	out.row = row{status: d.Domain.Status, held: d.Domain.HeldByOther != nil && *d.Domain.HeldByOther}
	if to := d.Route.ForwardToEmail; to != nil {
		out.row.to = *to
	}
	var err error
	out.records, err = c.records(r, d.DNS)
	return out, err
}

// records reads what an answer says of the records, which must be one of each
// purpose, and one more for the key of a rotation.
func (c *caller) records(r request, list []client.DNSRecord) (records, error) {
	var out records
	for _, record := range list {
		if !record.Required { // of a rotation
			out.keys[1] = record.Host
		}
	}
	for i, p := range purposes {
		for _, record := range list {
			if record.Purpose != p || !record.Required {
				continue
			}
			if out.marks[i] != "" || record.Override != (record.Status != client.RecordStatusPending) {
				return out, fault(fmt.Sprintf("%s: the records do not fit together: %+v", r.name, list))
			}
			out.marks[i] = record.Status
			c.ids.Store(recordKey{c.users[r.user], r.name, p}, record.ID)
			if p == client.DNSRecordPurposeDKIM {
				out.keys[0] = record.Host
			}
		}
		if out.marks[i] == "" {
			return out, fault(fmt.Sprintf("%s has no %s record", r.name, p))
		}
	}
	return out, nil
}
