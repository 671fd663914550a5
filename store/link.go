package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrGone: the link was good once, and has expired or was revoked.
var ErrGone = errors.New("link expired or revoked")

// The events of links, as those of the other nouns.
const (
	EventLinkCreated = "link.created"
	EventLinkRevoked = "link.revoked"
)

// actorLink is who acts by way of a setup link.
const actorLink = "link"

// linkTokenLen is the length of a link's token: 256 random bits in base64url.
const linkTokenLen = 43

// linkKeptFor is how long a link that has ended is told from one that never was.
const linkKeptFor = 90 * 24 * time.Hour

// SetupLink is a new link to the setup page of a domain.
type SetupLink struct {
	Token     Secret // shown this once; the store keeps its SHA-256
	ExpiresAt time.Time
}

// CreateSetupLink makes a link that opens the setup page of a domain without a
// key until it expires, is revoked, or the domain is deleted. ErrNotFound as
// for Domain.
func (s *Store) CreateSetupLink(ctx context.Context, t Tenant, name string, ttl time.Duration) (SetupLink, error) {
	var b [sha256.Size]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	token := base64.RawURLEncoding.EncodeToString(b[:])
	link := SetupLink{Token: NewSecret(token)}
	err := s.write(ctx, func(x *tx) error {
		c, err := x.claimByName(t, name)
		if err != nil {
			return err
		}
		link.ExpiresAt = at(ms(x.now.Add(ttl)))
		_, err = x.exec(`INSERT INTO setup_link (token_hash, domain_id, user_id, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?)`, linkHash(token), c.ID, c.UserID, ms(x.now), ms(link.ExpiresAt))
		if err != nil {
			return wrap("insert link", err)
		}
		return x.event(c, Event{Type: EventLinkCreated, Actor: t.Actor})
	})
	if err != nil {
		return SetupLink{}, fmt.Errorf("store: create link: %w", err)
	}
	return link, nil
}

// RevokeSetupLinks ends all links to a domain at once, and returns how many
// were still good. ErrNotFound as for Domain.
func (s *Store) RevokeSetupLinks(ctx context.Context, t Tenant, name string) (int, error) {
	var n int64
	err := s.write(ctx, func(x *tx) error {
		c, err := x.claimByName(t, name)
		if err != nil {
			return err
		}
		if n, err = x.revokeLinks(c); err != nil || n == 0 {
			return err
		}
		return x.event(c, Event{Type: EventLinkRevoked, Actor: t.Actor, Detail: strconv.FormatInt(n, 10)})
	})
	if err != nil {
		return 0, fmt.Errorf("store: revoke links: %w", err)
	}
	return int(n), nil
}

// revokeLinks ends the links of a claim that are still good.
func (x *tx) revokeLinks(c claim) (int64, error) {
	n, err := x.exec(`UPDATE setup_link SET revoked_at = ?
		WHERE domain_id = ? AND user_id = ? AND revoked_at = 0 AND expires_at > ?`, ms(x.now), c.ID, c.UserID, ms(x.now))
	return n, wrap("revoke links", err)
}

// OpenLink is what a link's token opens.
type OpenLink struct {
	Tenant    Tenant // on whose behalf
	Domain    string // the name of the domain
	ExpiresAt time.Time
}

// OpenSetupLink returns what a link's token opens. ErrGone when it was good
// once, ErrNotFound when there was never such a link, or not within the last
// 90 days.
func (s *Store) OpenSetupLink(ctx context.Context, token string) (OpenLink, error) {
	if len(token) != linkTokenLen {
		return OpenLink{}, fmt.Errorf("store: open link: %w", ErrNotFound)
	}
	l := OpenLink{Tenant: Tenant{Actor: actorLink}}
	var expires, revoked, deleted int64
	err := s.read.queryRow(ctx, `SELECT l.user_id, d.name, l.expires_at, l.revoked_at, d.deleted_at
		FROM setup_link l JOIN domain d ON d.id = l.domain_id AND d.user_id = l.user_id
		WHERE l.token_hash = ?`, linkHash(token)).Scan(&l.Tenant.UserID, &l.Domain, &expires, &revoked, &deleted)
	switch {
	case err != nil:
		return OpenLink{}, wrap("open link", err)
	case revoked > 0, deleted > 0, ms(s.now()) >= expires:
		return OpenLink{}, fmt.Errorf("store: open link: %w", ErrGone)
	}
	l.ExpiresAt = at(expires)
	return l, nil
}

// sweepLinks forgets the links that ended long ago.
func (x *tx) sweepLinks() error {
	_, err := x.exec(`DELETE FROM setup_link WHERE expires_at <= ?`, ms(x.now.Add(-linkKeptFor)))
	return wrap("purge links", err)
}

// linkHash is what the store keeps of a token: 256 random bits need no salt.
func linkHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
