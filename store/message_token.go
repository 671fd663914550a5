package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrToken: a link's token is not of this message, or has expired.
var ErrToken = errors.New("invalid or expired token")

// MailKey returns the secret that signs links to mail and return paths, 32
// octets that stay the same for the life of the database.
func (s *Store) MailKey(ctx context.Context) ([]byte, error) {
	s.mail.keys.Lock()
	defer s.mail.keys.Unlock()
	if s.mail.key != nil {
		return s.mail.key, nil
	}
	var key []byte
	err := s.read.queryRow(ctx, `SELECT secret FROM mail_key WHERE id = 1`).Scan(&key)
	if err = wrap("read mail key", err); errors.Is(err, ErrNotFound) {
		err = s.write(ctx, func(x *tx) error {
			fresh := make([]byte, 32)
			_, _ = rand.Read(fresh) // never fails, says its documentation
			if _, err := x.exec(`INSERT INTO mail_key (id, secret) VALUES (1, ?)
				ON CONFLICT (id) DO NOTHING`, fresh); err != nil {
				return wrap("write mail key", err)
			}
			return wrap("read mail key", x.queryRow(ctx, `SELECT secret FROM mail_key WHERE id = 1`).Scan(&key))
		})
	}
	if err != nil {
		return nil, err
	}
	s.mail.key = key
	return key, nil
}

// MessageToken returns a token that opens a message of one domain without an
// API key until a time: it goes into the links of a webhook's payload.
func MessageToken(key []byte, domainID int64, messageID string, until time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(domainID))
	return base64.RawURLEncoding.EncodeToString(append(b, tokenMAC(key, b, messageID)...))
}

func tokenMAC(key, head []byte, messageID string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("message\x00"))
	h.Write(head)
	h.Write([]byte(messageID))
	return h.Sum(nil)[:16]
}

// TokenTenant returns on whose behalf a token reads a message of a domain.
// ErrToken when it is not valid for both, or not any more.
func (s *Store) TokenTenant(ctx context.Context, domain, messageID, token string) (Tenant, error) {
	key, err := s.MailKey(ctx)
	if err != nil {
		return Tenant{}, err
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != 32 || !hmac.Equal(b[16:], tokenMAC(key, b[:16], messageID)) {
		return Tenant{}, fmt.Errorf("store: open token: %w", ErrToken)
	}
	if s.now().Unix() >= int64(binary.BigEndian.Uint64(b[:8])) {
		return Tenant{}, fmt.Errorf("store: open token: %w", ErrToken)
	}
	t := Tenant{Actor: "token"}
	err = s.read.queryRow(ctx, `SELECT user_id FROM domain WHERE id = ? AND name = ? AND deleted_at = 0`,
		int64(binary.BigEndian.Uint64(b[8:16])), domain).Scan(&t.UserID)
	if err = wrap("read domain of token", err); errors.Is(err, ErrNotFound) {
		return Tenant{}, fmt.Errorf("store: open token: %w", ErrToken)
	}
	return t, err
}
