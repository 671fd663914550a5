package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/inbound"
	"github.com/domaind/domaind/store"
)

// mailFlags say how mail comes in, and where it goes.
type mailFlags struct {
	SMTPListen       string        `name:"smtp-listen" env:"DOMAIND_SMTP_LISTEN" default:"off" placeholder:"ADDR,…" help:"Where inbound mail is taken: TCP addresses, lmtp+unix:/path for LMTP, or off."`
	SMTPPostmaster   string        `name:"smtp-postmaster" env:"DOMAIND_SMTP_POSTMASTER" placeholder:"ADDRESS" help:"Address in a managed domain that gets the mail to this host's postmaster (default: it is refused)."`
	SMTPMaxBytes     int64         `name:"smtp-max-bytes" env:"DOMAIND_SMTP_MAX_BYTES" default:"26214400" help:"How large a message may be."`
	SMTPTLSCert      string        `name:"smtp-tls-cert" env:"DOMAIND_SMTP_TLS_CERT" placeholder:"FILE" help:"Certificate chain for STARTTLS, in PEM; read again when it changes (default: no STARTTLS)."`
	SMTPTLSKey       string        `name:"smtp-tls-key" env:"DOMAIND_SMTP_TLS_KEY" placeholder:"FILE" help:"Its private key."`
	Relay            string        `env:"DOMAIND_RELAY" default:"direct" help:"Where forwarded mail goes: direct (to its MX), smtp://user:password@host:587 (which must offer STARTTLS), or off."`
	MessageRetention time.Duration `env:"DOMAIND_MESSAGE_RETENTION" default:"720h" help:"How long stored mail is kept."`
}

const off = "off"

// What bounds DOMAIND_SMTP_MAX_BYTES: every server must take a message of
// minMessage (RFC 5321 section 4.5.3.1.7), and a delivery holds one in memory.
const (
	minMessage = 64 << 10
	maxMessage = 1 << 30
)

// validate says what parsing alone cannot; the error names the variable, and
// never shows a password.
func (f mailFlags) validate() error {
	if _, err := f.listensTo(); err != nil {
		return err
	}
	if local, domain := store.SplitAddress(f.SMTPPostmaster); f.SMTPPostmaster != "" && (local == "" || domain == "") {
		return errors.New("DOMAIND_SMTP_POSTMASTER (--smtp-postmaster): must be an address")
	}
	if _, err := f.relay(); err != nil {
		return err
	}
	if _, err := f.tls(); err != nil {
		return err
	}
	switch {
	case f.SMTPMaxBytes < minMessage || f.SMTPMaxBytes > maxMessage:
		return fmt.Errorf("DOMAIND_SMTP_MAX_BYTES (--smtp-max-bytes): must be %d to %d", minMessage, maxMessage)
	case f.MessageRetention <= 0:
		return errors.New("DOMAIND_MESSAGE_RETENTION (--message-retention): must be above zero")
	}
	return nil
}

func (f mailFlags) relay() (inbound.Relay, error) {
	r, err := inbound.ParseRelay(f.Relay)
	if err != nil {
		return r, fmt.Errorf("DOMAIND_RELAY (--relay): %w", err)
	}
	return r, nil
}

// tls returns what STARTTLS needs, nil when it is not offered.
func (f mailFlags) tls() (*tls.Config, error) {
	switch {
	case f.SMTPTLSCert == "" && f.SMTPTLSKey == "":
		return nil, nil
	case f.SMTPTLSCert == "":
		return nil, errors.New("DOMAIND_SMTP_TLS_CERT (--smtp-tls-cert): is needed with DOMAIND_SMTP_TLS_KEY")
	case f.SMTPTLSKey == "":
		return nil, errors.New("DOMAIND_SMTP_TLS_KEY (--smtp-tls-key): is needed with DOMAIND_SMTP_TLS_CERT")
	}
	if _, err := os.ReadFile(f.SMTPTLSKey); err != nil {
		return nil, fmt.Errorf("DOMAIND_SMTP_TLS_KEY (--smtp-tls-key): %w", err)
	}
	c := &certificate{cert: f.SMTPTLSCert, key: f.SMTPTLSKey}
	if _, err := c.get(nil); err != nil {
		return nil, fmt.Errorf("DOMAIND_SMTP_TLS_CERT (--smtp-tls-cert): %w", err)
	}
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}, nil
}

// certificate is a pair of files, read again when they change: it is renewed
// while the service runs.
type certificate struct {
	cert, key string

	mu      sync.Mutex
	changed [2]time.Time
	last    *tls.Certificate
}

// get returns the pair as it is, or the last one that was any good.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := [2]time.Time{modified(c.cert), modified(c.key)}
	if c.last != nil && changed == c.changed {
		return c.last, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		c.last, c.changed = &pair, changed
	case c.last == nil:
		return nil, err
	}
	return c.last, nil // one of the two may be written just now
}

func modified(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// mailParts are what the mail side of the service is made from.
type mailParts struct {
	store     *store.Store
	resolver  resolve.Resolver
	metrics   *metrics
	hostname  string
	publicURL string
}

// newMail returns the mail side; it also makes the deliveries of a service
// that takes no mail itself.
func (a *app) newMail(ctx context.Context, c serveCmd, p mailParts) error {
	relay, err := c.relay()
	if err != nil {
		return err
	}
	starttls, err := c.tls()
	if err != nil {
		return err
	}
	a.mail, err = inbound.New(ctx, inbound.Config{
		Store: p.store, Hostname: p.hostname, Postmaster: c.SMTPPostmaster, TLS: starttls, MaxBytes: c.SMTPMaxBytes, Relay: relay,
		AllowPrivate: c.AllowPrivateWebhooks, PublicURL: p.publicURL, Resolver: p.resolver, Log: a.log, Tracer: a.traces.spans(),
		OnAccept: p.metrics.accept, OnRefuse: p.metrics.refuse, OnDelivery: p.metrics.delivery,
	})
	if err != nil {
		return err
	}
	return a.listenForMail(ctx, c.mailFlags)
}
