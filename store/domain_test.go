package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domaind/domaind/dnscheck"
)

func TestCreateAgain(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	first := w.create("u1", "customer.com")
	again, created, err := w.CreateDomain(ctx, tenant("u1"), NewDomain{Name: "customer.com"})
	if err != nil || created {
		t.Fatalf("again: created %v, %v", created, err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("a retry differs:\n%s", diff)
	}
	if diff := cmp.Diff(first, w.get("u1", "customer.com")); diff != "" {
		t.Errorf("a read differs:\n%s", diff)
	}
	other := w.create("u2", "customer.com")
	if record(other, dnscheck.PurposeDKIM).Value == record(first, dnscheck.PurposeDKIM).Value ||
		record(other, dnscheck.PurposeDKIM).Host == record(first, dnscheck.PurposeDKIM).Host {
		t.Error("two users share a DKIM key or selector")
	}
	if got := w.events("u1", "customer.com"); !slices.Equal(got, []string{EventDomainCreated}) {
		t.Errorf("events %v", got)
	}
}

func TestTenants(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	in := Tenant{UserID: "u1", OrganizationID: "o1", Actor: "key:o1"}
	out := Tenant{UserID: "u1", OrganizationID: "o2", Actor: "key:o2"}
	d, _, err := w.CreateDomain(ctx, in, NewDomain{Name: "customer.com"})
	if err != nil || d.Domain.OrganizationID != "o1" {
		t.Fatalf("create: %+v, %v", d.Domain, err)
	}
	for name, who := range map[string]Tenant{"another user": tenant("u2"), "another organization": out} {
		calls := map[string]func() error{
			"Domain":     func() error { _, err := w.Domain(ctx, who, "customer.com"); return err },
			"DomainID":   func() error { _, err := w.DomainID(ctx, who, "customer.com"); return err },
			"Delete":     func() error { return w.DeleteDomain(ctx, who, "customer.com") },
			"PutRoute":   func() error { _, err := w.PutRoute(ctx, who, "customer.com", PutRoute{Mode: "store"}); return err },
			"RotateDKIM": func() error { _, err := w.RotateDKIM(ctx, who, "customer.com"); return err },
			"Events":     func() error { _, _, err := w.Events(ctx, who, "customer.com", 1, ""); return err },
			"Claim":      func() error { _, err := w.ClaimDomain(ctx, who, "customer.com"); return err },
			"Target":     func() error { _, err := w.Target(ctx, who, "customer.com"); return err },
			"DKIMKey":    func() error { _, err := w.DKIMKey(ctx, who, "customer.com"); return err },
			"Mark": func() error {
				_, err := w.MarkRecord(ctx, who, "customer.com", Mark{RecordID: d.Records[0].ID, Status: "verified"})
				return err
			},
		}
		for call, f := range calls {
			if err := f(); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s by %s: %v", call, name, err)
			}
		}
		if list, _, err := w.Domains(ctx, who, DomainFilter{}); err != nil || len(list) != 0 {
			t.Errorf("Domains by %s: %v, %v", name, list, err)
		}
	}
	if _, _, err := w.CreateDomain(ctx, out, NewDomain{Name: "customer.com"}); !errors.Is(err, ErrConflict) {
		t.Errorf("create in another organization: %v", err)
	}
	if diff := cmp.Diff(d, w.get("u1", "customer.com")); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
}

func TestDomainsPages(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("d%d.example.com", (i*3)%7)
		w.create("u1", name)
		want = append(want, name)
	}
	w.create("u2", "d0.example.com")
	slices.Sort(want)
	var got []string
	cursor := ""
	for pages := 0; ; pages++ {
		list, next, err := w.Domains(ctx, tenant("u1"), DomainFilter{Limit: 3, Cursor: cursor})
		if err != nil || pages > 3 {
			t.Fatalf("page %d: %v", pages, err)
		}
		for _, d := range list {
			got = append(got, d.Name)
		}
		if next == "" {
			break
		}
		cursor = next
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, good, _ := w.Domains(ctx, tenant("u1"), DomainFilter{Limit: 1})
	for _, bad := range []string{"x", "!", good[1:], good + "A", sealCursor(cursorEvent, "1"), sealCursor(cursorDomain, "a\xff"), sealCursor(cursorDomain, "a\x00"), "AAAAAAAAAAAA"} {
		if _, _, err := w.Domains(ctx, tenant("u1"), DomainFilter{Cursor: bad}); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
	w.check("u1", "d3.example.com", dnscheck.VerdictMatch, nil)
	list, _, err := w.Domains(ctx, tenant("u1"), DomainFilter{Status: DomainStatusActive})
	if err != nil || len(list) != 1 || list[0].Name != "d3.example.com" {
		t.Errorf("active: %v, %v", list, err)
	}
}

func TestEventsPages(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.create("u1", "customer.com")
	for range 5 {
		if _, err := w.PutRoute(ctx, tenant("u1"), "customer.com", PutRoute{Mode: ForwardModeStore}); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	last := int64(1 << 53)
	for cursor := ""; ; {
		list, next, err := w.Events(ctx, tenant("u1"), "customer.com", 4, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.ID >= last || e.Actor != "key:u1" || !e.At.Equal(start) {
				t.Errorf("event %+v after %d", e, last)
			}
			last = e.ID
			seen++
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if seen != 6 {
		t.Errorf("saw %d events", seen)
	}
	if _, _, err := w.Events(ctx, tenant("u1"), "customer.com", 4, sealCursor(cursorEvent, "x")); !errors.Is(err, ErrCursor) {
		t.Errorf("cursor: %v", err)
	}
}

func TestTombstone(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	first := w.create("u1", "customer.com")
	w.check("u1", "customer.com", dnscheck.VerdictMatch, nil)
	if _, err := w.PutRoute(ctx, tenant("u1"), "customer.com", PutRoute{Mode: ForwardModeWebhook, WebhookURL: "https://x.example/"}); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteDomain(ctx, tenant("u1"), "customer.com"); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteDomain(ctx, tenant("u1"), "customer.com"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	w.clock.forward(29 * 24 * time.Hour)
	if n, err := w.Sweep(ctx); err != nil || n != 0 {
		t.Errorf("sweep: %d, %v", n, err)
	}
	back := w.create("u1", "customer.com")
	if back.Domain.Status != DomainStatusPending || back.Route.Mode != ForwardModeStore || back.Route.HasWebhookSecret {
		t.Errorf("revived as %+v %+v", back.Domain, back.Route)
	}
	if diff := cmp.Diff(first.Records, back.Records); diff != "" {
		t.Errorf("revived records differ:\n%s", diff)
	}
	if err := w.DeleteDomain(ctx, tenant("u1"), "customer.com"); err != nil {
		t.Fatal(err)
	}
	w.clock.forward(30 * 24 * time.Hour)
	if n, err := w.Sweep(ctx); err != nil || n != 1 {
		t.Errorf("sweep: %d, %v", n, err)
	}
	fresh := w.create("u1", "customer.com")
	if record(fresh, dnscheck.PurposeDKIM).Value == record(first, dnscheck.PurposeDKIM).Value {
		t.Error("a purged key came back")
	}
}

// Mail that a claim left behind is for the same user; a key that is bound to an
// organization does not get at what another one's claim held.
func TestHeldMailStaysInItsOrganization(t *testing.T) {
	for _, tt := range []struct {
		organization string
		want         int
	}{{"", 1}, {"org_a", 1}, {"org_b", 0}} {
		w := newWorld(t)
		ctx := context.Background()
		a := tenant("u1")
		a.OrganizationID = "org_a"
		d, _, err := w.CreateDomain(ctx, a, NewDomain{Name: "customer.com"})
		if err != nil {
			t.Fatal(err)
		}
		err = w.write(ctx, func(x *tx) error {
			_, err := x.exec(`INSERT INTO message (id, kind, mail_from, helo, remote_ip, tls, subject, header_from,
				bytes, sha256, received_at) VALUES ('m', 'mail', '', '', '', '', '', '', 1, 'x', 1)`)
			if err != nil {
				return err
			}
			_, err = x.exec(`INSERT INTO delivery (id, message_id, domain_id, user_id, domain, lead, rcpt_to, mode,
				state, next_at, since, created_at) VALUES ('d', 'm', ?, 'u1', 'customer.com', 1, 'a@customer.com',
				'store', 'queued', 1, 1, 1)`, d.Domain.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		// A second time too: then the other claim has a tombstone of its own.
		for range 2 {
			if err := w.DeleteDomain(ctx, tenant("u1"), "customer.com"); err != nil {
				t.Fatal(err)
			}
			who := tenant("u1")
			who.OrganizationID = tt.organization
			if _, _, err := w.CreateDomain(ctx, who, NewDomain{Name: "customer.com"}); err != nil {
				t.Fatal(err)
			}
			if list, _, err := w.Messages(ctx, who, "customer.com", 0, ""); err != nil || len(list) != tt.want {
				t.Errorf("by %q: %d messages, %v", tt.organization, len(list), err)
			}
		}
	}
}

func TestRoute(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	d := w.create("u1", "customer.com")
	put := func(p PutRoute) Details {
		t.Helper()
		out, err := w.PutRoute(ctx, tenant("u1"), "customer.com", p)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	secret := func() string {
		r, err := w.DeliveryRoute(ctx, d.Domain.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Secrets) == 0 {
			return ""
		}
		return r.Secrets[0].Reveal()
	}
	hook := PutRoute{Mode: ForwardModeWebhook, WebhookURL: "https://hook.example.com/"}
	first := put(hook)
	if first.Route.NewSecret.Reveal() == "" || secret() != first.Route.NewSecret.Reveal() || first.Route.Version != 2 {
		t.Errorf("generated: %+v", first.Route)
	}
	if again := put(hook); again.Route.NewSecret.Reveal() != "" || !again.Route.HasWebhookSecret || secret() != first.Route.NewSecret.Reveal() {
		t.Errorf("kept: %+v", again.Route)
	}
	own, none := "my-own-secret", ""
	if got := put(PutRoute{Mode: ForwardModeStore, Secret: &own}); secret() != own || got.Route.WebhookURL != "" {
		t.Errorf("own: %+v", got.Route)
	}
	if got := put(PutRoute{Mode: ForwardModeStore, Secret: &none}); secret() != "" || got.Route.HasWebhookSecret {
		t.Errorf("cleared: %+v", got.Route)
	}
	_, err := w.PutRoute(ctx, tenant("u1"), "customer.com", PutRoute{Mode: ForwardModeStore, IfMatch: []int64{2}})
	if !errors.Is(err, ErrPrecondition) {
		t.Errorf("an old version: %v", err)
	}
	put(PutRoute{Mode: ForwardModeForwardEmail, ForwardTo: "a@b.example", IfMatch: []int64{4, 5}})
	if got := w.get("u1", "customer.com").Route; got.Version != 6 || got.Mode != ForwardModeForwardEmail || got.NewSecret.Reveal() != "" {
		t.Errorf("route %+v", got)
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	k, secret, err := w.CreateKey(ctx, NewKey{Scope: ScopeWrite, UserID: "u1", Name: "ci", ExpiresAt: start.Add(time.Hour)})
	if err != nil || !ValidKeyForm(secret) || ValidKeyForm(secret[:len(secret)-1]+"!") {
		t.Fatalf("create: %q, %v", secret, err)
	}
	if got, err := w.KeyBySecret(ctx, secret); err != nil || got != k {
		t.Errorf("by secret: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "dmd_", secret + "x", secret[1:]} {
		if _, err := w.KeyBySecret(ctx, bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := w.uses.flush(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Keys(ctx); err != nil || len(list) != 1 || !list[0].LastUsedAt.Equal(start) {
		t.Errorf("keys %+v, %v", list, err)
	}
	next, rolled, err := w.RollKey(ctx, k.ID, time.Minute)
	if err != nil || next.UserID != "u1" || next.Scope != ScopeWrite || next.ID == k.ID {
		t.Fatalf("roll: %+v, %v", next, err)
	}
	if _, err := w.KeyBySecret(ctx, secret); err != nil {
		t.Errorf("within the grace: %v", err)
	}
	w.clock.forward(time.Minute)
	if _, err := w.KeyBySecret(ctx, secret); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the grace: %v", err)
	}
	if err := w.RevokeKey(ctx, rolled); err != nil {
		t.Fatal(err)
	}
	if _, err := w.KeyBySecret(ctx, rolled); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked: %v", err)
	}
	if err := w.RevokeKey(ctx, "key_none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoke none: %v", err)
	}
	if _, _, err := w.RollKey(ctx, next.ID, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("roll a revoked key: %v", err)
	}
}

func TestSchema(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	v, err := Schema(ctx, w.c.Database)
	if err != nil || v.Database == 0 || v.Database != v.Program {
		t.Errorf("schema %+v, %v", v, err)
	}
	if again, err := Migrate(ctx, w.c.Database); err != nil || again != v {
		t.Errorf("migrate %+v, %v", again, err)
	}
}

func TestStats(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "a.example.com")
	w.create("u1", "b.example.com")
	w.check("u1", "a.example.com", isMatch, nil)
	w.clock.forward(time.Minute)
	st, err := w.Stats(context.Background())
	if err != nil || st.DueLag != time.Minute || st.Domains[DomainStatusActive] != 1 || st.Domains[DomainStatusPending] != 1 {
		t.Errorf("stats %+v, %v", st, err)
	}
}

// A domain that is purged between the two statements of a read has no records
// by then; it is not one without records.
func TestDomainGoneBetween(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "a.com")
	err := w.write(context.Background(), func(x *tx) error {
		_, err := x.exec(`DELETE FROM record`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := w.Domain(context.Background(), tenant("u1"), "a.com"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("read %+v, %v", d, err)
	}
	if err := w.write(context.Background(), func(x *tx) error {
		_, err := x.exec(`DELETE FROM domain`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
