package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"

	"github.com/domaind/domaind/inbound"
	"github.com/domaind/domaind/server"
	"github.com/domaind/domaind/store"
)

// letter is a message with a text and two attachments, one of them a page.
const letter = "From: Ann <ann@example.org>\r\nTo: inbox@customer.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
	"Date: Fri, 02 Jan 2026 03:10:00 +0000\r\nMessage-Id: <1@example.org>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello!\r\n" +
	"--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"../../e\u00fcvil.html\"\r\n\r\n<script>alert(1)</script>\r\n" +
	"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n"

// mailed is what arrived: ids of the message and of its only delivery.
type mailed struct{ message, delivery string }

// mail takes a message in for a domain, as the receiver does, by its route.
func (h *harness) mail(user, name, text string) mailed {
	h.t.Helper()
	ctx, t := h.t.Context(), store.Tenant{UserID: user}
	d, err := h.store.Domain(ctx, t, name)
	ok(h.t, err)
	body := h.store.NewBody()
	defer body.Close()
	_, err = io.WriteString(body, text)
	ok(h.t, err)
	id, err := h.store.AddMessage(ctx, store.NewMessage{
		Kind: store.MessageKindMail, MailFrom: "ann@example.org", Helo: "mail.example.org", RemoteIP: "192.0.2.1",
		Subject: "Grüße", From: "Ann <ann@example.org>",
		Recipients: []store.Recipient{{
			Address: "inbox@" + name, Domain: name, DomainID: d.Domain.ID, UserID: user, Mode: d.Route.Mode,
		}},
	}, body)
	ok(h.t, err)
	m, err := h.store.Message(ctx, t, name, id)
	ok(h.t, err)
	return mailed{id, m.Deliveries[0].ID}
}

// addMail gives the domain of a prefix a message, and names it.
func (h *harness) addMail(p placeholders, prefix, user string) {
	m := h.mail(user, p["{"+prefix+"domain}"], letter)
	p["{"+prefix+"message}"], p["{"+prefix+"delivery}"] = m.message, m.delivery
}

// receiver is the real one, for its deliveries.
func (h *harness) receiver(log *slog.Logger) *inbound.Server {
	h.t.Helper()
	s, err := inbound.New(h.t.Context(), inbound.Config{
		Store: h.store, Hostname: service.MXHost, Log: log, PublicURL: "https://api.example.com",
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	ok(h.t, err)
	h.t.Cleanup(func() { ok(h.t, s.Close()) })
	return s
}

// deliver makes all deliveries that are due.
func (h *harness) deliver() {
	h.t.Helper()
	_, err := h.inbound.RunOnce(h.t.Context())
	ok(h.t, err)
}

// hook is a webhook endpoint that keeps what it got.
type hook struct {
	url string

	mu     sync.Mutex
	status int
	calls  []hookCall
}

type hookCall struct {
	header http.Header
	body   []byte
}

func (h *harness) hook() *hook {
	k := &hook{status: http.StatusOK}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.calls = append(k.calls, hookCall{r.Header, body})
		w.WriteHeader(k.status)
		_, _ = fmt.Fprintf(w, "call %d", len(k.calls))
	}))
	h.t.Cleanup(srv.Close)
	k.url = srv.URL
	return k
}

func (k *hook) answer(status int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status = status
}

func (k *hook) all() []hookCall {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]hookCall(nil), k.calls...)
}

// private lets webhooks go to loopback.
func private(c *server.Config) {
	c.PrivateWebhooks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// wakes counts the wakes of the deliveries.
type wakes struct {
	mu sync.Mutex
	n  int
}

func (w *wakes) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
}

func (w *wakes) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// get fetches an address without a key, and returns the answer with its body.
func get(ctx context.Context, url string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return resp, b.String(), err
}

// path is where an address of the API leads on this server.
func (h *harness) path(link string) string {
	return h.url + strings.TrimPrefix(link, "https://api.example.com")
}
