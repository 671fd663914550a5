package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"
)

// TestSetupLink follows links from their creation to the sweep.
func TestSetupLink(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.create("u1", "customer.com")
	w.create("u2", "customer.com")
	link := func() string {
		t.Helper()
		l, err := w.CreateSetupLink(ctx, tenant("u1"), "customer.com", time.Hour)
		if err != nil || !l.ExpiresAt.Equal(w.clock.now().Add(time.Hour)) {
			t.Fatalf("create: until %v, %v", l.ExpiresAt, err)
		}
		return l.Token.Reveal()
	}
	wants := func(what, token string, want error) {
		t.Helper()
		l, err := w.OpenSetupLink(ctx, token)
		switch {
		case want == nil && (err != nil || l.Tenant != Tenant{UserID: "u1", Actor: "link"} || l.Domain != "customer.com"):
			t.Errorf("%s: %+v, %v", what, l, err)
		case !errors.Is(err, want):
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}

	expiring := link()
	wants("fresh", expiring, nil)
	wants("never made", expiring[:42]+"!", ErrNotFound)
	wants("cut", expiring[:42], ErrNotFound)
	w.clock.forward(time.Hour)
	wants("expired", expiring, ErrGone)

	one, two := link(), link()
	if n, err := w.RevokeSetupLinks(ctx, tenant("u2"), "customer.com"); n != 0 || err != nil {
		t.Errorf("another user revokes %d, %v", n, err)
	}
	wants("of u1", one, nil)
	if n, err := w.RevokeSetupLinks(ctx, tenant("u1"), "customer.com"); n != 2 || err != nil {
		t.Errorf("revoked %d, %v", n, err)
	}
	wants("revoked", one, ErrGone)
	wants("revoked", two, ErrGone)

	last := link()
	if err := w.DeleteDomain(ctx, tenant("u1"), "customer.com"); err != nil {
		t.Fatal(err)
	}
	wants("of a deleted domain", last, ErrGone)
	w.create("u1", "customer.com")
	wants("of a domain that came back", last, ErrGone)

	for _, e := range []string{EventLinkCreated, EventLinkRevoked} {
		if !slices.Contains(w.events("u1", "customer.com"), e) {
			t.Errorf("no event %s", e)
		}
	}
	w.clock.forward(linkKeptFor + 2*time.Hour)
	if _, err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	wants("long ago", expiring, ErrNotFound)
}

func TestSetupLinkNeedsTheDomain(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	_, _, err := w.CreateDomain(ctx, Tenant{UserID: "u1", OrganizationID: "o1"}, NewDomain{Name: "customer.com", OrganizationID: "o1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, who := range map[string]Tenant{"another user": tenant("u2"), "another organization": {UserID: "u1", OrganizationID: "o2"}} {
		if _, err := w.CreateSetupLink(ctx, who, "customer.com", time.Hour); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s creates: %v", name, err)
		}
		if _, err := w.RevokeSetupLinks(ctx, who, "customer.com"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s revokes: %v", name, err)
		}
	}
}

// TestSetupTokenIsNotKept looks for a token in all that is on disk.
func TestSetupTokenIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "customer.com")
	l, err := w.CreateSetupLink(context.Background(), tenant("u1"), "customer.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		b, err := os.ReadFile(w.dir + "/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		read += len(b)
		if bytes.Contains(b, []byte(l.Token.Reveal())) {
			t.Errorf("%s has the token", f.Name())
		}
	}
	if read == 0 {
		t.Error("nothing was read")
	}
}
