package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/server"
	"github.com/domaind/domaind/store"
)

// hooked is a domain with a webhook that fails.
func hooked(t *testing.T, configure ...func(*server.Config)) (*harness, *hook, mailed) {
	t.Helper()
	h := start(t, append(configure, private)...)
	h.create("customer.com", "u1")
	k := h.hook()
	k.answer(http.StatusInternalServerError)
	h.route(`{"user_id":"u1","forward_mode":"webhook","webhook_url":"` + k.url + `","webhook_secret":"raw-secret-4711"}`)
	m := h.mail("u1", "customer.com", letter)
	h.deliver()
	return h, k, m
}

// route puts the route of customer.com.
func (h *harness) route(body string) {
	h.t.Helper()
	if resp, text := h.do(http.MethodPut, "/v2/domains/customer.com/route", body); resp.StatusCode != 200 {
		h.t.Fatalf("route: %d %s", resp.StatusCode, text)
	}
}

// deliveries lists those of customer.com in a state.
func (h *harness) deliveries(state string) []client.Delivery {
	h.t.Helper()
	p := &client.ListDeliveriesParams{UserID: "u1"}
	if state != "" {
		p.State = ptr(client.DeliveryState(state))
	}
	r := must(h.client(adminKey).ListDeliveriesWithResponse(h.t.Context(), "customer.com", p))
	if r.JSON200 == nil {
		h.t.Fatalf("deliveries: %s %s", r.Status(), r.Body)
	}
	return r.JSON200.Deliveries
}

func TestDeliveryRetried(t *testing.T) {
	w := &wakes{}
	h, k, m := hooked(t, func(c *server.Config) { c.WakeDelivery = w.wake })
	queued := h.deliveries("queued")
	if len(queued) != 1 || len(h.deliveries("delivered")) != 0 {
		t.Fatalf("queued: %+v", queued)
	}
	d := queued[0]
	if d.ID != m.delivery || d.Tries != 1 || d.NextAt == nil || d.LastAttempt == nil || *d.LastAttempt.Status != 500 ||
		d.LastAttempt.Error == nil || *d.LastAttempt.Answer != "call 1" || *d.LastAttempt.N != 1 {
		t.Errorf("%+v, %+v", d, d.LastAttempt)
	}
	k.answer(http.StatusNoContent)
	before := w.count()
	r := must(h.client(adminKey).RetryDeliveryWithResponse(t.Context(), "customer.com", m.delivery, client.RetryDeliveryRequest{UserID: "u1"}))
	if r.JSON202 == nil || r.JSON202.State != client.DeliveryStateQueued || r.JSON202.Tries != 0 || w.count() != before+1 {
		t.Fatalf("retry: %s %s, %d wakes", r.Status(), r.Body, w.count())
	}
	h.deliver()
	if got := h.deliveries("delivered"); len(got) != 1 || got[0].LastAttempt == nil || got[0].LastAttempt.Error != nil || got[0].KeepUntil == nil {
		t.Errorf("delivered: %+v", got)
	}
	for i, call := range k.all() {
		if id := call.header.Get("webhook-id"); id != m.delivery {
			t.Errorf("try %d has the id %s", i, id)
		}
	}
}

// TestHeldIsShownAndReplayed: 410 holds the mail until a person asks for it.
func TestHeldIsShownAndReplayed(t *testing.T) {
	h, k, m := hooked(t)
	k.answer(http.StatusGone)
	retry := func(body string) *client.RetryDeliveriesResponse {
		return must(h.client(adminKey).RetryDeliveriesWithBodyWithResponse(t.Context(), "customer.com", "application/json", strings.NewReader(body)))
	}
	must(h.client(adminKey).RetryDeliveryWithResponse(t.Context(), "customer.com", m.delivery, client.RetryDeliveryRequest{UserID: "u1"}))
	h.deliver()
	held := h.deliveries("held")
	if len(held) != 1 || held[0].Hold == nil || *held[0].Hold != store.HoldEndpointGone || held[0].NextAt != nil || held[0].DoneAt == nil {
		t.Fatalf("held: %+v", held)
	}
	hour := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for _, tt := range []struct {
		body string
		want int
	}{
		{`{"user_id":"u1","until":"` + hour(-time.Hour) + `"}`, 0},
		{`{"user_id":"u1","from":"` + hour(time.Hour) + `"}`, 0},
		{`{"user_id":"u1","states":["dead","failed"]}`, 0},
		{`{"user_id":"u1","from":"` + hour(-time.Hour) + `","until":"` + hour(time.Hour) + `"}`, 1},
		{`{"user_id":"u1"}`, 0}, // it is queued again
	} {
		if r := retry(tt.body); r.JSON202 == nil || r.JSON202.Retried != tt.want {
			t.Errorf("%s: %s %s, want %d", tt.body, r.Status(), r.Body, tt.want)
		}
	}
	k.answer(http.StatusOK)
	h.deliver()
	if got := h.deliveries("delivered"); len(got) != 1 || got[0].ID != m.delivery {
		t.Errorf("delivered: %+v", got)
	}
}

// TestRouteIsTested: the reference library takes the signature.
func TestRouteIsTested(t *testing.T) {
	h, k, _ := hooked(t)
	test := func(user string) *client.TestRouteResponse {
		return must(h.client(adminKey).TestRouteWithResponse(t.Context(), "customer.com", client.TestRouteRequest{UserID: user}))
	}
	if r := test("u1"); r.JSON200 == nil || r.JSON200.Ok || *r.JSON200.Attempt.Status != 500 || r.JSON200.Attempt.Error == nil {
		t.Errorf("a failing endpoint: %s %s", r.Status(), r.Body)
	}
	k.answer(http.StatusOK)
	if r := test("u1"); r.JSON200 == nil || !r.JSON200.Ok || r.JSON200.Attempt.Error != nil {
		t.Errorf("a good endpoint: %s %s", r.Status(), r.Body)
	}
	calls := k.all()
	last := calls[len(calls)-1]
	verifier, err := standardwebhooks.NewWebhookRaw([]byte("raw-secret-4711"))
	ok(t, err)
	if err := verifier.Verify(last.body, last.header); err != nil || !strings.Contains(string(last.body), `"type":"endpoint.test"`) {
		t.Errorf("%v: %s", err, last.body)
	}
	if n := len(h.deliveries("")); n != 1 {
		t.Errorf("%d deliveries: a test was queued", n)
	}
	h.route(`{"user_id":"u1","forward_mode":"store"}`)
	if r := test("u1"); r.StatusCode() != http.StatusConflict {
		t.Errorf("no endpoint: %s %s", r.Status(), r.Body)
	}
	if r := test("u2"); r.StatusCode() != http.StatusNotFound {
		t.Errorf("another user: %s %s", r.Status(), r.Body)
	}
}

func TestRouteTestIsLimited(t *testing.T) {
	h, k, _ := hooked(t, func(c *server.Config) { c.RateLimit = 100_000 })
	status := 0
	for range 61 {
		resp, _ := h.do(http.MethodPost, "/v2/domains/customer.com/route/test", `{"user_id":"u1"}`)
		status = resp.StatusCode
	}
	if status != http.StatusTooManyRequests || len(k.all()) != 61 { // one was mail
		t.Errorf("status %d after %d calls", status, len(k.all()))
	}
}

func TestWithoutReceiver(t *testing.T) {
	h := start(t, func(c *server.Config) { c.TestEndpoint = nil })
	h.create("customer.com", "u1")
	if resp, body := h.do(http.MethodPost, "/v2/domains/customer.com/route/test", `{"user_id":"u1"}`); resp.StatusCode != 503 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// active makes a domain that holds its name.
func (h *harness) active(name, user string) {
	h.t.Helper()
	for _, r := range h.create(name, user).DNS {
		_, err := h.store.MarkRecord(h.t.Context(), store.Tenant{UserID: user, Actor: "test"}, name,
			store.Mark{RecordID: r.ID, Status: store.RecordStatusVerified})
		ok(h.t, err)
	}
}

func TestForwardingIsRefused(t *testing.T) {
	h := start(t)
	for name, user := range map[string]string{"customer.com": "u1", "second.com": "u2", "third.com": "u3"} {
		h.active(name, user)
	}
	put := func(h *harness, user, name, mode, to string) string {
		resp, body := h.do(http.MethodPut, "/v2/domains/"+name+"/route", fmt.Sprintf(
			`{"user_id":%q,"forward_mode":%q,"forward_to_email":%q,"webhook_url":"https://example.com/hook"}`, user, mode, to))
		for _, code := range []string{"forward-loop", "forwarding-not-configured", "not-found"} {
			if resp.StatusCode >= 400 && strings.Contains(body, `"`+code+`"`) {
				return fmt.Sprint(resp.StatusCode, " ", code)
			}
		}
		return fmt.Sprint(resp.StatusCode)
	}
	for _, tt := range []struct{ user, name, mode, to, want string }{
		{"u1", "customer.com", "forward_email", "a@example.org", "200"},
		{"u1", "customer.com", "forward_email", "a@CUSTOMER.com", "422 forward-loop"},
		{"u1", "customer.com", "webhook_then_store", "inbox@customer.com", "200"}, // kept, not used
		{"u9", "customer.com", "forward_email", "a@customer.com", "404 not-found"},
		{"u1", "customer.com", "forward_email", "a@second.com", "200"},
		{"u2", "second.com", "forward_email", "b@third.com", "200"},
		{"u3", "third.com", "store", "c@customer.com", "200"},
		{"u3", "third.com", "forward_email", "c@customer.com", "422 forward-loop"},
		{"u3", "third.com", "forward_email", "c@nosuch.com", "200"},
	} {
		if got := put(h, tt.user, tt.name, tt.mode, tt.to); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
	off := start(t, func(c *server.Config) { c.ForwardingOff = true })
	off.create("customer.com", "u1")
	for mode, want := range map[string]string{"forward_email": "422 forwarding-not-configured", "webhook": "200"} {
		if got := put(off, "u1", "customer.com", mode, "a@example.org"); got != want {
			t.Errorf("without a relay, %s: %s", mode, got)
		}
	}
}
