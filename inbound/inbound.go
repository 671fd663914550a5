// Package inbound takes mail for managed domains and hands it on by their
// routes. Nothing that got 250 is ever lost: what cannot be handed on ends in
// a state that a person can see and replay.
package inbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/store"
)

// Defaults of a Config.
const (
	DefaultMaxBytes   = 25 << 20
	DefaultMaxConns   = 1000
	DefaultConnsPerIP = 50
	DefaultMinFree    = 256 << 20
	DefaultMaxBacklog = 10_000
	DefaultWorkers    = 32
	DefaultIdle       = 5 * time.Minute
)

// maxRecipients is how many recipients one message may have, the least that
// RFC 5321 section 4.5.3.1.8 lets a server take.
const maxRecipients = 100

// Config is what a Server needs. Store and Hostname must be set; the zero
// value of every other field is usable.
type Config struct {
	// Store keeps the mail.
	Store *store.Store
	// Hostname is the name of this host in greetings and trace headers, the MX
	// host of the managed domains.
	Hostname string
	// BounceDomain is the domain of the return paths of forwarded mail; its
	// mail must come here. "" means Hostname.
	BounceDomain string
	// Postmaster is the address of a managed domain that gets the mail for the
	// postmaster of this host (RFC 5321 section 4.5.1); "" refuses it.
	Postmaster string
	// TLS offers STARTTLS with its certificates; nil does not.
	TLS *tls.Config
	// MaxBytes is how large a message may be; 0 means DefaultMaxBytes.
	MaxBytes int64
	// MaxConns and ConnsPerIP bound the open connections; 0 means the defaults.
	MaxConns, ConnsPerIP int
	// Idle is how long a client may take for a command, and for each part of a
	// message; 0 means DefaultIdle.
	Idle time.Duration
	// MinFree is how many octets the disk must have left for mail to be taken;
	// 0 means DefaultMinFree.
	MinFree uint64
	// FreeSpace says how many it has; nil means the spool's file system.
	FreeSpace func() (uint64, error)
	// MaxBacklog is how many deliveries of one domain may wait; 0 means
	// DefaultMaxBacklog.
	MaxBacklog int
	// Relay is how mail is forwarded, see ParseRelay; the zero value is direct.
	Relay Relay
	// AllowPrivate are the prefixes that webhooks and direct forwarding may
	// reach although they are not public.
	AllowPrivate []netip.Prefix
	// PublicURL is what links to messages start with, without a final slash.
	PublicURL string
	// Resolver answers for SPF, DKIM, DMARC and MX. nil: nothing passes, and
	// direct forwarding has to wait.
	Resolver resolve.Resolver
	// Workers is how many deliveries are made at a time; 0 means DefaultWorkers.
	Workers int
	// Now is the clock of the schedules; nil means time.Now.
	Now func() time.Time
	// Rand gives their jitter, from 0 to below 1; nil means math/rand.
	Rand func() float64
	// Dial opens the connections of webhooks and of direct forwarding; nil
	// means a dialer that refuses addresses which are not public.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialRelay opens the connections to the smarthost; nil means net.Dialer.
	DialRelay func(ctx context.Context, network, addr string) (net.Conn, error)
	// MXPort is the port of direct forwarding; 0 means 25.
	MXPort int
	// Roots verify webhooks and the smarthost; nil means those of the system.
	Roots *x509.CertPool
	// Log gets failures of the service; nil means slog.Default.
	Log *slog.Logger

	// Tracer makes a span of each transaction and of each try of a delivery;
	// nil makes none.
	Tracer trace.Tracer

	// The hooks of the metrics; each may be nil, and must not block.

	// OnAccept is told of each message that was made durable.
	OnAccept func()
	// OnRefuse is told of each refusal by its reason: one of the Refused
	// constants.
	OnRefuse func(reason string)
	// OnDelivery is told of each delivery that was worked on: what became of it
	// is a state of store.DeliveryState, or "retry" or "deferred".
	OnDelivery func(mode store.ForwardMode, result string)

	// serial, where it is set, keeps messages from sharing a commit: what the
	// group commit is measured against.
	serial *sync.Mutex
	// transfer is how long the text of a message may take; 0 means maxTransfer.
	transfer time.Duration
}

// The reasons of OnRefuse.
const (
	RefusedUnknown  = "unknown_domain"
	RefusedInactive = "inactive_domain"
	RefusedSize     = "too_large"
	RefusedLoop     = "received_loop"
	RefusedStorage  = "storage"
	RefusedBacklog  = "backlog"
	RefusedInternal = "internal"
	RefusedShutdown = "shutdown"
	RefusedConns    = "connections"
	RefusedAborted  = "aborted" // the client went away, or was silent
	RefusedBounce   = "return_path"
	RefusedSyntax   = "address_syntax"
)

func (c Config) withDefaults() Config {
	c.BounceDomain = strings.ToLower(strings.TrimSuffix(or(c.BounceDomain, c.Hostname), "."))
	c.MaxBytes = or(c.MaxBytes, DefaultMaxBytes)
	c.MaxConns = or(c.MaxConns, DefaultMaxConns)
	c.ConnsPerIP = or(c.ConnsPerIP, DefaultConnsPerIP)
	c.Idle = or(c.Idle, DefaultIdle)
	c.transfer = or(c.transfer, maxTransfer)
	c.MinFree = or(c.MinFree, DefaultMinFree)
	c.MaxBacklog = or(c.MaxBacklog, DefaultMaxBacklog)
	c.Workers = or(c.Workers, DefaultWorkers)
	c.MXPort = or(c.MXPort, 25)
	if c.FreeSpace == nil {
		c.FreeSpace = c.Store.FreeSpace
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Dial == nil {
		c.Dial = GuardedDialer(c.AllowPrivate).DialContext
	}
	if c.DialRelay == nil {
		c.DialRelay = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	}
	if c.OnAccept == nil {
		c.OnAccept = func() {}
	}
	if c.OnRefuse == nil {
		c.OnRefuse = func(string) {}
	}
	if c.OnDelivery == nil {
		c.OnDelivery = func(store.ForwardMode, string) {}
	}
	return c
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Server takes mail and delivers it. It is safe for concurrent use.
type Server struct {
	c       Config
	key     []byte
	smtp    *smtp.Server
	lmtp    *smtp.Server
	door    *door
	space   gauge
	backlog backlogs
	pieces  sync.Pool // of *[32 << 10]byte, what one read of a transfer takes

	client  *http.Client
	breaker *breaker
	judging singleflight.Group
	large   *semaphore.Weighted // of the octets of large messages in delivery
	wake    chan struct{}
	closing sync.Once
}

// New returns a Server that neither listens nor delivers yet: Serve does the
// one, Run the other.
func New(ctx context.Context, c Config) (*Server, error) {
	if c.Store == nil || c.Hostname == "" {
		return nil, errors.New("inbound: Store and Hostname are needed")
	}
	c = c.withDefaults()
	key, err := c.Store.MailKey(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{
		c: c, key: key, door: newDoor(c), breaker: newBreaker(c.Now), wake: make(chan struct{}, 1),
		backlog: backlogs{last: map[int64]level{}}, large: semaphore.NewWeighted(largeRoom),
		pieces: sync.Pool{New: func() any { return new([32 << 10]byte) }},
	}
	s.client = newClient(c.Dial, c.Roots)
	s.smtp, s.lmtp = s.newSMTP(false), s.newSMTP(true)
	return s, nil
}

// Serve takes SMTP from a listener until Shutdown or Close; it returns nil
// then.
func (s *Server) Serve(l net.Listener) error { return s.serve(s.smtp, l) }

// ServeLMTP is Serve for LMTP (RFC 2033), on a unix socket.
func (s *Server) ServeLMTP(l net.Listener) error { return s.serve(s.lmtp, l) }

func (s *Server) serve(x *smtp.Server, l net.Listener) error {
	err := x.Serve(s.door.guard(l))
	if s.door.isDraining() {
		return nil
	}
	return err
}

// Shutdown stops to listen, lets the messages in transfer end, answers 421 to
// whatever comes next, and returns when all connections are closed: at the end
// of ctx by force, with its error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.door.drain()
	err := errors.Join(s.smtp.Shutdown(ctx), s.lmtp.Shutdown(ctx))
	// After a Shutdown that ran out of time, the library's Close does nothing.
	s.door.closeAll()
	return err
}

// Close ends all connections at once. Mail that was not answered with 250 is
// the sender's still.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.door.drain()
		s.door.closeAll() // first: TLS would take leave of each client
		_ = s.smtp.Close()
		_ = s.lmtp.Close()
		s.client.CloseIdleConnections()
	})
	return nil
}

// Wake has Run look for due deliveries at once: something was made due.
func (s *Server) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
