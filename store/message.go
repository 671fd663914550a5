package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/oklog/ulid/v2"
)

// ErrInactive: the name is claimed, but not active: mail for it has to wait at
// its sender.
var ErrInactive = errors.New("domain not active")

// MessageKind says how a message came to be.
type MessageKind string

// The kinds. Only mail is shown to tenants.
const (
	MessageKindMail   MessageKind = "mail"
	MessageKindNotice MessageKind = "notice" // a delivery status notification of ours
	MessageKindBounce MessageKind = "bounce" // one that came to a return path of ours
)

// Message is an accepted message as one domain's owner sees it.
type Message struct {
	ID         string // a ULID: later ones are greater
	Kind       MessageKind
	MailFrom   string // "" is the null reverse path
	Helo       string
	RemoteIP   string
	TLS        string // the protocol's name, "" without
	Subject    string // decoded
	From       string // the From header field, decoded
	Bytes      int64
	SHA256     string // lower-case hex, of the octets as received
	ReceivedAt time.Time
	// Auth is nil until the sender has been judged.
	Auth *Auth
	// Deliveries are those of the domain asked for, in no particular order.
	Deliveries []Delivery
}

// Auth is what SPF, DKIM and DMARC say of a sender (RFC 8601 section 2.7).
type Auth struct {
	SPF   AuthSPF    `json:"spf"`
	DKIM  []AuthDKIM `json:"dkim"`
	DMARC AuthDMARC  `json:"dmarc"`
}

// AuthSPF is the result of one SPF check, of the MAIL FROM identity or, where
// the reverse path is null, of HELO.
type AuthSPF struct {
	Result string `json:"result"`
	Domain string `json:"domain,omitempty"`
}

// AuthDKIM is the result of one signature.
type AuthDKIM struct {
	Result string `json:"result"`
	Domain string `json:"domain,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Aligned says that the domain and that of From have one organizational
	// domain (RFC 9989 section 4.4).
	Aligned bool `json:"aligned"`
}

// AuthDMARC is the result of the From domain's policy.
type AuthDMARC struct {
	Result string `json:"result"`
	Domain string `json:"domain,omitempty"`
	Policy string `json:"policy,omitempty"`
}

// NewMessage is a message to keep.
type NewMessage struct {
	ID         string // from NewMessageID; "" means a new one
	Kind       MessageKind
	MailFrom   string
	Helo       string
	RemoteIP   string
	TLS        string
	Subject    string
	From       string
	Recipients []Recipient
}

// Recipient is one recipient of a new message, and where it goes.
type Recipient struct {
	Address  string
	Domain   string
	DomainID int64
	UserID   string
	Mode     ForwardMode
	// Target is a fixed address to send to; "" means that of the route.
	Target string
	// Done keeps the message without any delivery.
	Done bool
}

// NewMessageID returns a fresh id for the present time.
func (s *Store) NewMessageID() string { return newULID(s.now()) }

func newULID(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()
}

// RecipientOf says who takes mail for a domain. ErrNotFound when nobody has
// claimed the name, ErrInactive when nobody's claim on it is active.
func (s *Store) RecipientOf(ctx context.Context, domain string) (Recipient, error) {
	r := Recipient{Domain: domain}
	var status DomainStatus
	err := s.read.queryRow(ctx, `SELECT id, user_id, status, route_mode FROM domain
		WHERE name = ? AND deleted_at = 0 ORDER BY holder DESC LIMIT 1`, domain).
		Scan(&r.DomainID, &r.UserID, &status, &r.Mode)
	if err != nil {
		return Recipient{}, wrap("read recipient", err)
	}
	if status != DomainStatusActive {
		return Recipient{}, fmt.Errorf("store: read recipient: %w", ErrInactive)
	}
	return r, nil
}

// AddMessage keeps a message and one delivery for each recipient, and returns
// its id after all of it is durable: the octets, then the rows, in one commit
// that others may share. ErrFull, ErrUnavailable.
func (s *Store) AddMessage(ctx context.Context, m NewMessage, body *Body) (string, error) {
	if m.ID == "" {
		m.ID = s.NewMessageID()
	}
	if body.Spooled() && !s.dialect.spool {
		return s.addWhole(ctx, m, body)
	}
	if body.Spooled() {
		p := s.spool()
		p.mu.RLock()
		defer p.mu.RUnlock()
		if err := body.place(); err != nil {
			return "", err
		}
	}
	err := s.write(ctx, func(x *tx) error { return x.addMessage(m, body.Sum(), body.n, body.buf) })
	if err != nil {
		return "", fmt.Errorf("store: add message: %w", err)
	}
	return m.ID, nil
}

// addWhole keeps a large message in its row, so that every replica can read it.
// The octets are read when their turn has come: few are in memory at a time.
func (s *Store) addWhole(ctx context.Context, m NewMessage, body *Body) (string, error) {
	err := s.write(ctx, func(x *tx) error {
		raw := make([]byte, body.n)
		if _, err := body.file.ReadAt(raw, 0); err != nil {
			return spoolErr("read spool file", err)
		}
		return x.addMessage(m, body.Sum(), body.n, raw)
	})
	if err != nil {
		return "", fmt.Errorf("store: add message: %w", err)
	}
	return m.ID, nil
}

// addMessage writes the rows; raw is nil where the octets are in the spool.
func (x *tx) addMessage(m NewMessage, sum string, size int64, raw []byte) error {
	_, err := x.exec(`INSERT INTO message (id, kind, mail_from, helo, remote_ip, tls, subject, header_from,
		bytes, sha256, received_at, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.ID, m.Kind, m.MailFrom, m.Helo, m.RemoteIP, m.TLS, m.Subject, m.From, size, sum, ms(x.now), nullBlob(raw))
	if err != nil {
		return wrap("insert message", err)
	}
	led := make(map[int64]bool, 1)
	for _, r := range m.Recipients {
		lead := m.Kind == MessageKindMail && !led[r.DomainID]
		led[r.DomainID] = true
		if err := x.addDelivery(m.ID, r, lead); err != nil {
			return err
		}
	}
	return nil
}

func (x *tx) addDelivery(message string, r Recipient, lead bool) error {
	d := Delivery{State: DeliveryStateQueued, NextAt: x.now}
	if r.Mode == ForwardModeStore || r.Done {
		d.State, d.DoneAt = DeliveryStateStored, x.now
	}
	if r.Done {
		d.NextAt = time.Time{}
	}
	if r.Mode == ForwardModeStore || r.Mode == ForwardModeWebhookThenStore || r.Done {
		d.KeepUntil = x.now.Add(x.s.Retention())
	}
	_, err := x.exec(`INSERT INTO delivery (id, message_id, domain_id, user_id, domain, lead, rcpt_to, target,
		mode, state, next_at, since, created_at, done_at, keep_until)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		newULID(x.now), message, r.DomainID, r.UserID, r.Domain, lead, r.Address, r.Target,
		r.Mode, d.State, ms(d.NextAt), ms(x.now), ms(x.now), ms(d.DoneAt), ms(d.KeepUntil))
	return wrap("insert delivery", err)
}

const messageColumns = `m.id, m.kind, m.mail_from, m.helo, m.remote_ip, m.tls, m.subject, m.header_from,
	m.bytes, m.sha256, m.received_at, m.auth`

func scanMessage(row scanner) (Message, error) {
	var m Message
	var received int64
	var auth string
	err := row.Scan(&m.ID, &m.Kind, &m.MailFrom, &m.Helo, &m.RemoteIP, &m.TLS, &m.Subject, &m.From,
		&m.Bytes, &m.SHA256, &received, &auth)
	if err != nil {
		return Message{}, err
	}
	m.ReceivedAt = at(received)
	if auth != "" {
		m.Auth = new(Auth)
		err = json.Unmarshal([]byte(auth), m.Auth)
	}
	return m, err
}

// SaveAuth keeps what was found out about the sender of a message.
func (s *Store) SaveAuth(ctx context.Context, messageID string, a Auth) error {
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("store: save authentication: %w", err)
	}
	err = s.write(ctx, func(x *tx) error {
		_, err := x.exec(`UPDATE message SET auth = ? WHERE id = ?`, string(text), messageID)
		return wrap("write authentication", err)
	})
	return err
}

// RawOf opens the octets of a message, as they were received. It is for the
// delivery only; ErrNotFound when there is no such message, ErrNoOctets when
// they are lost.
func (s *Store) RawOf(ctx context.Context, messageID string) (io.ReadCloser, error) {
	var raw []byte
	var sum string
	err := s.read.queryRow(ctx, `SELECT raw, sha256 FROM message WHERE id = ?`, messageID).Scan(&raw, &sum)
	if err != nil {
		return nil, wrap("read message", err)
	}
	if raw != nil {
		return io.NopCloser(bytes.NewReader(raw)), nil
	}
	return s.openSpooled(ctx, messageID, sum)
}

// Retention is how long stored mail, and mail that nobody could deliver, is
// kept.
func (s *Store) Retention() time.Duration {
	if s.c.MessageRetention > 0 {
		return s.c.MessageRetention
	}
	return 30 * 24 * time.Hour
}
