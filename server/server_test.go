package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/server"
	"github.com/domaind/domaind/store"
)

// TestLifecycle publishes what the zone call says, and the domain is active.
func TestLifecycle(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	c := h.client(adminKey)
	zone := must(c.GetZoneWithResponse(t.Context(), "customer.com", &client.GetZoneParams{UserID: "u1"}))
	lines := strings.Split(strings.TrimSpace(string(zone.Body)), "\n")
	if len(lines) != 4 {
		t.Fatalf("zone:\n%s", zone.Body)
	}
	ok(t, h.dns.Set(lines...))
	r := must(c.VerifyDNSWithResponse(t.Context(), "customer.com", client.VerifyDNSRequest{UserID: "u1"}))
	if r.JSON200 == nil || r.JSON200.Domain.Status != client.DomainStatusActive {
		t.Fatalf("verify: %s %s", r.Status(), r.Body)
	}
	for _, record := range r.JSON200.DNS {
		if record.Status != client.RecordStatusVerified || record.ObservedValue == nil {
			t.Errorf("%s is %s, observed %v", record.Purpose, record.Status, record.ObservedValues)
		}
	}
	events := must(c.ListEventsWithResponse(t.Context(), "customer.com", &client.ListEventsParams{UserID: "u1", Limit: ptr(1)}))
	if events.JSON200 == nil || len(events.JSON200.Events) != 1 || events.JSON200.NextCursor == nil {
		t.Errorf("events: %s %s", events.Status(), events.Body)
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	h := start(t)
	for _, path := range []string{"/livez", "/nosuch", "/v2/domains?user_id=u1", "/v2/domains?x=1", "/docs", "/metrics"} {
		resp, body := h.do(http.MethodGet, path, "")
		id := resp.Header.Get("X-Request-Id")
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
			if got := resp.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", path, header, got, want)
			}
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") || id == "" {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
		if resp.StatusCode >= 400 && !strings.Contains(body, `"instance":"urn:uuid:`+id+`"`) {
			t.Errorf("%s: the instance is not the request id %s: %s", path, id, body)
		}
	}
}

func TestMethods(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	const info = "/v2/domains/customer.com/info?user_id=u1"
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"HEAD", info, 200, ""},
		{"HEAD", "/v2/domains/nosuch.com/info?user_id=u1", 404, ""},
		{"HEAD", "/v2/domain", 405, "POST"},
		{"OPTIONS", info, 204, "GET"},
		{"POST", info, 405, "GET, HEAD"},
		{"DELETE", "/v2/domain", 405, "POST"},
		{"GET", "/v2/domains/customer.com", 404, ""},
		{"GET", "/v2/domains/", 404, ""},
		{"GET", "/v2/domains/exampl%2565.com/info?user_id=u1", 400, ""},
	} {
		resp, body := h.do(tt.method, tt.path, "")
		allow := strings.Join(resp.Header.Values("Allow"), ", ")
		if resp.StatusCode != tt.status || !strings.Contains(allow, tt.allow) {
			t.Errorf("%s %s: %d, Allow %q", tt.method, tt.path, resp.StatusCode, allow)
		}
		if tt.method == "HEAD" && (body != "" || resp.ContentLength <= 0) {
			t.Errorf("HEAD %s: body %q, Content-Length %d", tt.path, body, resp.ContentLength)
		}
	}
}

// TestRevokedKey: a key ends with the very next call.
func TestRevokedKey(t *testing.T) {
	h := start(t)
	k, secret, err := h.store.CreateKey(t.Context(), store.NewKey{Scope: store.ScopeRead})
	ok(t, err)
	list := func() int {
		return must(h.client(secret).ListDomainsWithResponse(t.Context(), &client.ListDomainsParams{UserID: "u1"})).StatusCode()
	}
	before := list()
	ok(t, h.store.RevokeKey(t.Context(), k.ID))
	if after := list(); before != http.StatusOK || after != http.StatusUnauthorized {
		t.Errorf("status %d, and %d after the revocation", before, after)
	}
}

// TestUnauthorizedIsOneAnswer: nothing tells a revoked key from a made-up one.
func TestUnauthorizedIsOneAnswer(t *testing.T) {
	h := start(t)
	var answers []string
	for _, p := range principals[:4] {
		resp, body := h.do(http.MethodGet, "/v2/domains?user_id=u1", "", "x-api-key", h.secret(p))
		answers = append(answers, strings.Replace(body, resp.Header.Get("X-Request-Id"), "ID", 1))
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("answers differ: %s", strings.Join(answers, ""))
	}
}

func TestRoute(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	put := func(body string, headers ...string) (*http.Response, client.Route, string) {
		resp, text := h.do(http.MethodPut, "/v2/domains/customer.com/route", body, headers...)
		var d client.DomainDetails
		ok(t, json.Unmarshal([]byte(text), &d))
		return resp, d.Route, text
	}
	const webhook = `"forward_mode":"webhook","webhook_url":"https://example.com/hook"`
	resp, first, _ := put(`{"user_id":"u1",` + webhook + `}`)
	if first.WebhookSecret == nil || !first.HasWebhookSecret || resp.Header.Get("ETag") != first.Etag {
		t.Errorf("a webhook without a secret: %+v, ETag %s", first, resp.Header.Get("ETag"))
	}
	_, second, _ := put(`{"user_id":"u1",`+webhook+`}`, "If-Match", `W/"x", `+first.Etag)
	if second.WebhookSecret != nil || !second.HasWebhookSecret {
		t.Errorf("the secret is shown twice, or lost: %+v", second)
	}
	if _, _, text := put(`{"user_id":"u1","forward_mode":"store"}`, "If-Match", first.Etag); !strings.Contains(text, "precondition-failed") {
		t.Errorf("an old version was replaced: %s", text)
	}
	_, cleared, _ := put(`{"user_id":"u1","forward_mode":"store","webhook_secret":null}`, "If-Match", "*")
	if cleared.HasWebhookSecret || cleared.WebhookURL != nil || cleared.ForwardMode != client.ForwardModeStore {
		t.Errorf("null does not clear: %+v", cleared)
	}
	_, _, text := put(`{"user_id":"u1","forward_mode":"forward_email","webhook_url":"ftp://x"}`)
	for _, code := range []string{"webhook-url-refused", "missing-for-mode"} {
		if !strings.Contains(text, code) {
			t.Errorf("no %s in %s", code, text)
		}
	}
}

// TestEnums: the contract and the store know the same words.
func TestEnums(t *testing.T) {
	doc, err := api.GetSpec()
	ok(t, err)
	for schema, want := range map[string][]any{
		"DomainStatus": {string(store.DomainStatusPending), string(store.DomainStatusActive), string(store.DomainStatusFailed)},
		"RecordStatus": {string(store.RecordStatusPending), string(store.RecordStatusVerified), string(store.RecordStatusFailed), string(store.RecordStatusDisabled)},
		"ForwardMode": {string(store.ForwardModeStore), string(store.ForwardModeWebhook), string(store.ForwardModeWebhookThenStore),
			string(store.ForwardModeForwardEmail)},
		"DeliveryState": {string(store.DeliveryStateQueued), string(store.DeliveryStateDelivered), string(store.DeliveryStateStored),
			string(store.DeliveryStateHeld), string(store.DeliveryStateDead), string(store.DeliveryStateFailed)},
	} {
		if diff := cmp.Diff(want, doc.Components.Schemas[schema].Value.Enum); diff != "" {
			t.Errorf("%s: %s", schema, diff)
		}
	}
}

func TestDrain(t *testing.T) {
	h := start(t)
	before, _ := h.do(http.MethodGet, "/readyz", "")
	h.srv.Drain()
	after, body := h.do(http.MethodGet, "/readyz", "")
	live, _ := h.do(http.MethodGet, "/livez", "")
	if before.StatusCode != 200 || after.StatusCode != 503 || live.StatusCode != 200 {
		t.Errorf("ready %d, draining %d %s, live %d", before.StatusCode, after.StatusCode, body, live.StatusCode)
	}
}

func TestBootstrapKeyLength(t *testing.T) {
	for key, want := range map[string]error{"": nil, "12345678901": server.ErrBootstrapKey, "123456789012": nil} {
		_, err := server.New(server.Config{BootstrapKey: key})
		if err != want { //nolint:errorlint // exactly this
			t.Errorf("%q: %v, want %v", key, err, want)
		}
	}
}
