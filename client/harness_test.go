package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/server"
	"github.com/domaind/domaind/store"
)

const (
	apiKey = "client-test-admin-key"
	user   = "user_123"
)

// serverURL is where the service of these tests answers, and dns the server
// whose records it sees; TestMain starts both.
var (
	serverURL string
	dns       *dnstest.Server
)

func TestMain(m *testing.M) {
	code := 1
	if err := withService(func() { code = m.Run() }); err != nil {
		slog.Error("the service of the tests", "error", err)
		code = 1
	}
	os.Exit(code)
}

// withService runs f beside a whole service: a database on disk, DNS and HTTP
// on loopback.
func withService(f func()) (err error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dir, err := os.MkdirTemp("", "domaind-client-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dns, err = dnstest.Start(); err != nil {
		return err
	}
	defer dns.Close()
	db, service, err := openStore(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	resolver, err := resolve.NewClient(resolve.Config{Servers: []netip.AddrPort{dns.Addr()}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resolver.Close()) }()
	monitor := dnscheck.NewMonitor(dnscheck.MonitorConfig{
		Checker: dnscheck.NewChecker(dnscheck.Config{Fresh: resolver, Shared: resolver, MXHosts: []string{service.MXHost}}),
		Queue:   db, Poll: 100 * time.Millisecond,
	})
	var running sync.WaitGroup
	running.Go(func() { monitor.Run(ctx) })
	defer func() { stop(); running.Wait(); monitor.Close() }()
	api, err := server.New(server.Config{
		Store: db, Service: service, BootstrapKey: apiKey, CheckNow: monitor.CheckNow, Wake: monitor.Wake,
		Log: slog.New(slog.DiscardHandler), AccessLog: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serverURL = "http://" + l.Addr().String()
	web := api.HTTPServer()
	running.Go(func() {
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("serve", "error", err)
		}
	})
	defer func() { err = errors.Join(err, web.Close()) }()
	f()
	return nil
}

func openStore(ctx context.Context, dir string) (*store.Store, dnscheck.Service, error) {
	service := dnscheck.Service{MXHost: "mx.example.com", MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;", DMARCRequired: true}
	if err := dns.Set("mx.example.com. 60 IN A 127.0.0.1"); err != nil {
		return nil, service, err
	}
	db, err := store.Open(ctx, store.Config{
		Database: filepath.Join(dir, "domaind.db"), Service: service,
		NewKey:   newKey(),
		Schedule: store.Schedule{Unit: time.Second, DemoteAfter: time.Hour, PendingFor: time.Hour},
	})
	return db, service, err
}

// newKey gives keys quickly: one pair, and a selector of its own each time.
func newKey() func(context.Context) (dkim.Key, error) {
	pair := sync.OnceValues(dkim.Generate)
	return func(context.Context) (dkim.Key, error) {
		k, err := pair()
		k.Selector = "d" + strings.ToLower(rand.Text())
		return k, err
	}
}

// publish is what the domain's owner does with the lines of a zone file.
func publish(zone string) error {
	var lines []string
	for line := range strings.Lines(zone) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, ";") {
			lines = append(lines, line)
		}
	}
	return dns.Set(lines...)
}
