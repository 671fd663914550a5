package server_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/nullable"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/gen/client"
)

// TestContract makes every call, well and badly, and holds each answer against
// openapi.yaml. A documented 2xx that was never seen fails it.
func TestContract(t *testing.T) {
	h := start(t)
	v, c := h.contract, h.client(adminKey)
	everyCall(t, c)
	everyMailCall(t, h)
	everyFailure(t, c)
	doc, err := api.GetSpec()
	ok(t, err)
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status := range op.Responses.Map() {
				n, err := strconv.Atoi(status)
				ok(t, err)
				if n < 300 && !v.seen[op.OperationID][n] {
					t.Errorf("%s never answered %d", op.OperationID, n)
				}
			}
		}
	}
}

// everyCall goes through the life of a domain.
func everyCall(t *testing.T, c *client.ClientWithResponses) {
	t.Helper()
	ctx, user, name := t.Context(), "user_123", "customer.com"
	org := "org_456"
	created := must(c.CreateDomainWithResponse(ctx, client.CreateDomainRequest{Domain: name, UserID: user, OrganizationID: &org}))
	if created.JSON201 == nil || created.JSON201.Message != "Domain created" {
		t.Fatalf("create: %s %s", created.Status(), created.Body)
	}
	again := must(c.CreateDomainWithResponse(ctx, client.CreateDomainRequest{Domain: "Customer.COM.", UserID: user}))
	if again.JSON200 == nil || again.JSON200.Message != "Domain already exists" {
		t.Fatalf("create again: %s %s", again.Status(), again.Body)
	}
	record := created.JSON201.Domain.DNS[0]
	statuses := map[string]int{
		"get":    must(c.GetDomainWithResponse(ctx, name, &client.GetDomainParams{UserID: user})).StatusCode(),
		"dns":    must(c.GetDNSWithResponse(ctx, name, &client.GetDNSParams{UserID: user})).StatusCode(),
		"zone":   must(c.GetZoneWithResponse(ctx, name, &client.GetZoneParams{UserID: user})).StatusCode(),
		"list":   must(c.ListDomainsWithResponse(ctx, &client.ListDomainsParams{UserID: user})).StatusCode(),
		"verify": must(c.VerifyDNSWithResponse(ctx, name, client.VerifyDNSRequest{UserID: user})).StatusCode(),
		"mark": must(c.MarkDNSWithResponse(ctx, name, client.MarkDNSRequest{
			UserID: user, ID: record.ID, Status: client.RecordStatusVerified, ObservedValue: ptr("seen"),
		})).StatusCode(),
		"route":  must(c.PutRouteWithResponse(ctx, name, nil, allFourFields(user))).StatusCode(),
		"events": must(c.ListEventsWithResponse(ctx, name, &client.ListEventsParams{UserID: user})).StatusCode(),
		"livez":  must(c.GetLivezWithResponse(ctx)).StatusCode(),
		"readyz": must(c.GetReadyzWithResponse(ctx)).StatusCode(),
	}
	for call, status := range statuses {
		if status != http.StatusOK {
			t.Errorf("%s: status %d", call, status)
		}
	}
	rotated := must(c.RotateDKIMWithResponse(ctx, name, client.RotateDKIMRequest{UserID: user}))
	if rotated.JSON202 == nil {
		t.Errorf("rotate: %s %s", rotated.Status(), rotated.Body)
	}
	link := must(c.CreateSetupLinkWithResponse(ctx, name, client.CreateSetupLinkRequest{UserID: user}))
	if link.JSON201 == nil {
		t.Errorf("setup link: %s %s", link.Status(), link.Body)
	}
	revoked := must(c.RevokeSetupLinksWithResponse(ctx, name, &client.RevokeSetupLinksParams{UserID: user}))
	if revoked.JSON200 == nil || revoked.JSON200.Revoked != 1 {
		t.Errorf("revoke setup links: %s %s", revoked.Status(), revoked.Body)
	}
	deleted := must(c.DeleteDomainWithResponse(ctx, client.DeleteDomainRequest{Domain: name, UserID: user}))
	if deleted.JSON200 == nil || !deleted.JSON200.Ok || deleted.JSON200.Deleted != name {
		t.Errorf("delete: %s %s", deleted.Status(), deleted.Body)
	}
}

// allFourFields is the body of the documentation that the API started from.
func allFourFields(user string) client.PutRouteRequest {
	return client.PutRouteRequest{
		UserID: user, ForwardMode: client.ForwardModeWebhookThenStore,
		WebhookURL: ptr("https://example.com/hook"), ForwardToEmail: ptr("inbox@customer.com"),
		WebhookSecret: nullable.NewNullableWithValue("optional-secret"),
	}
}

// everyFailure provokes each kind of failure that a client can cause.
func everyFailure(t *testing.T, c *client.ClientWithResponses) {
	t.Helper()
	ctx := t.Context()
	edit := func(f func(*http.Request)) client.RequestEditorFn {
		return func(_ context.Context, r *http.Request) error { f(r); return nil }
	}
	const body = `{"domain":"a.com","user_id":"u1"}`
	post := func(body, mediaType string) int {
		r, err := c.CreateDomainWithBodyWithResponse(ctx, mediaType, strings.NewReader(body))
		ok(t, err)
		return r.StatusCode()
	}
	for want, got := range map[int]int{
		http.StatusBadRequest:            post("{", "application/json"),
		http.StatusUnprocessableEntity:   post(`{"domain":"com","user_id":"u1"}`, "application/json"),
		http.StatusUnsupportedMediaType:  post(body, "text/plain"),
		http.StatusRequestEntityTooLarge: post(body+strings.Repeat(" ", 70_000), "application/json"),
		http.StatusUnauthorized: must(c.GetDomainWithResponse(ctx, "a.com", &client.GetDomainParams{UserID: "u1"},
			edit(func(r *http.Request) { r.Header.Del("X-Api-Key") }))).StatusCode(),
		http.StatusNotFound: must(c.GetDomainWithResponse(ctx, "nosuch.com", &client.GetDomainParams{UserID: "u1"})).StatusCode(),
		http.StatusRequestHeaderFieldsTooLarge: must(c.GetLivezWithResponse(ctx,
			edit(func(r *http.Request) { r.Header.Set("X-Long", strings.Repeat("a", 17_000)) }))).StatusCode(),
	} {
		if got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
}

// TestContractCanFail breaks the document in ways that answers must notice.
func TestContractCanFail(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	for name, mutate := range map[string]func(*openapi3.T){
		"status gone": func(d *openapi3.T) { op(d).Responses.Delete("200") },
		"media type": func(d *openapi3.T) {
			r := op(d).Responses.Value("200").Value
			r.Content = openapi3.Content{"application/xml": r.Content["application/json"]}
		},
		"member missing": func(d *openapi3.T) {
			d.Components.Schemas["Domain"].Value.Required = append(d.Components.Schemas["Domain"].Value.Required, "nosuch")
		},
		"type": func(d *openapi3.T) {
			d.Components.Schemas["MailExchange"].Value.Properties["priority"].Value.Type = &openapi3.Types{"string"}
		},
		"enum":    func(d *openapi3.T) { d.Components.Schemas["DomainStatus"].Value.Enum = []any{"active"} },
		"maximum": func(d *openapi3.T) { d.Components.Schemas["DnsRecord"].Value.Properties["ttl"].Value.Max = ptr(0.0) },
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := api.GetSpec()
			ok(t, err)
			mutate(doc)
			var failures []error
			v := newTransport(t, doc, func(err error) { failures = append(failures, err) })
			c, err := client.NewClientWithResponses(h.url, client.WithHTTPClient(&http.Client{Transport: v}), withKey(adminKey))
			ok(t, err)
			_, err = c.GetDomainWithResponse(t.Context(), "customer.com", &client.GetDomainParams{UserID: "u1"})
			ok(t, err)
			if len(failures) == 0 {
				t.Error("the check passed an answer that the changed document forbids")
			}
		})
	}
}

func op(d *openapi3.T) *openapi3.Operation { return d.Paths.Value("/v2/domains/{domain}/info").Get }

func ptr[T any](v T) *T { return &v }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
