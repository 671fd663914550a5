package inbound

import (
	"context"
	"strings"
	"testing"

	"github.com/domaind/domaind/store"
)

// One message to several tenants: none learns who else got it, by any way that
// the message takes.
func TestTenantsSeeOnlyTheirs(t *testing.T) {
	w, hop := forwarding(t)
	hooks := map[string]*hook{}
	for user, domain := range map[string]string{"u2": "second.example", "u3": "third.example"} {
		w.active(user, domain)
		hooks[domain] = newHook(t)
		w.route(user, domain, store.PutRoute{Mode: store.ForwardModeWebhookThenStore, WebhookURL: hooks[domain].URL})
	}
	d := w.dial()
	d.ready("bob@customer.example", "ann@second.example", "eve@third.example")
	d.write("From: " + sender + "\r\nSubject: undisclosed\r\n\r\nhi\r\n.\r\n")
	id := strings.TrimPrefix(d.expect("250 2.0.0 queued as "), "250 2.0.0 queued as ")
	w.once()
	seen := map[string]string{"customer.example": string(hop.mails()[0].data)}
	for domain, h := range hooks {
		seen[domain] = string(h.calls()[0].body)
	}
	for own, text := range seen {
		for other := range seen {
			if has := strings.Contains(text, "@"+other); has != (own == other) {
				t.Errorf("what %s got names %s: %t", own, other, has)
			}
		}
	}
	for user, domain := range map[string]string{"u1": "customer.example", "u2": "second.example", "u3": "third.example"} {
		m, err := w.db.Message(context.Background(), tenant(user), domain, id)
		if err != nil || len(m.Deliveries) != 1 || m.Deliveries[0].Domain != domain {
			t.Errorf("%s: %+v %v", domain, m.Deliveries, err)
		}
	}
	if err := w.db.DeleteMessage(context.Background(), tenant("u2"), "second.example", id); err != nil {
		t.Fatal(err)
	}
	if len(w.rawOf("u3", "third.example", id)) == 0 {
		t.Error("one tenant's delete took the message of another")
	}
}
