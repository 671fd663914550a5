package inbound

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/domaind/domaind/store"
)

func job(user string, size int64) store.DeliveryJob {
	return store.DeliveryJob{UserID: user, Message: store.Message{Bytes: size}}
}

// One user's mail, however much and however large, leaves room for others'.
func TestShares(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		size int64
		most int
	}{{1000, perUser}, {25 << 20, largePerUser}} {
		for i := range c.most {
			_, leave := w.admit(job("u1", c.size))
			if leave == nil {
				t.Fatalf("%d octets: try %d is not let in", c.size, i)
			}
			defer leave()
		}
		if wait, leave := w.admit(job("u1", c.size)); leave != nil || wait <= 0 {
			t.Errorf("%d octets: one more than %d is let in", c.size, c.most)
		}
		_, leave := w.admit(job("u2", c.size))
		if leave == nil {
			t.Fatalf("%d octets: another user is not let in", c.size)
		}
		leave()
	}
	if _, leave := w.admit(job("u3", 1<<30)); leave != nil {
		t.Error("more than there is memory for is let in")
	}
}

// Mail whose octets are gone comes to an end that a person can see.
func TestSpoolFileGone(t *testing.T) {
	for mode, want := range map[store.ForwardMode]store.DeliveryState{
		store.ForwardModeWebhook: store.DeliveryStateDead, store.ForwardModeStore: store.DeliveryStateStored,
	} {
		t.Run(string(mode), func(t *testing.T) {
			dir := t.TempDir()
			w := newWorld(t, func(c *Config) {
				_ = c.Store.Close()
				c.Store = openStore(t, dir, c.Now)
			})
			w.db = w.c.Store
			t.Cleanup(func() { _ = w.db.Close() })
			w.active("u1", "customer.example")
			w.route("u1", "customer.example", store.PutRoute{Mode: mode, WebhookURL: map[bool]string{true: "https://hook.example/"}[mode == store.ForwardModeWebhook]})
			w.send(letter(300<<10), "bob@customer.example")
			if err := os.RemoveAll(filepath.Join(dir, "spool")); err != nil {
				t.Fatal(err)
			}
			rounds := 0
			w.while(func() bool { rounds++; return rounds < 100 })
			if d := w.delivery("u1", "customer.example"); d.State != want || rounds >= 100 {
				t.Errorf("%+v after %d rounds", d, rounds)
			}
		})
	}
}

// An endpoint that asks for patience each second does not fill the disk.
func TestAttemptsAreBounded(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	h.answers(status(429, "1"))
	w.send(letter(500), "bob@customer.example")
	for range 230 {
		w.next()
	}
	d := w.delivery("u1", "customer.example")
	list, err := w.db.Attempts(context.Background(), tenant("u1"), "customer.example", d.ID)
	if err != nil || len(list) != 200 || d.Last == nil || list[199].N != d.Last.N || d.Last.N != 230 {
		t.Errorf("%d attempts, the last of %d, %+v: %v", len(list), len(h.calls()), d.Last, err)
	}
}

// A delivery that becomes one by mail is claimed anew, for as long as that may
// take: else it would be sent twice.
func TestRouteBecomesForwarding(t *testing.T) {
	w, h := forwarding(t)
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: "https://hook.invalid/"})
	w.send(letter(500), "bob@customer.example")
	w.once()
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeForwardEmail, ForwardTo: "carol@target.example"})
	w.next()
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateDelivered || len(h.mails()) != 1 {
		t.Errorf("%+v %+v", d, d.Last)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.results["forward_email deferred"] != 1 || w.results["forward_email delivered"] != 1 {
		t.Error(w.results)
	}
}

func TestStrictAlignment(t *testing.T) {
	w := newWorld(t)
	w.publish(`_dmarc.sender.example. 60 IN TXT "v=DMARC1; p=reject; adkim=s"`)
	for domain, want := range map[string]bool{"sender.example": true, "mail.sender.example": false} {
		a := store.Auth{
			SPF:  store.AuthSPF{Result: resultPass, Domain: "sender.example"},
			DKIM: []store.AuthDKIM{{Result: resultPass, Domain: domain, Aligned: true}},
		}
		a.DMARC = w.checkDMARC(context.Background(), a, "sender.example")
		if a.DMARC.Result != resultPass || a.DKIM[0].Aligned != want || (gate(a) == gateOpen) != want {
			t.Errorf("%s: %+v, gate %d", domain, a, gate(a))
		}
	}
}

// The domain of a sender is what is behind the last at sign.
func TestSPFOfQuotedSender(t *testing.T) {
	w := newWorld(t)
	w.publish(`sender.example. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"`)
	got := w.checkSPF(context.Background(), store.Message{MailFrom: "a@b.example@sender.example", RemoteIP: "127.0.0.1"})
	if got.Result != resultPass || got.Domain != "sender.example" {
		t.Errorf("%+v", got)
	}
}

func TestHeldMailIsKept(t *testing.T) {
	w := newWorld(t)
	o := w.hold(store.DeliveryJob{}, store.ForwardModeWebhook, store.HoldNoEndpoint)
	if o.KeepUntil.Sub(w.clock.now()) < keepFailed {
		t.Error("kept until", o.KeepUntil)
	}
	if _, err := w.raw(context.Background(), store.DeliveryJob{}); !errors.Is(err, store.ErrNotFound) {
		t.Error("a message that is not there:", err)
	}
}
