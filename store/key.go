package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// Scope is what an API key may do; each includes the ones before it.
type Scope string

// The scopes.
const (
	ScopeRead  Scope = "read"
	ScopeWrite Scope = "write"
	ScopeAdmin Scope = "admin"
)

// Key is an API key as it is stored: never its secret.
type Key struct {
	ID             string
	Name           string
	Scope          Scope
	UserID         string // "" when it is not bound to a user
	OrganizationID string // "" when it is not bound to an organization
	CreatedAt      time.Time
	ExpiresAt      time.Time // zero: never
	RevokedAt      time.Time // zero: not
	LastUsedAt     time.Time // zero: never; coarse
}

// NewKey is what a new API key may do.
type NewKey struct {
	Scope          Scope
	UserID         string // "" binds it to no user
	OrganizationID string // "" binds it to no organization
	Name           string
	ExpiresAt      time.Time // zero: never
}

// The form of a key: prefix, 32 random base62 characters, and 6 of a CRC-32
// that tells a mistyped key, and a scanner of leaked secrets, what it is.
const (
	keyPrefix = "dmd_"
	keyRandom = 32
	keySum    = 6
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

const keyColumns = `id, name, scope, user_id, organization_id, created_at, expires_at, revoked_at, last_used_at`

func scanKey(row scanner) (Key, error) {
	var k Key
	var created, expires, revoked, used int64
	err := row.Scan(&k.ID, &k.Name, &k.Scope, &k.UserID, &k.OrganizationID, &created, &expires, &revoked, &used)
	if err != nil {
		return Key{}, err
	}
	k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.LastUsedAt = at(created), at(expires), at(revoked), at(used)
	return k, nil
}

// CreateKey makes an API key and returns it with its secret, which is not kept
// and cannot be shown again.
func (s *Store) CreateKey(ctx context.Context, n NewKey) (Key, string, error) {
	var k Key
	secret := newKeySecret()
	err := s.write(ctx, func(x *tx) (err error) {
		k, err = x.insertKeyRow(n, secret)
		return err
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("store: create key: %w", err)
	}
	return k, secret, nil
}

func (x *tx) insertKeyRow(n NewKey, secret string) (Key, error) {
	k := Key{
		ID: "key_" + randomText(16), Name: n.Name, Scope: n.Scope, UserID: n.UserID,
		OrganizationID: n.OrganizationID, CreatedAt: x.now, ExpiresAt: at(ms(n.ExpiresAt)),
	}
	_, err := x.exec(`INSERT INTO api_key (id, hash, name, scope, user_id, organization_id, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, keyHash(secret), k.Name, k.Scope, k.UserID, k.OrganizationID, ms(k.CreatedAt), ms(k.ExpiresAt))
	return k, wrap("insert key", err)
}

// KeyBySecret returns the key that a secret belongs to. It asks the database
// every time, so that a revocation holds from the very next call. ErrNotFound
// when the secret is unknown, or its key revoked or expired.
func (s *Store) KeyBySecret(ctx context.Context, secret string) (Key, error) {
	k, err := scanKey(s.read.queryRow(ctx, `SELECT `+keyColumns+` FROM api_key WHERE hash = ?`, keyHash(secret)))
	if err != nil {
		return Key{}, wrap("read key", err)
	}
	now := s.now()
	if !k.RevokedAt.IsZero() || !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) {
		return Key{}, wrap("read key", ErrNotFound)
	}
	s.uses.note(k.ID, now)
	return k, nil
}

// Keys returns all keys, the revoked and expired too, the oldest first.
func (s *Store) Keys(ctx context.Context) ([]Key, error) {
	rows, err := s.read.query(ctx, `SELECT `+keyColumns+` FROM api_key ORDER BY created_at, id`)
	if err != nil {
		return nil, wrap("list keys", err)
	}
	defer rows.Close()
	var list []Key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, wrap("list keys", err)
		}
		list = append(list, k)
	}
	return list, wrap("list keys", rows.Err())
}

// RevokeKey ends a key at once, named by its id or its secret; ErrNotFound
// when there is none. Revoking it again changes nothing.
func (s *Store) RevokeKey(ctx context.Context, idOrSecret string) error {
	err := s.write(ctx, func(x *tx) error {
		n, err := x.exec(`UPDATE api_key SET revoked_at = CASE WHEN revoked_at = 0 THEN ? ELSE revoked_at END
			WHERE id = ? OR hash = ?`, ms(x.now), idOrSecret, keyHash(idOrSecret))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store: revoke key: %w", err)
	}
	return nil
}

// RollKey makes a key that may do what another one may, and ends the other
// after the grace. ErrNotFound when there is none, or it has ended already.
func (s *Store) RollKey(ctx context.Context, id string, grace time.Duration) (Key, string, error) {
	var k Key
	secret := newKeySecret()
	err := s.write(ctx, func(x *tx) error {
		old, err := scanKey(x.queryRow(ctx, `SELECT `+keyColumns+` FROM api_key
			WHERE id = ? AND revoked_at = 0 AND (expires_at = 0 OR expires_at > ?)`, id, ms(x.now)))
		if err != nil {
			return err
		}
		end := x.now.Add(grace)
		if !old.ExpiresAt.IsZero() {
			end = earlier(end, old.ExpiresAt)
		}
		if _, err := x.exec(`UPDATE api_key SET expires_at = ? WHERE id = ?`, ms(end), id); err != nil {
			return err
		}
		k, err = x.insertKeyRow(NewKey{
			Scope: old.Scope, UserID: old.UserID, OrganizationID: old.OrganizationID,
			Name: old.Name, ExpiresAt: old.ExpiresAt,
		}, secret)
		return err
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("store: roll key: %w", err)
	}
	return k, secret, nil
}

// keyHash is what is stored of a secret: it has 190 random bits, so that a
// plain hash is enough.
func keyHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func newKeySecret() string {
	body := keyPrefix + randomText(keyRandom)
	return body + checksum62(body)
}

// ValidKeyForm reports whether a text has the form of a key of ours, its
// checksum included. It says nothing of whether there is such a key.
func ValidKeyForm(secret string) bool {
	body, found := strings.CutPrefix(secret, keyPrefix)
	if !found || len(body) != keyRandom+keySum {
		return false
	}
	cut := len(secret) - keySum
	return secret[cut:] == checksum62(secret[:cut])
}

func checksum62(text string) string {
	var out [keySum]byte
	sum := crc32.ChecksumIEEE([]byte(text))
	for i := keySum - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// randomText returns n base62 characters, each equally likely.
func randomText(n int) string {
	out := make([]byte, 0, n)
	var b [64]byte
	for len(out) < n {
		_, _ = rand.Read(b[:]) // never fails, says its documentation
		for _, c := range b {
			if c < 248 && len(out) < n { // 248 = 4 * 62
				out = append(out, base62[c%62])
			}
		}
	}
	return string(out)
}
