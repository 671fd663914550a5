package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/oapi-codegen/nullable"

	"github.com/domaind/domaind/client"
	gen "github.com/domaind/domaind/gen/client"
)

// domainCmd groups what a user of the service does with domains.
type domainCmd struct {
	Create domainCreateCmd `cmd:"" help:"Create a domain, and show the records to publish."`
	Get    domainGetCmd    `cmd:"" help:"Show a domain, its records and what is wrong with them."`
	List   domainListCmd   `cmd:"" help:"List the user's domains."`
	Verify domainVerifyCmd `cmd:"" help:"Check DNS now: exit 0 when the domain is active and whole, else 1."`
	Route  domainRouteCmd  `cmd:"" help:"Show or set what happens to inbound mail."`
	Delete domainDeleteCmd `cmd:"" help:"Delete a domain."`
	Zone   domainZoneCmd   `cmd:"" help:"Print the records to publish as lines of a zone file."`
}

type domainCreateCmd struct {
	Domain string `arg:"" help:"Name of the domain."`

	Organization string `placeholder:"ORG" help:"Organization that the domain belongs to."`

	waitFlags
	apiFlags
}

func (c domainCreateCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		d, _, err := api.Create(ctx, c.Domain, c.Organization)
		if err != nil {
			return err
		}
		if !c.Wait {
			return c.print(s.out, d, func(t *tabwriter.Writer) { domainTable(t, d) })
		}
		if !c.JSON {
			if err := c.print(s.out, d, func(t *tabwriter.Writer) { toPublish(t, d) }); err != nil {
				return err
			}
		}
		return c.await(ctx, s, api, c.apiFlags, d)
	})
}

type domainGetCmd struct {
	Domain string `arg:"" help:"Name of the domain."`

	apiFlags
}

func (c domainGetCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		d, err := api.Get(ctx, c.Domain)
		if err != nil {
			return err
		}
		return c.print(s.out, d, func(t *tabwriter.Writer) { domainTable(t, d) })
	})
}

type domainListCmd struct {
	Organization string `placeholder:"ORG" help:"Only domains of this organization."`
	Status       string `enum:",active,failed,pending" default:"" placeholder:"STATUS" help:"Only domains in this status: active, failed or pending."`

	apiFlags
}

func (c domainListCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		all := gen.DomainList{Domains: []client.Domain{}}
		for d, err := range api.Domains(ctx, client.DomainFilter{Organization: c.Organization, Status: client.DomainStatus(c.Status)}) {
			if err != nil {
				return err
			}
			all.Domains = append(all.Domains, d)
		}
		return c.print(s.out, all, func(t *tabwriter.Writer) {
			row(t, "DOMAIN", "STATUS", "DEGRADED", "ORGANIZATION", "CREATED", "CHECKED")
			for _, d := range all.Domains {
				row(t, d.Domain, string(d.Status), yesNo(d.Degraded), valueOf(d.OrganizationID), stamp(d.CreatedAt), stampOf(d.LastCheckedAt))
			}
		})
	})
}

type domainVerifyCmd struct {
	Domain string `arg:"" help:"Name of the domain."`

	waitFlags
	apiFlags
}

func (c domainVerifyCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		d, err := api.Verify(ctx, c.Domain)
		if err != nil {
			return err
		}
		if c.Wait {
			return c.await(ctx, s, api, c.apiFlags, d)
		}
		if err := c.print(s.out, d, func(t *tabwriter.Writer) { domainTable(t, d) }); err != nil {
			return err
		}
		if d.Domain.Status != gen.DomainStatusActive || d.Domain.Degraded {
			return errNo
		}
		return nil
	})
}

type domainRouteCmd struct {
	Domain string `arg:"" help:"Name of the domain."`

	Mode          string `placeholder:"MODE" enum:",store,webhook,webhook_then_store,forward_email" default:"" help:"Set the route: store, webhook, webhook_then_store or forward_email; without it the route is shown."`
	WebhookURL    string `name:"webhook-url" placeholder:"URL" help:"Endpoint, with a webhook mode."`
	WebhookSecret string `name:"webhook-secret" placeholder:"SECRET" help:"Signs the calls (default: the one there is, else one is generated and shown once)."`
	ForwardTo     string `name:"forward-to" placeholder:"ADDRESS" help:"Address, with forward_email."`

	apiFlags
}

func (c domainRouteCmd) Run(ctx context.Context, s streams) error {
	if c.Mode == "" && c.WebhookURL+c.WebhookSecret+c.ForwardTo != "" {
		return errors.New("--mode is required to set a route")
	}
	return c.use(func(api *client.Client) error {
		d, err := c.call(ctx, api)
		if err != nil {
			return err
		}
		return c.print(s.out, d.Route, func(t *tabwriter.Writer) {
			r := d.Route
			row(t, "DOMAIN", "MODE", "WEBHOOK", "SIGNED", "FORWARD TO")
			row(t, r.Domain, string(r.ForwardMode), valueOf(r.WebhookURL), yesNo(r.HasWebhookSecret), valueOf(r.ForwardToEmail))
			if r.WebhookSecret != nil {
				_, _ = fmt.Fprintf(t, "webhook secret, shown this once: %s\n", printable(*r.WebhookSecret))
			}
		})
	})
}

func (c domainRouteCmd) call(ctx context.Context, api *client.Client) (client.DomainDetails, error) {
	if c.Mode == "" {
		return api.Get(ctx, c.Domain)
	}
	route := client.Route{ForwardMode: gen.ForwardMode(c.Mode)}
	if c.WebhookURL != "" {
		route.WebhookURL = &c.WebhookURL
	}
	if c.WebhookSecret != "" {
		route.WebhookSecret = nullable.NewNullableWithValue(c.WebhookSecret)
	}
	if c.ForwardTo != "" {
		route.ForwardToEmail = &c.ForwardTo
	}
	return api.PutRoute(ctx, c.Domain, route)
}

type domainDeleteCmd struct {
	Domain string `arg:"" help:"Name of the domain."`

	apiFlags
}

func (c domainDeleteCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		if err := api.Delete(ctx, c.Domain); err != nil {
			return err
		}
		answer := gen.DeleteDomainResult{Deleted: c.Domain, Ok: true}
		return c.print(s.out, answer, func(t *tabwriter.Writer) { row(t, "deleted "+c.Domain) })
	})
}

type domainZoneCmd struct {
	Domain string `arg:"" help:"Name of the domain."`

	apiFlags
}

func (c domainZoneCmd) Run(ctx context.Context, s streams) error {
	return c.use(func(api *client.Client) error {
		zone, err := api.Zone(ctx, c.Domain)
		if err != nil {
			return err
		}
		if c.JSON {
			return c.print(s.out, map[string]string{"zone": zone}, nil)
		}
		_, err = fmt.Fprint(s.out, zone)
		return err
	})
}

// domainTable shows a domain: a line for itself, one for each record, and what
// to do about those that are wrong.
func domainTable(t *tabwriter.Writer, d client.DomainDetails) {
	status := string(d.Domain.Status)
	if d.Domain.Degraded {
		status += ", degraded"
	}
	_, _ = fmt.Fprintf(t, "%s is %s\n", printable(d.Domain.Domain), status)
	row(t, "TYPE", "HOST", "VALUE", "FOUND", "STATUS")
	for _, r := range d.DNS {
		status := string(r.Status)
		if r.Override {
			status += ", by hand"
		}
		if r.Code != nil {
			status += " (" + *r.Code + ")"
		}
		row(t, string(r.RecordType), r.Host, short(toEnter(r)), short(strings.Join(r.ObservedValues, " | ")), status)
	}
	for _, r := range d.DNS {
		purpose := strings.ToUpper(string(r.Purpose))
		if r.Detail != nil {
			_, _ = fmt.Fprintf(t, "%s: %s\n", purpose, printable(*r.Detail))
		}
		if r.Hint != nil {
			_, _ = fmt.Fprintf(t, "%s hint: %s\n", purpose, printable(*r.Hint))
		}
	}
}

// toPublish shows the records in full, for whoever enters them.
func toPublish(t *tabwriter.Writer, d client.DomainDetails) {
	row(t, "TYPE", "HOST", "TTL", "VALUE")
	for _, r := range d.DNS {
		row(t, string(r.RecordType), r.Host, fmt.Sprint(r.TTL), toEnter(r))
	}
}

// toEnter is a record's value with its preference.
func toEnter(r client.DNSRecord) string {
	if r.Priority == nil {
		return r.ExpectedValue
	}
	return fmt.Sprintf("%d %s", *r.Priority, r.ExpectedValue)
}
