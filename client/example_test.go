package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/domaind/domaind/client"
	gen "github.com/domaind/domaind/gen/client"
)

// From nothing to an active domain.
func Example() {
	ctx := context.Background()
	c, err := client.New(serverURL, client.WithKey(apiKey), client.WithUser("user_123"), client.WithPoll(100*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	d, created, err := c.Create(ctx, "shop.com", "org_456")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Domain.Domain, d.Domain.Status, created)
	for _, r := range d.DNS {
		if r.Purpose != gen.DNSRecordPurposeDKIM { // its name and value are new each time
			fmt.Println(r.RecordType, r.Host, r.ExpectedValue)
		}
	}

	// The domain's owner publishes the records, by hand or as lines of a zone.
	zone, err := c.Zone(ctx, "shop.com")
	if err != nil {
		log.Fatal(err)
	}
	if err := publish(zone); err != nil {
		log.Fatal(err)
	}
	d, err = c.WaitActive(ctx, "shop.com")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Domain.Status)
	// Output:
	// shop.com pending true
	// MX @ mx.example.com
	// TXT @ v=spf1 mx ~all
	// TXT _dmarc v=DMARC1; p=none;
	// active
}

// A refusal says what is wrong, and where.
func ExampleProblem() {
	c, err := client.New(serverURL, client.WithKey(apiKey), client.WithUser("user_123"))
	if err != nil {
		log.Fatal(err)
	}
	_, _, err = c.Create(context.Background(), "co.uk", "")
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println(problem.Status, problem.Code)
		for _, e := range problem.Errors {
			fmt.Println(e.Pointer, e.Code)
		}
	}
	// Output:
	// 422 validation-error
	// /domain public-suffix
}

// All pages are one sequence; the next one is fetched when it is needed.
func ExampleClient_Domains() {
	ctx := context.Background()
	c, err := client.New(serverURL, client.WithKey(apiKey), client.WithUser("user_pages"))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"one.com", "two.com"} {
		if _, _, err := c.Create(ctx, name, ""); err != nil {
			log.Fatal(err)
		}
	}
	for d, err := range c.Domains(ctx, client.DomainFilter{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Domain)
	}
	// Output:
	// one.com
	// two.com
}

// A route that keeps the mail and calls a webhook.
func ExampleClient_PutRoute() {
	ctx := context.Background()
	c, err := client.New(serverURL, client.WithKey(apiKey), client.WithUser("user_route"))
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := c.Create(ctx, "routed.com", ""); err != nil {
		log.Fatal(err)
	}
	hook := "https://example.com/hook"
	d, err := c.PutRoute(ctx, "routed.com", client.Route{ForwardMode: gen.ForwardModeWebhookThenStore, WebhookURL: &hook})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Route.ForwardMode, *d.Route.WebhookURL, d.Route.HasWebhookSecret)
	// Output: webhook_then_store https://example.com/hook true
}
