package inbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/smtp"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/store"
	"github.com/domaind/domaind/store/storetest"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	code := storetest.Run(m, "")
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// clock is moved by the test.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) forward(d time.Duration) { c.ns.Add(int64(d)) }

// world is a receiver on a real database, a real DNS server, and a clock that
// the test moves.
type world struct {
	*Server
	tb    testing.TB
	db    *store.Store
	clock *clock
	dns   *dnstest.Server
	addr  string

	mu      sync.Mutex
	refused map[string]int
	results map[string]int
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

func fakeKeys() func(context.Context) (dkim.Key, error) {
	var n atomic.Int64
	return func(context.Context) (dkim.Key, error) {
		i := n.Add(1)
		return dkim.Key{Selector: fmt.Sprintf("s%d", i), Public: fmt.Sprintf("PUBLIC%d", i), Private: []byte("private")}, nil
	}
}

func openStore(tb testing.TB, dir string, now func() time.Time) *store.Store {
	tb.Helper()
	database, key := storetest.New(tb, dir)
	db, err := store.Open(context.Background(), store.Config{
		Database: database, MasterKeyFile: key, NewKey: fakeKeys(), Now: now, SendEvents: true,
		Service: dnscheck.Service{
			MXHost: "mx.example.com", MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;", DMARCRequired: true,
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func newWorld(tb testing.TB, change ...func(*Config)) *world {
	tb.Helper()
	w := &world{tb: tb, clock: &clock{}, refused: map[string]int{}, results: map[string]int{}}
	w.clock.ns.Store(time.Now().Truncate(time.Second).UnixNano())
	w.db = openStore(tb, tb.TempDir(), w.clock.now)
	tb.Cleanup(func() { _ = w.db.Close() })
	c := Config{
		Store: w.db, Hostname: "mx.example.com", AllowPrivate: loopback(), PublicURL: "https://api.example.com",
		Resolver: w.startDNS(), Now: w.clock.now, Rand: func() float64 { return 0.5 },
		Log: slog.New(slog.DiscardHandler), Idle: 5 * time.Second,
		OnRefuse: func(reason string) { w.count(w.refused, reason) },
		OnDelivery: func(mode store.ForwardMode, result string) {
			w.count(w.results, string(mode)+" "+result)
		},
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if w.Server, err = New(context.Background(), c); err != nil {
		tb.Fatal(err)
	}
	l := listen(tb)
	w.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- w.Serve(l) }()
	tb.Cleanup(func() {
		_ = w.Close()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return w
}

func (w *world) startDNS() resolve.Resolver {
	w.tb.Helper()
	var err error
	if w.dns, err = dnstest.Start(); err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(w.dns.Close)
	client, err := resolve.NewClient(resolve.Config{Servers: []netip.AddrPort{w.dns.Addr()}, Timeout: time.Second})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { _ = client.Close() })
	return client
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func (w *world) count(m map[string]int, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m[key]++
}

func tenant(user string) store.Tenant { return store.Tenant{UserID: user, Actor: "key:test"} }

// pending makes a domain, active one that takes mail.
func (w *world) pending(user, name string) {
	w.tb.Helper()
	_, _, err := w.db.CreateDomain(context.Background(), tenant(user), store.NewDomain{Name: name, Unicode: name})
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) active(user, name string) {
	w.tb.Helper()
	w.pending(user, name)
	activate(w.tb, w.db, user, name)
}

// fail makes an active domain one whose records are wrong.
func (w *world) fail(user, name string) {
	w.tb.Helper()
	ctx := context.Background()
	d, err := w.db.Domain(ctx, tenant(user), name)
	for _, r := range d.Records {
		if err == nil {
			d, err = w.db.MarkRecord(ctx, tenant(user), name, store.Mark{RecordID: r.ID, Status: store.RecordStatusFailed})
		}
	}
	if err != nil || d.Domain.Status != store.DomainStatusFailed {
		w.tb.Fatal(d.Domain.Status, err)
	}
}

func activate(tb testing.TB, db *store.Store, user, name string) {
	tb.Helper()
	ctx := context.Background()
	d, err := db.Domain(ctx, tenant(user), name)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range d.Records {
		d, err = db.MarkRecord(ctx, tenant(user), name, store.Mark{RecordID: r.ID, Status: store.RecordStatusVerified})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if d.Domain.Status != store.DomainStatusActive {
		tb.Fatalf("%s is %s", name, d.Domain.Status)
	}
}

func (w *world) route(user, name string, p store.PutRoute) store.Route {
	w.tb.Helper()
	d, err := w.db.PutRoute(context.Background(), tenant(user), name, p)
	if err != nil {
		w.tb.Fatal(err)
	}
	return d.Route
}

const sender = "ann@sender.example"

// letter is a plain message of about n octets.
func letter(n int) string {
	var b strings.Builder
	b.WriteString("From: Ann <ann@sender.example>\r\nTo: bob@customer.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
		"Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-Id: <1@sender.example>\r\n\r\n")
	for b.Len() < n {
		b.WriteString("The quick brown fox jumps over the lazy dog, again and again and again.\r\n")
	}
	return b.String()
}

// send delivers a message by the standard library's client.
func (w *world) send(text string, to ...string) {
	w.tb.Helper()
	if err := smtp.SendMail(w.addr, nil, sender, to, []byte(text)); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) once() int {
	w.tb.Helper()
	n, err := w.RunOnce(context.Background())
	if err != nil {
		w.tb.Fatal(err)
	}
	return n
}

// next moves the clock to the next delivery and works on it; false: none waits.
func (w *world) next() bool {
	w.tb.Helper()
	at, err := w.db.NextDelivery(context.Background())
	if err != nil {
		w.tb.Fatal(err)
	}
	if at.IsZero() {
		return false
	}
	if d := at.Sub(w.clock.now()); d > 0 {
		w.clock.forward(d)
	}
	w.once()
	return true
}

// while goes from delivery to delivery as long as more says so, or to the end.
func (w *world) while(more func() bool) {
	w.tb.Helper()
	for more() {
		if !w.next() {
			return
		}
	}
}

func (w *world) deliveries(user, name string) []store.Delivery {
	w.tb.Helper()
	list, _, err := w.db.Deliveries(context.Background(), tenant(user), name, store.DeliveryFilter{Limit: 100})
	if err != nil {
		w.tb.Fatal(err)
	}
	return list
}

// delivery returns the only one of a domain.
func (w *world) delivery(user, name string) store.Delivery {
	w.tb.Helper()
	list := w.deliveries(user, name)
	if len(list) != 1 {
		w.tb.Fatalf("%d deliveries of %s, want 1", len(list), name)
	}
	return list[0]
}

func (w *world) rawOf(user, name, id string) []byte {
	w.tb.Helper()
	r, n, err := w.db.MessageRaw(context.Background(), tenant(user), name, id)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != n {
		w.tb.Fatalf("%d octets of %d: %v", len(b), n, err)
	}
	return b
}

// hook is a webhook that answers as it is told and keeps what came.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	got    []call
}

type call struct {
	header http.Header
	body   []byte
}

func newHook(tb testing.TB) *hook {
	tb.Helper()
	e := &hook{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(b.Bytes()))
		e.mu.Lock()
		e.got = append(e.got, call{header: r.Header.Clone(), body: b.Bytes()})
		answer := e.answer
		e.mu.Unlock()
		answer(w, r)
	}))
	tb.Cleanup(e.Close)
	return e
}

func (e *hook) answers(f http.HandlerFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = f
}

func (e *hook) status(code int) {
	e.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func (e *hook) calls() []call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]call(nil), e.got...)
}
