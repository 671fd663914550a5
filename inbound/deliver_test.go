package inbound

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/store"
)

func TestBreakerProbes(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	h.status(500)
	for range 40 {
		w.send(letter(200), "bob@customer.example")
	}
	w.once()
	first := len(h.calls())
	if first > perEndpoint+breakAfter {
		t.Errorf("%d tries before the breaker opened", first)
	}
	began := w.clock.now()
	w.while(func() bool { return w.clock.now().Sub(began) < 10*time.Minute })
	if n := len(h.calls()) - first; n < 5 || n > 11 {
		t.Errorf("%d probes in ten minutes", n)
	}
	h.status(200)
	w.while(func() bool { return true })
	for _, d := range w.deliveries("u1", "customer.example") {
		if d.State != store.DeliveryStateDelivered {
			t.Fatalf("%+v", d)
		}
	}
}

func TestDomainDeletedAndTakenBack(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	h.status(500)
	w.send(letter(500), "bob@customer.example")
	w.once()
	ctx := context.Background()
	if err := w.db.DeleteDomain(ctx, tenant("u1"), "customer.example"); err != nil {
		t.Fatal(err)
	}
	w.clock.forward(hour)
	w.once()
	w.pending("u2", "customer.example")
	if list := w.deliveries("u2", "customer.example"); len(list) != 0 {
		t.Error("another user has got the mail")
	}
	w.pending("u1", "customer.example")
	w.once()
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateStored {
		t.Errorf("%+v", d)
	}
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: h.URL})
	h.status(200)
	if _, err := w.db.RetryDelivery(ctx, tenant("u1"), "customer.example", w.delivery("u1", "customer.example").ID); err != nil {
		t.Fatal(err)
	}
	w.once()
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateDelivered {
		t.Errorf("%+v", d)
	}
}

func TestRouteTest(t *testing.T) {
	w, h, route := hooked(t, store.ForwardModeWebhook)
	ctx := context.Background()
	a, err := w.TestRoute(ctx, tenant("u1"), "customer.example")
	if err != nil || a.Status != 204 || a.Error != "" || a.Took <= 0 {
		t.Errorf("%+v %v", a, err)
	}
	if c := h.calls()[0]; !verified(t, c, route.NewSecret.Reveal()) || !strings.Contains(string(c.body), `"type":"endpoint.test"`) {
		t.Errorf("%s", c.body)
	}
	if _, err := w.TestRoute(ctx, tenant("u2"), "customer.example"); err == nil {
		t.Error("another user may test it")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "0": time.Second, "7": 7 * time.Second, "86401": 24 * hour,
		"Tue, 24 Nov 2026 08:01:00 GMT": time.Minute, "Tue, 24 Nov 2026 07:00:00 GMT": time.Second,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestRunDeliversAtOnce(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	arrived := make(chan struct{}, 1)
	h.answers(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.send(letter(500), "bob@customer.example")
	select {
	case <-arrived:
	case <-time.After(10 * time.Second):
		t.Error("nothing arrived")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateDelivered {
		t.Errorf("%+v", d)
	}
}
