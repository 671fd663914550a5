package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// ForwardMode says what happens to inbound mail.
type ForwardMode string

// The four modes; frozen.
const (
	ForwardModeStore            ForwardMode = "store"
	ForwardModeWebhook          ForwardMode = "webhook"
	ForwardModeWebhookThenStore ForwardMode = "webhook_then_store"
	ForwardModeForwardEmail     ForwardMode = "forward_email"
)

// webhook reports whether the mode calls a webhook.
func (m ForwardMode) webhook() bool {
	return m == ForwardModeWebhook || m == ForwardModeWebhookThenStore
}

// Route says how a domain's inbound mail is handled.
type Route struct {
	Mode             ForwardMode
	WebhookURL       string
	ForwardTo        string
	HasWebhookSecret bool
	// NewSecret is a secret that this very call generated: shown once. Empty:
	// it generated none.
	NewSecret Secret
	Version   int64 // for the ETag
	UpdatedAt time.Time
}

// PutRoute replaces a route. Its values have been checked by the caller.
type PutRoute struct {
	Mode       ForwardMode
	WebhookURL string
	ForwardTo  string
	// Secret: nil keeps the one that stands, "" clears it.
	Secret *string
	// IfMatch, where it is not nil, has the only versions that may be replaced.
	IfMatch []int64
}

const routeColumns = `route_mode, route_url, route_forward_to, route_secret IS NOT NULL, route_version, route_updated_at`

type routeScan struct{ updated int64 }

func (c *routeScan) dest(r *Route) []any {
	return []any{&r.Mode, &r.WebhookURL, &r.ForwardTo, &r.HasWebhookSecret, &r.Version, &c.updated}
}

func (c *routeScan) put(r *Route) { r.UpdatedAt = at(c.updated) }

// PutRoute replaces a domain's route and returns the domain. A webhook mode
// without any secret gets a generated one, in Route.NewSecret of this answer
// only. ErrNotFound as for Domain; ErrPrecondition when p.IfMatch does
// not have the present version.
func (s *Store) PutRoute(ctx context.Context, t Tenant, name string, p PutRoute) (Details, error) {
	var out Details
	err := s.write(ctx, func(x *tx) error {
		generated, err := x.putRoute(t, name, p)
		if err != nil {
			return err
		}
		out, err = details(context.Background(), x, t, name)
		out.Route.NewSecret = NewSecret(generated)
		return err
	})
	if err != nil {
		return Details{}, fmt.Errorf("store: put route: %w", err)
	}
	return out, nil
}

func (x *tx) putRoute(t Tenant, name string, p PutRoute) (generated string, err error) {
	c, err := x.claimByName(t, name)
	if err != nil {
		return "", err
	}
	var old Route
	var scan routeScan
	var sealed []byte
	err = x.queryRow(context.Background(), `SELECT `+routeColumns+`, route_secret FROM domain
		WHERE id = ? AND user_id = ?`, c.ID, c.UserID).Scan(append(scan.dest(&old), &sealed)...)
	if err != nil {
		return "", wrap("read route", err)
	}
	if p.IfMatch != nil && !slices.Contains(p.IfMatch, old.Version) {
		return "", ErrPrecondition
	}
	before := sealed
	if p.Secret != nil {
		sealed = nil
		if *p.Secret != "" {
			if sealed, err = x.s.ring.seal(x, routeBinding(c.ID), []byte(*p.Secret)); err != nil {
				return "", err
			}
		}
	}
	if sealed == nil && p.Mode.webhook() {
		generated = newWebhookSecret()
		if sealed, err = x.s.ring.seal(x, routeBinding(c.ID), []byte(generated)); err != nil {
			return "", err
		}
	}
	if err := x.replaceSecret(c, before, p.Secret); err != nil {
		return "", err
	}
	_, err = x.exec(`UPDATE domain SET route_mode = ?, route_url = ?, route_forward_to = ?, route_secret = ?,
		route_version = route_version + 1, route_updated_at = ?, updated_at = ? WHERE id = ? AND user_id = ?`,
		p.Mode, p.WebhookURL, p.ForwardTo, nullBlob(sealed), ms(x.now), ms(x.now), c.ID, c.UserID)
	if err != nil {
		return "", wrap("write route", err)
	}
	if err := x.releaseRoute(c); err != nil {
		return "", err
	}
	return generated, x.event(c, Event{
		Type: EventRouteUpdated, Actor: t.Actor, From: string(old.Mode), To: string(p.Mode),
		Detail: routeChange(old, p, generated != ""),
	})
}

// routeChange names what changed; addresses are for the route itself to show.
func routeChange(old Route, p PutRoute, generated bool) string {
	switch {
	case generated:
		return "a webhook secret was generated"
	case p.Secret != nil && *p.Secret == "":
		return "the webhook secret was cleared"
	case p.Secret != nil:
		return "the webhook secret was replaced"
	case old.WebhookURL != p.WebhookURL:
		return "the webhook address changed"
	case old.ForwardTo != p.ForwardTo:
		return "the forwarding address changed"
	default:
		return ""
	}
}

// resetRoute gives a claim the route that a new one has.
func (x *tx) resetRoute(c claim) error {
	_, err := x.exec(`UPDATE domain SET route_mode = ?, route_url = '', route_forward_to = '', route_secret = NULL,
		route_version = route_version + 1, route_updated_at = ? WHERE id = ? AND user_id = ?`,
		ForwardModeStore, ms(x.now), c.ID, c.UserID)
	return wrap("reset route", err)
}

// routeBinding is what a sealed webhook secret is bound to.
func routeBinding(domainID int64) string {
	return "domain.route_secret/" + strconv.FormatInt(domainID, 10)
}

// newWebhookSecret is in the form of Standard Webhooks: 32 random bytes.
func newWebhookSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return "whsec_" + base64.StdEncoding.EncodeToString(b[:])
}

// nullBlob makes a nil slice NULL and not an empty value.
func nullBlob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
