package inbound

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/domaind/domaind/store"
)

const hour = time.Hour

// hooked is a domain whose mail goes to a webhook.
func hooked(t *testing.T, mode store.ForwardMode, change ...func(*Config)) (*world, *hook, store.Route) {
	t.Helper()
	w := newWorld(t, change...)
	w.active("u1", "customer.example")
	h := newHook(t)
	return w, h, w.route("u1", "customer.example", store.PutRoute{Mode: mode, WebhookURL: h.URL + "/in"})
}

// verified wants a call to be signed by a secret, as the reference library
// judges, at the time of the test's clock.
func verified(t *testing.T, c call, secret string) bool {
	t.Helper()
	var wh *standardwebhooks.Webhook
	var err error
	if strings.HasPrefix(secret, "whsec_") {
		wh, err = standardwebhooks.NewWebhook(secret)
	} else {
		wh, err = standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	if err != nil {
		t.Fatal(err)
	}
	return wh.VerifyIgnoringTimestamp(c.body, c.header) == nil
}

func TestWebhookDelivers(t *testing.T) {
	w, h, route := hooked(t, store.ForwardModeWebhook)
	w.send(letter(2000), "bob+news@customer.example")
	w.once()
	calls := h.calls()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	d := w.delivery("u1", "customer.example")
	if d.State != store.DeliveryStateDelivered || d.Last == nil || d.Last.Status != 204 {
		t.Errorf("%+v", d)
	}
	c := calls[0]
	wh, err := standardwebhooks.NewWebhook(route.NewSecret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify(c.body, c.header); err != nil {
		t.Error(err)
	}
	if c.header.Get("webhook-id") != d.ID {
		t.Errorf("webhook-id %s of delivery %s", c.header.Get("webhook-id"), d.ID)
	}
	var got struct {
		Type string
		Data received
	}
	if err := json.Unmarshal(c.body, &got); err != nil {
		t.Fatal(err)
	}
	r := got.Data
	if got.Type != "email.received" || !r.Parsed || r.Subject != "Grüße" || r.Envelope.Detail != "news" ||
		r.Envelope.MailFrom != sender || r.From[0].Address != sender || r.RFCMessageID != "1@sender.example" ||
		r.Headers[0] != [2]string{"From", "Ann <ann@sender.example>"} || len(r.Omitted) != 0 ||
		!strings.Contains(r.Text.Content, "quick brown fox") || r.MessageID != d.MessageID {
		t.Errorf("%s", c.body)
	}
	token := r.Raw.URL[strings.LastIndex(r.Raw.URL, "=")+1:]
	who, err := w.db.TokenTenant(context.Background(), "customer.example", r.MessageID, token)
	if err != nil || who.UserID != "u1" {
		t.Error(who, err)
	}
	w.clock.forward(25 * hour)
	if _, err := w.db.TokenTenant(context.Background(), "customer.example", r.MessageID, token); err == nil {
		t.Error("the token is valid still")
	}
}

func TestEndpointAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		state  store.DeliveryState
		hold   string
		tries  int
		within [2]time.Duration // of the next try
	}{
		{name: "200", answer: status(200, ""), state: "delivered", tries: 1},
		{name: "299", answer: status(299, ""), state: "delivered", tries: 1},
		{name: "301", answer: redirect, state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{name: "307", answer: status(307, ""), state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{name: "400", answer: status(400, ""), state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{name: "404", answer: status(404, ""), state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{name: "410", answer: status(410, ""), state: "held", hold: store.HoldEndpointGone},
		{name: "413", answer: status(413, ""), state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{name: "429", answer: status(429, ""), state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{name: "429 later", answer: status(429, "600"), state: "queued", within: [2]time.Duration{599 * time.Second, 601 * time.Second}},
		{name: "503 much later", answer: status(503, "999999"), state: "queued", within: [2]time.Duration{24*hour - 1, 24*hour + time.Second}},
		{name: "503 at once", answer: status(503, "0"), state: "queued", within: [2]time.Duration{time.Second - 1, 2 * time.Second}},
		{name: "500 later", answer: status(500, "600"), state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{name: "reset", answer: reset, state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second}},
		{
			name: "hang", answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			state: "queued", tries: 1, within: [2]time.Duration{4 * time.Second, 6 * time.Second},
		},
		{name: "endless", answer: endless, state: "delivered", tries: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, h, _ := hooked(t, store.ForwardModeWebhook)
			w.client.Timeout = time.Second
			h.answers(c.answer)
			w.send(letter(500), "bob@customer.example")
			w.once()
			d := w.delivery("u1", "customer.example")
			if d.State != c.state || d.Hold != c.hold || d.Tries != c.tries || d.Last == nil {
				t.Fatalf("%+v %+v", d, d.Last)
			}
			if wait := d.NextAt.Sub(w.clock.now()); c.state == "queued" && (wait < c.within[0] || wait > c.within[1]) {
				t.Errorf("next try in %s, want %v", wait, c.within)
			}
			if (d.Last.Error == "") != (c.state == "delivered") {
				t.Errorf("error %q", d.Last.Error)
			}
		})
	}
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/elsewhere" {
		return
	}
	http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
}

func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, _ := w.(http.Hijacker).Hijack()
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// endless answers 200 and more than anybody wants to read.
func endless(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte(strings.Repeat("x", 1<<20)))
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// An endpoint that is down for days loses nothing: the same id on every try,
// and the mail is there when it is up again.
func TestEndpointDownForDays(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	h.status(500)
	w.send(letter(500), "bob@customer.example")
	began := w.clock.now()
	w.while(func() bool { return w.clock.now().Sub(began) < 3*24*hour })
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateQueued || d.Tries < 10 {
		t.Fatalf("%+v", d)
	}
	h.status(200)
	w.next()
	d := w.delivery("u1", "customer.example")
	if d.State != store.DeliveryStateDelivered {
		t.Fatalf("%+v", d)
	}
	for i, c := range h.calls() {
		if c.header.Get("webhook-id") != d.ID {
			t.Errorf("try %d has another id", i)
		}
	}
}

func TestWebhookDeadAndReplayed(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhookThenStore)
	h.status(500)
	w.send(letter(500), "bob@customer.example")
	began := w.clock.now()
	if !w.next() {
		t.Fatal("nothing was due")
	}
	list, _, err := w.db.Messages(context.Background(), tenant("u1"), "customer.example", 0, "")
	if err != nil || len(list) != 1 {
		t.Fatal("not readable while the endpoint is down:", err)
	}
	w.while(func() bool { return true })
	d := w.delivery("u1", "customer.example")
	if age := w.clock.now().Sub(began); d.State != store.DeliveryStateDead || age < 7*24*hour || age > 7*24*hour+time.Minute {
		t.Fatalf("%+v after %s", d, age)
	}
	tries := len(h.calls())
	if tries < 14 || tries > 20 {
		t.Errorf("%d tries", tries)
	}
	h.status(200)
	n, err := w.db.RetryDeliveries(context.Background(), tenant("u1"), "customer.example", store.DeliveryRange{})
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	w.once()
	w.next() // the breaker is open: it waits for its probe
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateDelivered {
		t.Errorf("%+v", d)
	}
	if got := h.calls(); len(got) != tries+1 || got[tries].header.Get("webhook-id") != d.ID {
		t.Error("the replay has another id")
	}
	attempts, err := w.db.Attempts(context.Background(), tenant("u1"), "customer.example", d.ID)
	if err != nil || len(attempts) != tries+1 || attempts[0].N != 1 {
		t.Errorf("%d attempts of %d: %v", len(attempts), tries+1, err)
	}
}

func TestGoneHoldsUntilTheRouteIsEdited(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	h.status(410)
	w.send(letter(500), "bob@customer.example")
	w.once()
	h.status(200)
	w.send(letter(500), "bob@customer.example")
	w.once()
	if n := len(h.calls()); n != 1 {
		t.Fatalf("%d calls of a disabled endpoint", n)
	}
	for _, d := range w.deliveries("u1", "customer.example") {
		if d.State != store.DeliveryStateHeld || d.Hold != store.HoldEndpointGone {
			t.Errorf("%+v", d)
		}
	}
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: h.URL + "/new"})
	w.once()
	for _, d := range w.deliveries("u1", "customer.example") {
		if d.State != store.DeliveryStateDelivered {
			t.Errorf("%+v", d)
		}
	}
}

func TestTooLargeIsSentThin(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	h.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 4000 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	w.send(letter(50_000), "bob@customer.example")
	w.once()
	d, calls := w.delivery("u1", "customer.example"), h.calls()
	if d.State != store.DeliveryStateDelivered || len(calls) != 2 {
		t.Fatalf("%+v %d", d, len(calls))
	}
	var got struct{ Data received }
	if err := json.Unmarshal(calls[1].body, &got); err != nil {
		t.Fatal(err)
	}
	if r := got.Data; r.Text.Content != "" || !r.Text.Truncated || r.Text.Bytes < 40_000 || len(r.Omitted) == 0 {
		t.Errorf("%s", calls[1].body)
	}
}

func TestSecretRotatedInFlight(t *testing.T) {
	const first, second = "raw secret number one", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	put := func(secret string) {
		w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: h.URL, Secret: &secret})
	}
	put(first)
	h.status(500)
	w.send(letter(500), "bob@customer.example")
	w.once()
	put(second)
	w.next()
	w.clock.forward(25 * hour)
	w.next()
	calls := h.calls()
	for i, want := range [][2]bool{{true, false}, {true, true}, {false, true}} {
		if got := [2]bool{verified(t, calls[i], first), verified(t, calls[i], second)}; got != want {
			t.Errorf("try %d: signed by %v, want %v", i, got, want)
		}
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook, func(c *Config) { c.AllowPrivate = nil })
	w.send(letter(500), "bob@customer.example")
	w.once()
	d := w.delivery("u1", "customer.example")
	if d.State != store.DeliveryStateQueued || d.Last == nil || !strings.Contains(d.Last.Error, "prohibited") {
		t.Errorf("%+v %+v", d, d.Last)
	}
	if len(h.calls()) != 0 {
		t.Error("it was called")
	}
}
