package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Events of deliveries.
const (
	EventDeliveryFailed  = "delivery.failed"  // forwarding ended without success
	EventWebhookDisabled = "webhook.disabled" // the endpoint answered 410
)

// signBoth is for how long the secret before a rotation signs as well.
const signBoth = 24 * time.Hour

// DeliveryRoute is a route as a try obeys it.
type DeliveryRoute struct {
	Mode       ForwardMode
	WebhookURL string
	ForwardTo  string
	// Secrets sign the webhook: the present one, and for 24 h after a rotation
	// the one before it. Empty: the webhook is not signed.
	Secrets []Secret
	Version int64
	// Gone says that the endpoint answered 410 since the route was written.
	Gone bool
}

// DeliveryRoute reads the route of a domain for a try. ErrNotFound when the
// claim was deleted.
func (s *Store) DeliveryRoute(ctx context.Context, domainID int64) (DeliveryRoute, error) {
	var r DeliveryRoute
	var now, before []byte
	var until, gone int64
	err := s.read.queryRow(ctx, `SELECT route_mode, route_url, route_forward_to, route_version, route_gone_version,
		route_secret, route_secret_prev, route_secret_until FROM domain WHERE id = ? AND deleted_at = 0`, domainID).
		Scan(&r.Mode, &r.WebhookURL, &r.ForwardTo, &r.Version, &gone, &now, &before, &until)
	if err != nil {
		return DeliveryRoute{}, wrap("read route", err)
	}
	r.Gone = gone == r.Version
	if now == nil {
		return r, nil
	}
	secret, err := s.ring.open(routeBinding(domainID), now)
	if err != nil {
		return DeliveryRoute{}, fmt.Errorf("store: open webhook secret: %w", err)
	}
	r.Secrets = append(r.Secrets, NewSecret(string(secret)))
	if before == nil || ms(s.now()) >= until {
		return r, nil
	}
	// A secret that a rekey left behind is no reason not to deliver.
	if secret, err := s.ring.open(routeBinding(domainID), before); err == nil {
		r.Secrets = append(r.Secrets, NewSecret(string(secret)))
	}
	return r, nil
}

// ForwardLoop reports whether mail for a domain, forwarded to an address there,
// would come back: the address is of the domain itself, or of a managed domain
// whose mail is forwarded to it in the end.
func (s *Store) ForwardLoop(ctx context.Context, domain, targetDomain string) (bool, error) {
	for range 16 {
		if targetDomain == domain {
			return true, nil
		}
		var mode ForwardMode
		var next string
		err := s.read.queryRow(ctx, `SELECT route_mode, route_forward_to FROM domain
			WHERE name = ? AND holder = 1 AND deleted_at = 0`, targetDomain).Scan(&mode, &next)
		if err = wrap("follow forwarding", err); errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil || mode != ForwardModeForwardEmail {
			return false, err
		}
		_, targetDomain = SplitAddress(next)
	}
	return true, nil
}

// SplitAddress returns the local part and the domain of an address.
func SplitAddress(address string) (local, domain string) {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[:i], address[i+1:]
		}
	}
	return address, ""
}

// replaceSecret keeps the secret that a write replaces, sealed as it stood, for
// a day of double signatures. One that is cleared signs nothing more.
func (x *tx) replaceSecret(c claim, before []byte, with *string) error {
	switch {
	case with == nil || before == nil:
		return nil
	case *with == "":
		return x.dropSecret(c)
	}
	_, err := x.exec(`UPDATE domain SET route_secret_prev = ?, route_secret_until = ? WHERE id = ? AND user_id = ?`,
		before, ms(x.now.Add(signBoth)), c.ID, c.UserID)
	return wrap("keep webhook secret", err)
}

// dropSecret forgets the secret before a rotation.
func (x *tx) dropSecret(c claim) error {
	_, err := x.exec(`UPDATE domain SET route_secret_prev = NULL, route_secret_until = 0
		WHERE id = ? AND user_id = ?`, c.ID, c.UserID)
	return wrap("drop webhook secret", err)
}

// dropExpiredSecrets forgets the replaced secrets that sign nothing any more.
func (x *tx) dropExpiredSecrets() error {
	_, err := x.exec(`UPDATE domain SET route_secret_prev = NULL, route_secret_until = 0
		WHERE route_secret_prev IS NOT NULL AND route_secret_until <= ?`, ms(x.now))
	return wrap("drop webhook secrets", err)
}

// releaseRoute queues what was held for a route that has been edited now.
func (x *tx) releaseRoute(c claim) error {
	_, err := x.exec(`UPDATE delivery SET state = 'queued', hold = '', next_at = ?, since = ?, tries = 0,
		done_at = 0, keep_until = 0, epoch = epoch + 1
		WHERE user_id = ? AND domain = ? AND domain_id = ? AND state = 'held' AND hold IN (?, ?, ?, ?)`,
		ms(x.now), ms(x.now), c.UserID, c.Name, c.ID,
		HoldEndpointGone, HoldNoEndpoint, HoldForwardingOff, HoldUnsupported)
	return wrap("release held mail", err)
}

// holdMail holds what is still queued for a claim that is being deleted.
func (x *tx) holdMail(c claim) error {
	_, err := x.exec(`UPDATE delivery SET state = 'held', hold = ?, next_at = 0, done_at = ?, keep_until = ?,
		epoch = epoch + 1 WHERE domain_id = ? AND user_id = ? AND state = 'queued'`,
		HoldDomainDeleted, ms(x.now), ms(x.now.Add(max(failedFor, x.s.Retention()))), c.ID, c.UserID)
	if err != nil {
		return wrap("hold mail", err)
	}
	return x.dropSecret(c)
}

// releaseMail gives a user who takes a name back what was held for it. It
// comes by the route that the new claim has when it is tried. A caller who is
// bound to an organization gets what that very claim held, and not what the
// user's claim in another organization left behind.
func (x *tx) releaseMail(t Tenant, c claim) error {
	_, err := x.exec(`UPDATE delivery SET state = 'queued', hold = '', next_at = ?, since = ?, tries = 0,
		done_at = 0, keep_until = 0, epoch = epoch + 1, domain_id = ?
		WHERE user_id = ? AND domain = ? AND state = 'held' AND hold = ? AND (? = '' OR domain_id = ?)`,
		ms(x.now), ms(x.now), c.ID, c.UserID, c.Name, HoldDomainDeleted, t.OrganizationID, c.ID)
	return wrap("release mail", err)
}

// ErrNoEndpoint: the route has no webhook to test.
var ErrNoEndpoint = errors.New("no webhook endpoint")
