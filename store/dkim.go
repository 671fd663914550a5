package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
)

// retireAfter is how long the old key of a rotation stays published: mail that
// it signed may still be on its way.
const retireAfter = 7 * 24 * time.Hour

// RotateDKIM publishes a second DKIM key beside the active one and returns the
// domain with both records. The second is not required; once it is seen in DNS
// it becomes the active one, and the first is retired and removed 7 days
// later. While a rotation is under way a further call changes nothing.
// ErrNotFound as for Domain.
func (s *Store) RotateDKIM(ctx context.Context, t Tenant, name string) (Details, error) {
	var key dkim.Key
	for {
		var out Details
		err := s.write(ctx, func(x *tx) error {
			if err := x.rotate(t, name, key); err != nil {
				return err
			}
			var err error
			out, err = details(context.Background(), x, t, name)
			return err
		})
		if errors.Is(err, errNeedKey) {
			key, err = s.c.NewKey(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return Details{}, fmt.Errorf("store: rotate DKIM key: %w", err)
		}
		return out, nil
	}
}

// rotate begins a rotation. A key is dear: it asks for one with errNeedKey only
// where the domain is there and has none waiting.
func (x *tx) rotate(t Tenant, name string, key dkim.Key) error {
	c, err := x.claimByName(t, name)
	if err != nil {
		return err
	}
	lines, err := x.lines(c)
	if err != nil {
		return err
	}
	taken := make(map[int64]bool, len(lines)+1)
	next := line{KeyState: keyNext, PendingSince: x.now}
	for _, r := range lines {
		if r.KeyState == keyNext {
			return nil // under way
		}
		taken[r.ID] = true
		next.Seq = max(next.Seq, r.Seq+1)
		if r.KeyState != "" {
			next.Retired = append(next.Retired, r.Value)
		}
	}
	if key.Selector == "" {
		return errNeedKey
	}
	published := dnscheck.DKIMRecord(c.Name, key)
	published.Required = false // until it is seen
	next.Record = planned(published, recordID(taken))
	if err := x.insertLine(c, next); err != nil {
		return err
	}
	lines = append(lines, next)
	if err := x.expect(c, lines); err != nil {
		return err
	}
	if err := x.insertKey(c, key, keyNext); err != nil {
		return err
	}
	// Due at once, and looked at as often as a new domain until it is seen.
	if c.NextCheckAt.After(x.now) {
		c.NextCheckAt = x.now
	}
	c.UpdatedAt = x.now
	c.Lane = c.plan(lines).lane()
	if err := x.putClaim(c); err != nil {
		return err
	}
	return x.event(c, Event{Type: EventRotationStarted, Actor: t.Actor, RecordID: next.ID, To: key.Selector})
}

// promote makes the next key, just seen in DNS, the active one.
func (k *checking) promote(next *line) error {
	from := ""
	for i := range k.lines {
		old := &k.lines[i]
		if old.KeyState != keyActive {
			continue
		}
		old.KeyState, old.Required, old.Degraded = keyRetired, false, false
		old.evidence = evidence{}
		old.Code, old.Detail = "", "This key was rotated."
		old.Hint = "Keep the record until " + k.x.now.Add(retireAfter).UTC().Format(time.DateOnly) +
			"; then remove it, or publish it with an empty p=."
		from = selector(old.Host)
	}
	next.KeyState, next.Required = keyActive, true
	to := selector(next.Host)
	_, err := k.x.exec(`UPDATE dkim_key SET state = ?, retired_at = ? WHERE domain_id = ? AND user_id = ? AND state = ?`,
		keyRetired, ms(k.x.now), k.c.ID, k.c.UserID, keyActive)
	if err != nil {
		return wrap("retire DKIM key", err)
	}
	_, err = k.x.exec(`UPDATE dkim_key SET state = ?, activated_at = ? WHERE domain_id = ? AND user_id = ? AND selector = ?`,
		keyActive, ms(k.x.now), k.c.ID, k.c.UserID, to)
	if err != nil {
		return wrap("activate DKIM key", err)
	}
	return k.x.event(k.c, Event{
		Type: EventDKIMRotated, Actor: actorDNS, RecordID: next.ID, From: from, To: to,
	})
}

const domainkey = "._domainkey"

func selector(host string) string {
	if len(host) > len(domainkey) {
		return host[:len(host)-len(domainkey)]
	}
	return host
}

// keyBinding is what a sealed DKIM key is bound to.
func keyBinding(domainID int64, selector string) string {
	return "dkim_key.sealed/" + strconv.FormatInt(domainID, 10) + "/" + selector
}

func (x *tx) insertKey(c claim, key dkim.Key, state string) error {
	sealed, err := x.s.ring.seal(x, keyBinding(c.ID, key.Selector), key.Private)
	if err != nil {
		return err
	}
	activated := int64(0)
	if state == keyActive {
		activated = ms(x.now)
	}
	_, err = x.exec(`INSERT INTO dkim_key (domain_id, selector, user_id, state, public, sealed, created_at,
		activated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ID, key.Selector, c.UserID, state, key.Public, sealed, ms(x.now), activated)
	return wrap("insert DKIM key", err)
}

// DKIMKey returns the active key of a domain with its private half, for the
// export on the host. ErrNotFound as for Domain.
func (s *Store) DKIMKey(ctx context.Context, t Tenant, name string) (dkim.Key, error) {
	id, err := s.DomainID(ctx, t, name)
	if err != nil {
		return dkim.Key{}, err
	}
	var k dkim.Key
	var sealed []byte
	err = s.read.queryRow(ctx, `SELECT selector, public, sealed FROM dkim_key
		WHERE domain_id = ? AND user_id = ? AND state = ?`, id, t.UserID, keyActive).
		Scan(&k.Selector, &k.Public, &sealed)
	if err != nil {
		return dkim.Key{}, wrap("read DKIM key", err)
	}
	if k.Private, err = s.ring.open(keyBinding(id, k.Selector), sealed); err != nil {
		return dkim.Key{}, err
	}
	return k, nil
}

// SigningKey is an active key with the domain that it signs for.
type SigningKey struct {
	Domain string
	Key    dkim.Key
}

// keysAtOnce is how many keys are read before they are handed out: what f does
// may take long, and no transaction is open meanwhile.
const keysAtOnce = 256

// SigningKeys calls f with the active key of every domain that may send: those
// of active domains. It stops at the first error.
func (s *Store) SigningKeys(ctx context.Context, f func(SigningKey) error) error {
	after := ""
	for {
		keys, err := s.signingKeys(ctx, after)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := f(k); err != nil {
				return err
			}
			after = k.Domain
		}
		if len(keys) < keysAtOnce {
			return nil
		}
	}
}

func (s *Store) signingKeys(ctx context.Context, after string) ([]SigningKey, error) {
	rows, err := s.read.query(ctx, `SELECT domain.id, domain.name, selector, public, sealed
		FROM domain JOIN dkim_key ON dkim_key.domain_id = domain.id AND dkim_key.state = 'active'
		WHERE domain.holder = 1 AND domain.status = 'active' AND domain.name > ?
		ORDER BY domain.name LIMIT ?`, after, keysAtOnce)
	if err != nil {
		return nil, wrap("read DKIM keys", err)
	}
	defer rows.Close()
	var keys []SigningKey
	for rows.Next() {
		var id int64
		var k SigningKey
		var sealed []byte
		if err := rows.Scan(&id, &k.Domain, &k.Key.Selector, &k.Key.Public, &sealed); err != nil {
			return nil, wrap("read DKIM keys", err)
		}
		if k.Key.Private, err = s.ring.open(keyBinding(id, k.Key.Selector), sealed); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, wrap("read DKIM keys", rows.Err())
}

// sweepKeys removes the keys, and their records, that were retired long ago.
func (s *Store) sweepKeys(ctx context.Context) error {
	err := s.write(ctx, func(x *tx) error {
		before := ms(x.now.Add(-retireAfter))
		_, err := x.exec(`DELETE FROM record WHERE key_state = 'retired' AND EXISTS (
			SELECT 1 FROM dkim_key k WHERE k.domain_id = record.domain_id AND k.retired_at > 0
			AND k.retired_at <= ? AND record.host = k.selector || '._domainkey')
			AND domain_id IN (SELECT domain_id FROM dkim_key WHERE retired_at > 0 AND retired_at <= ?)`,
			before, before)
		if err != nil {
			return wrap("remove retired records", err)
		}
		_, err = x.exec(`DELETE FROM dkim_key WHERE retired_at > 0 AND retired_at <= ?`, before)
		return wrap("remove retired keys", err)
	})
	if err != nil {
		return fmt.Errorf("store: sweep: %w", err)
	}
	return nil
}
