package inbound

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/domaind/domaind/store"
)

// nextHop is a real SMTP server that answers as it is told.
type nextHop struct {
	addr string
	mu   sync.Mutex
	fail *gosmtp.SMTPError
	got  []passed
	user string // who authenticated last
}

type passed struct {
	from, to string
	data     []byte
	tls      bool
}

type hopSession struct {
	h    *nextHop
	conn *gosmtp.Conn
	mail passed
}

func startHop(tb testing.TB, config *tls.Config) *nextHop {
	tb.Helper()
	h := &nextHop{}
	s := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		return &hopSession{h: h, conn: c}, nil
	}))
	s.TLSConfig = config
	l := listen(tb)
	h.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() { _ = s.Close(); <-done })
	return h
}

func (x *hopSession) Reset()        {}
func (x *hopSession) Logout() error { return nil }
func (x *hopSession) Mail(from string, _ *gosmtp.MailOptions) error {
	_, secure := x.conn.TLSConnectionState()
	x.mail = passed{from: from, tls: secure}
	return nil
}

func (x *hopSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	x.mail.to = to
	if x.h.fail != nil {
		return x.h.fail
	}
	return nil
}

func (x *hopSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	x.mail.data = b
	x.h.got = append(x.h.got, x.mail)
	return nil
}

func (x *hopSession) AuthMechanisms() []string { return []string{"PLAIN"} }

func (x *hopSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		x.h.mu.Lock()
		defer x.h.mu.Unlock()
		if password != "correct" {
			return errors.New("no")
		}
		x.h.user = user
		return nil
	}), nil
}

func (h *nextHop) answers(e *gosmtp.SMTPError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = e
}

func (h *nextHop) mails() []passed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]passed(nil), h.got...)
}

// forwarding is a domain whose mail is forwarded by MX to a hop; SPF of the
// sender passes for loopback.
func forwarding(t *testing.T, change ...func(*Config)) (*world, *nextHop) {
	t.Helper()
	h := startHop(t, nil)
	_, port, _ := net.SplitHostPort(h.addr)
	n, _ := strconv.Atoi(port)
	w := newWorld(t, append([]func(*Config){func(c *Config) { c.MXPort = n }}, change...)...)
	w.active("u1", "customer.example")
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeForwardEmail, ForwardTo: "carol@target.example"})
	w.publish(
		`sender.example. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"`,
		`target.example. 60 IN MX 10 mail.target.example.`,
		`mail.target.example. 60 IN A 127.0.0.1`,
		`sender.example. 60 IN MX 10 mail.target.example.`,
	)
	return w, h
}

func (w *world) publish(lines ...string) {
	w.tb.Helper()
	if err := w.dns.Set(lines...); err != nil {
		w.tb.Fatal(err)
	}
}

func TestForwardKeepsTheOctets(t *testing.T) {
	w, h := forwarding(t)
	text := signed(t, w, letter(3000)+".leading dot\r\n..two\r\n")
	w.send(text, "bob@customer.example")
	w.once()
	d, got := w.delivery("u1", "customer.example"), h.mails()
	if d.State != store.DeliveryStateDelivered || len(got) != 1 {
		t.Fatalf("%+v %+v %d", d, d.Last, len(got))
	}
	m := got[0]
	if m.to != "carol@target.example" || m.from != w.returnPath(d.ID) || len(strings.Split(m.from, "@")[0]) > 64 {
		t.Errorf("from %s to %s", m.from, m.to)
	}
	if !bytes.HasSuffix(m.data, []byte(text)) {
		t.Errorf("the octets changed:\n%s", m.data)
	}
	head := string(m.data[:len(m.data)-len(text)])
	for _, field := range []string{"Delivered-To: bob@customer.example\r\n", "X-Forwarded-By: domaind mx.example.com\r\n",
		"Authentication-Results: mx.example.com;", "spf=pass", "dkim=pass", "Received: from "} {
		if !strings.Contains(head, field) {
			t.Errorf("no %q in\n%s", field, head)
		}
	}
	v, err := dkim.VerifyWithOptions(bytes.NewReader(m.data), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		return lookups{w.c.Resolver}.LookupTXT(context.Background(), name)
	}})
	if err != nil || len(v) != 1 || v[0].Err != nil {
		t.Errorf("the signature broke: %+v %v", v, err)
	}
}

// signed signs a message and publishes the key.
func signed(t *testing.T, w *world, text string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	p := base64.StdEncoding.EncodeToString(public)
	w.publish(`s1._domainkey.sender.example. 60 IN TXT "v=DKIM1; k=rsa; p=` + p[:200] + `" "` + p[200:] + `"`)
	var b bytes.Buffer
	err = dkim.Sign(&b, strings.NewReader(text), &dkim.SignOptions{
		Domain: "sender.example", Selector: "s1", Signer: key, Hash: 5, HeaderKeys: []string{"From", "Subject", "To"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestForwardGates(t *testing.T) {
	plain := letter(500)
	for _, c := range []struct {
		name, text string
		dns        []string
		hold       string
	}{
		{name: "spf", text: plain},
		{name: "nothing passes", text: plain, dns: []string{`sender.example. 60 IN TXT "v=spf1 -all"`}, hold: store.HoldUnauthenticated},
		{
			name: "spf alone under reject", text: plain,
			dns: []string{`_dmarc.sender.example. 60 IN TXT "v=DMARC1; p=reject"`}, hold: store.HoldDMARCWouldBreak,
		},
		{name: "spf alone under none", text: plain, dns: []string{`_dmarc.sender.example. 60 IN TXT "v=DMARC1; p=none"`}},
		{name: "our mark", text: "X-Forwarded-By: domaind mx.example.com\r\n" + plain, hold: store.HoldLoop},
		{name: "another's mark", text: "X-Forwarded-By: domaind mx.other.example\r\n" + plain},
		{name: "delivered here", text: "Delivered-To: BOB@customer.example\r\n" + plain, hold: store.HoldLoop},
		{name: "delivered elsewhere", text: "Delivered-To: ann@customer.example\r\n" + plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, h := forwarding(t)
			w.publish(c.dns...)
			w.send(c.text, "bob@customer.example")
			w.once()
			d := w.delivery("u1", "customer.example")
			if d.Hold != c.hold || (d.State == store.DeliveryStateHeld) != (c.hold != "") || (len(h.mails()) == 1) != (c.hold == "") {
				t.Fatalf("%+v %+v", d, d.Last)
			}
			if c.hold == "" || c.hold == store.HoldLoop {
				return
			}
			if _, err := w.db.RetryDelivery(context.Background(), tenant("u1"), "customer.example", d.ID); err != nil {
				t.Fatal(err)
			}
			w.once()
			if len(h.mails()) != 1 {
				t.Error("a person's retry did not pass")
			}
		})
	}
}

func TestForwardSignedUnderReject(t *testing.T) {
	w, h := forwarding(t)
	w.publish(`_dmarc.sender.example. 60 IN TXT "v=DMARC1; p=reject"`)
	w.send(signed(t, w, letter(500)), "bob@customer.example")
	w.once()
	if len(h.mails()) != 1 {
		t.Errorf("%+v", w.delivery("u1", "customer.example"))
	}
}

func TestForwardTriesForFiveDays(t *testing.T) {
	w, h := forwarding(t)
	h.answers(&gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 7, 1}, Message: "greylisted"})
	w.send(letter(500), "bob@customer.example")
	began := w.clock.now()
	w.while(func() bool { return w.delivery("u1", "customer.example").State == store.DeliveryStateQueued })
	d := w.delivery("u1", "customer.example")
	if age := w.clock.now().Sub(began).Hours(); d.State != store.DeliveryStateFailed || age < 120 || age > 121 || d.Tries < 30 {
		t.Fatalf("%+v after %.1f h", d, age)
	}
	if d.Last.Status != 451 || !strings.Contains(d.Last.Answer, "greylisted") {
		t.Errorf("%+v", d.Last)
	}
	h.answers(nil)
	w.next()
	got := h.mails()
	if len(got) != 1 || got[0].to != sender || got[0].from != "" || !strings.Contains(string(got[0].data), "Final-Recipient: rfc822; bob@customer.example") {
		t.Fatalf("no report: %+v", got)
	}
	events, _, err := w.db.Events(context.Background(), tenant("u1"), "customer.example", 1, "")
	if err != nil || events[0].Type != store.EventDeliveryFailed {
		t.Error(events, err)
	}
}

func TestForwardRefusedAndBounced(t *testing.T) {
	w, h := forwarding(t)
	h.answers(&gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"})
	w.send(letter(500), "bob@customer.example")
	w.clock.forward(0)
	w.once()
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateFailed || d.Last.Status != 550 || d.Tries != 1 {
		t.Fatalf("%+v %+v", d, d.Last)
	}
}

func TestForwardNeverSmuggles(t *testing.T) {
	w, h := forwarding(t)
	d := w.dial()
	d.ready("bob@customer.example")
	d.write("From: ann@sender.example\r\nSubject: x\r\n\r\nhi\n.\nMAIL FROM:<evil@sender.example>\r.\r\nbye\r\n.\r\n")
	d.expect("250 ")
	w.once()
	got := h.mails()
	if len(got) != 1 || !bytes.HasSuffix(got[0].data, []byte("hi\r\n.\r\nMAIL FROM:<evil@sender.example>\r\n.\r\nbye\r\n")) || hasBare(got[0].data) {
		t.Errorf("%+v", got)
	}
}

func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a\r\n": "a\r\n", "a\nb\rc": "a\r\nb\r\nc", "a\r\r\nb\r\r\r\n\r\r\n": "a\r\nb\r\n\r\n", "\n\r": "\r\n\r\n", "a\r\r": "a\r\n\r\n",
	} {
		got, err := io.ReadAll(newCanonical([]byte(text)))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, want %q (%v)", text, got, want, err)
		}
	}
}
