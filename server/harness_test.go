package server_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/inbound"
	"github.com/domaind/domaind/server"
	"github.com/domaind/domaind/store"
	"github.com/domaind/domaind/store/storetest"
)

// adminKey is the key that every test server is started with.
const adminKey = "test-admin-key-4711"

var service = dnscheck.Service{
	MXHost: "mx.example.com", MXPriority: 10,
	SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;", DMARCRequired: true,
}

// harness is a server on a real listener with a real database and DNS.
type harness struct {
	t     testing.TB
	dir   string // of the database, where it is a file
	url   string
	store *store.Store
	dns   *dnstest.Server
	srv   *server.Server
	logs  *buffer
	// inbound makes the deliveries when it is told to.
	inbound *inbound.Server
	// contract holds the exchanges of the generated clients against openapi.yaml.
	contract *validatingTransport
}

// start runs a server; configure may change its configuration first.
func start(t testing.TB, configure ...func(*server.Config)) *harness {
	t.Helper()
	h := &harness{t: t, logs: &buffer{}}
	doc, err := api.GetSpec()
	ok(t, err)
	h.contract = newTransport(t, doc, func(err error) { h.t.Errorf("answer is out of contract: %v", err) })
	dnsServer, err := dnstest.Start()
	ok(t, err)
	t.Cleanup(dnsServer.Close)
	h.dns = dnsServer
	ok(t, dnsServer.Set("mx.example.com. 60 IN A 127.0.0.1"))
	log := slog.New(slog.NewJSONHandler(h.logs, nil))
	h.dir = t.TempDir()
	database, key := storetest.New(t, h.dir)
	h.store, err = store.Open(t.Context(), store.Config{
		Database: database, MasterKeyFile: key, Service: service, NewKey: newKey(), Log: log,
	})
	ok(t, err)
	t.Cleanup(func() { ok(t, h.store.Close()) })
	monitor := h.monitor(log)
	h.inbound = h.receiver(log)
	c := server.Config{
		Store: h.store, Service: service, BootstrapKey: adminKey, Log: log, AccessLog: log,
		CheckNow: monitor.CheckNow, Wake: monitor.Wake, Version: "test",
		TestEndpoint: h.inbound.TestRoute, PublicURL: "https://api.example.com",
	}
	for _, f := range configure {
		f(&c)
	}
	h.srv, err = server.New(c)
	ok(t, err)
	h.listen()
	return h
}

func (h *harness) monitor(log *slog.Logger) *dnscheck.Monitor {
	resolver, err := resolve.NewClient(resolve.Config{Servers: []netip.AddrPort{h.dns.Addr()}})
	ok(h.t, err)
	h.t.Cleanup(func() { ok(h.t, resolver.Close()) })
	m := dnscheck.NewMonitor(dnscheck.MonitorConfig{
		Checker: dnscheck.NewChecker(dnscheck.Config{
			Fresh: resolver, Shared: resolver, MXHosts: []string{service.MXHost}, Log: log,
		}),
		Queue: h.store, Log: log,
	})
	h.t.Cleanup(m.Close)
	return m
}

func (h *harness) listen() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(h.t, err)
	h.url = "http://" + l.Addr().String()
	web := h.srv.HTTPServer()
	done := make(chan error, 1)
	go func() { done <- web.Serve(l) }()
	h.t.Cleanup(func() {
		ok(h.t, web.Close())
		if err := <-done; err != http.ErrServerClosed { //nolint:errorlint // exactly this
			h.t.Errorf("serve: %v", err)
		}
	})
}

// client returns a generated client with a key; every exchange is held against
// openapi.yaml.
func (h *harness) client(key string) *client.ClientWithResponses {
	h.t.Helper()
	c, err := client.NewClientWithResponses(h.url,
		client.WithHTTPClient(&http.Client{Transport: h.contract}), withKey(key))
	ok(h.t, err)
	return c
}

func withKey(key string) client.ClientOption {
	return client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		if key != "" {
			r.Header.Set("x-api-key", key)
		}
		return nil
	})
}

// create makes a domain for a user and returns its details.
func (h *harness) create(name, user string) client.DomainDetails {
	h.t.Helper()
	r, err := h.client(adminKey).CreateDomainWithResponse(h.t.Context(), client.CreateDomainRequest{Domain: name, UserID: user})
	ok(h.t, err)
	if r.JSON201 == nil {
		h.t.Fatalf("create %s: %s %s", name, r.Status(), r.Body)
	}
	return r.JSON201.Domain
}

// do sends one request with the admin key and returns the answer with its body.
func (h *harness) do(method, path, body string, headers ...string) (*http.Response, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	ok(h.t, err)
	r.Header.Set("X-Api-Key", adminKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header[http.CanonicalHeaderKey(headers[i])] = []string{headers[i+1]}
	}
	resp, err := http.DefaultClient.Do(r)
	ok(h.t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	ok(h.t, err)
	return resp, string(b)
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

// buffer is a bytes.Buffer for many writers.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
