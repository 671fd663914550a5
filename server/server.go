// Package server speaks HTTP: it checks keys and shapes, maps between the
// contract of openapi.yaml and the store, and writes problem documents.
package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
)

// The limits of one request.
const (
	maxBody    = 64 << 10 // octets of a body; more is 413
	maxHeaders = 16 << 10 // octets of request line and header fields; more is 431
	// hardMaxHeaders is where net/http itself gives up, before there is a
	// request to answer with a problem document.
	hardMaxHeaders = 64 << 10
)

// Timeouts against clients that send or read slowly. Writing may take as long
// as the check-now call does, and some.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	handleTimeout     = 25 * time.Second
	idleTimeout       = 60 * time.Second
)

// minBootstrapKey is the least length of Config.BootstrapKey.
const minBootstrapKey = 12

// CheckNow checks one domain now; see dnscheck.Monitor.CheckNow.
type CheckNow func(ctx context.Context, domainID int64, claim func(context.Context) (dnscheck.Job, error)) (dnscheck.Report, error)

// Config is what a Server needs. Store and Service must be set; the zero value
// of every other field is usable.
type Config struct {
	// Store holds everything.
	Store *store.Store
	// CheckNow checks a domain on demand. nil answers the call with 503.
	CheckNow CheckNow
	// Wake tells the monitor that a domain was created or handed back to DNS.
	Wake func()
	// TestEndpoint calls the webhook of a domain's route once; see
	// inbound.Server.TestRoute. nil answers the call with 503.
	TestEndpoint func(ctx context.Context, t store.Tenant, domain string) (store.Attempt, error)
	// WakeDelivery tells the deliveries that some are due now.
	WakeDelivery func()
	// ForwardingOff refuses routes that forward: the service has no relay.
	ForwardingOff bool
	// NameServers finds who serves a domain's zone, for the note of the setup
	// page. It is asked once in ten minutes a domain, with a short deadline; nil
	// means no note.
	NameServers func(ctx context.Context, domain string) (Zone, error)
	// PublicURL is what links start with, without a final slash; "" makes them
	// relative.
	PublicURL string
	// Service says which mail host answers name.
	Service dnscheck.Service
	// Policy holds what the operator adds to the rules for names. The mail host
	// of Service is always among its own names; Reserve 0 means the longest
	// prefix of Service's records, and a nil Suffix the public suffix list.
	Policy name.Policy
	// PrivateWebhooks are the prefixes that a webhook may reach although they
	// are not public.
	PrivateWebhooks []netip.Prefix
	// TrustedProxies are where proxies are whose X-Forwarded-For is believed;
	// none means that the peer of a connection is the client.
	TrustedProxies []netip.Prefix
	// BootstrapKey is an admin key to accept beside those of the store; any
	// text of at least 12 characters. "" is none.
	BootstrapKey string
	// RateLimit is how many requests a key may make in a minute; the check-now
	// call is limited beside it. 0 lifts all limits.
	RateLimit int
	// Log gets failures of the service; nil means slog.Default.
	Log *slog.Logger
	// AccessLog gets one line for each request; nil means none. Its writer
	// should buffer.
	AccessLog *slog.Logger
	// Registry takes the metrics of the server and is what /metrics shows; nil
	// means a new one.
	Registry *prometheus.Registry
	// Tracer makes a span of each request; nil makes none.
	Tracer trace.Tracer
	// Version is shown by /readyz and /livez.
	Version string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Server answers the calls of openapi.yaml. It is safe for concurrent use.
type Server struct {
	cfg       Config
	echo      *echo.Echo
	bootstrap *[sha256.Size]byte
	limits    *limits
	metrics   *metrics
	zones     *zones
	setup     *setupFiles
	parsers   chan struct{} // as many as messages may be parsed at a time
	draining  atomic.Bool
}

var _ api.StrictServerInterface = (*Server)(nil)

// ErrBootstrapKey is what New returns for a BootstrapKey that is too short.
var ErrBootstrapKey = errors.New("the key has fewer than 12 characters")

// New returns a Server. The error is ErrBootstrapKey, or says that a metric of
// the server is registered already, or what of the program's own files is broken.
func New(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	c.Policy = withDefaults(c.Policy, c.Service)
	s := &Server{cfg: c, limits: newLimits(c.RateLimit, c.Now), parsers: make(chan struct{}, maxParsing)}
	if c.BootstrapKey != "" {
		if len(c.BootstrapKey) < minBootstrapKey {
			return nil, ErrBootstrapKey
		}
		sum := sha256.Sum256([]byte(c.BootstrapKey))
		s.bootstrap = &sum
	}
	s.zones = newZones(c.NameServers, c.Now)
	var err error
	if s.setup, err = newSetupFiles(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(c.Registry); err != nil {
		return nil, err
	}
	if s.echo, err = s.routes(); err != nil {
		return nil, err
	}
	return s, nil
}

// withDefaults fills what a policy of this service has at least.
func withDefaults(p name.Policy, service dnscheck.Service) name.Policy {
	p.Own = append(slices.Clone(p.Own), service.MXHost)
	if p.Reserve == 0 {
		p.Reserve = dnscheck.LongestPrefix
	}
	if p.Suffix == nil {
		p.Suffix = publicsuffix.PublicSuffix
	}
	return p
}

// routes wires the calls. Order: request id, log and metrics around all; then
// for each operation the key, before the body is read, and the shape.
func (s *Server) routes() (*echo.Echo, error) {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = clientAddress(s.cfg.TrustedProxies)
	e.HTTPErrorHandler = s.writeProblem
	if s.cfg.Tracer != nil {
		e.Use(s.trace)
	}
	e.Use(s.observe, limitHeaders, carryOut)
	operations, err := s.operations()
	if err != nil {
		return nil, err
	}
	api.RegisterHandlersWithOptions(e, api.NewStrictHandler(s, nil), api.RegisterHandlersOptions{
		OperationMiddlewares: operations,
	})
	if err := s.serveDocs(e); err != nil {
		return nil, err
	}
	s.serveSetup(e)
	e.GET("/metrics", echo.WrapHandler(s.metrics.handler))
	return e, nil
}

// clientAddress says how the address of a client is found: the last one that
// no trusted proxy has.
func clientAddress(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		addr := p.Masked().Addr()
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(p.Bits(), addr.BitLen())}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// Handler returns the server as an http.Handler.
func (s *Server) Handler() http.Handler { return headAsGet(s.echo) }

// HTTPServer returns an http.Server with the limits and timeouts that the
// handler counts on. The caller listens and shuts it down.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    hardMaxHeaders,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// Drain makes /readyz say no from now on; everything else goes on.
func (s *Server) Drain() { s.draining.Store(true) }

// wake tells the monitor that there is work.
func (s *Server) wake() {
	if s.cfg.Wake != nil {
		s.cfg.Wake()
	}
}

// wakeDelivery tells the deliveries that there is work.
func (s *Server) wakeDelivery() {
	if s.cfg.WakeDelivery != nil {
		s.cfg.WakeDelivery()
	}
}
