package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

// mailSettings start a service that answers for customer.example.
func mailSettings(t *testing.T, more ...string) []string {
	t.Helper()
	dns, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	return append(append(storetest.Settings(t, t.TempDir()),
		"DOMAIND_API_KEY="+labKey, "DOMAIND_MX_HOST=mx.mail.example", "DOMAIND_DKIM_POOL=1",
		"DOMAIND_DNS_SERVERS="+dns.Addr().String(), "DOMAIND_ALLOW_SPECIAL_USE=true",
		"DOMAIND_ALLOW_PRIVATE_WEBHOOKS=127.0.0.0/8"), more...)
}

const mailDomain = "customer.example"

// activate creates the domain and has an admin mark its records.
func (s *service) activate(t *testing.T) {
	t.Helper()
	for _, r := range must[client.DomainDetails](t)(s.create(t.Context(), mailDomain)).DNS {
		marked, err := s.MarkDNSWithResponse(t.Context(), mailDomain,
			client.MarkDNSRequest{UserID: labUser, ID: r.ID, Status: client.RecordStatusVerified})
		if err != nil || marked.JSON200 == nil {
			t.Fatalf("mark: %v %s", err, marked.Body)
		}
	}
}

// only returns the only delivery of the domain.
func (s *service) only(t *testing.T) client.Delivery {
	t.Helper()
	list, err := s.ListDeliveriesWithResponse(t.Context(), mailDomain, &client.ListDeliveriesParams{UserID: labUser})
	if err != nil || list.JSON200 == nil || len(list.JSON200.Deliveries) != 1 {
		t.Fatalf("deliveries: %v %s", err, list.Body)
	}
	return list.JSON200.Deliveries[0]
}

// TestMailOutlivesTheProcess takes a message while its endpoint is down, and
// delivers it from a later process that takes no mail itself.
func TestMailOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	settings := mailSettings(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := l.Addr().String()
	_ = l.Close()
	// More than a row takes, so that it lies in the spool.
	letter := "From: ann@sender.example\r\nSubject: Hello\r\n\r\n" + strings.Repeat("text\r\n", 20_000)

	t.Run("endpoint down", func(t *testing.T) {
		s := serve(t, append(settings, "DOMAIND_SMTP_LISTEN=127.0.0.1:0")...)
		s.activate(t)
		url := "http://" + endpoint + "/hook"
		routed, err := s.PutRouteWithResponse(t.Context(), mailDomain, nil, client.PutRouteRequest{
			UserID: labUser, ForwardMode: client.ForwardModeWebhookThenStore, WebhookURL: &url,
		})
		if err != nil || routed.JSON200 == nil {
			t.Fatalf("route: %v %s", err, routed.Body)
		}
		if err := smtp.SendMail(s.smtp, nil, "ann@sender.example", []string{"inbox@" + mailDomain}, []byte(letter)); err != nil {
			t.Fatal(err)
		}
		eventually(t, startWithin, "a try has failed", func() bool {
			d := s.only(t)
			return d.State == client.DeliveryStateQueued && d.LastAttempt != nil && d.LastAttempt.Error != nil
		})
		s.wantMetrics(t, "domaind_messages_accepted_total 1", "domaind_delivery_queue 1",
			`domaind_deliveries_total{mode="webhook_then_store",result="retry"} `)
	})

	t.Run("endpoint up, SMTP off", func(t *testing.T) {
		s := serve(t, settings...)
		if s.smtp != "off" {
			t.Errorf("SMTP is %s", s.smtp)
		}
		calls := make(chan string, 8)
		l, err := net.Listen("tcp", endpoint)
		if err != nil {
			t.Fatal(err)
		}
		web := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			calls <- r.Header.Get("webhook-id")
		})}
		go func() { _ = web.Serve(l) }()
		t.Cleanup(func() { _ = web.Close() })
		d := s.only(t)
		if r, err := s.RetryDeliveryWithResponse(t.Context(), mailDomain, d.ID, client.RetryDeliveryRequest{UserID: labUser}); err != nil || r.JSON202 == nil {
			t.Fatalf("retry: %v %s", err, r.Body)
		}
		eventually(t, startWithin, "it is delivered", func() bool { return s.only(t).State == client.DeliveryStateDelivered })
		if id := <-calls; id != d.ID {
			t.Errorf("webhook-id %s, want %s", id, d.ID)
		}
		user := labUser
		raw, err := s.GetMessageRawWithResponse(t.Context(), mailDomain, d.MessageID, &client.GetMessageRawParams{UserID: &user})
		if err != nil || !bytes.HasSuffix(raw.Body, []byte(letter)) {
			t.Errorf("raw: %v, %d octets", err, len(raw.Body))
		}
	})
}

func (s *service) wantMetrics(t *testing.T, lines ...string) {
	t.Helper()
	r, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !bytes.Contains(text, []byte(line)) {
			t.Errorf("the metrics lack %q", line)
		}
	}
}

// TestMailTLS offers STARTTLS, with a certificate that is renewed meanwhile.
func TestMailTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	s := serve(t, mailSettings(t, "DOMAIND_SMTP_LISTEN=127.0.0.1:0", "DOMAIND_SMTP_TLS_CERT="+cert, "DOMAIND_SMTP_TLS_KEY="+key,
		"DOMAIND_SMTP_MAX_BYTES=65536", "DOMAIND_RELAY=off")...)
	if n := serial(t, s.smtp); n != 1 {
		t.Errorf("serial number %d", n)
	}
	writeCertificate(t, cert, key, 2)
	if n := serial(t, s.smtp); n != 2 {
		t.Errorf("serial number %d after the renewal", n)
	}

	s.activate(t)
	to := []string{"inbox@" + mailDomain}
	err := smtp.SendMail("localhost"+s.smtp[strings.LastIndexByte(s.smtp, ':'):], nil, "ann@sender.example", to, make([]byte, 2000))
	if err == nil {
		t.Error("a self-signed certificate was taken")
	}
	c := dialTLS(t, s.smtp)
	if err := c.Mail("ann@sender.example"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to[0]); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(w, "Subject: x\r\n\r\n%s\r\n", strings.Repeat("text\r\n", 12_000))
	if err := w.Close(); err == nil || !strings.HasPrefix(err.Error(), "552") {
		t.Errorf("a message that is too large: %v", err)
	}
	email := "somebody@elsewhere.example"
	off, err := s.PutRouteWithResponse(t.Context(), mailDomain, nil, client.PutRouteRequest{
		UserID: labUser, ForwardMode: client.ForwardModeForwardEmail, ForwardToEmail: &email,
	})
	if err != nil || !bytes.Contains(off.Body, []byte("forwarding-not-configured")) {
		t.Errorf("a relay that is off: %v %s", err, off.Body)
	}
}

// dialTLS connects with STARTTLS, to whoever has the certificate.
func dialTLS(t *testing.T, address string) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	return c
}

func serial(t *testing.T, address string) int64 {
	t.Helper()
	state, ok := dialTLS(t, address).TLSConnectionState()
	if !ok {
		t.Fatal("no TLS")
	}
	return state.PeerCertificates[0].SerialNumber.Int64()
}

// writeCertificate makes a self-signed one, with its key.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"mx.mail.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDemo runs the whole journey, which leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	p := published{settings: []string{"TMPDIR=" + tmp}}
	out := p.domaind(t, "demo")
	for _, want := range []string{"domain active", "signature verified", "webhook delivered"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the demo does not say %q:\n%s", want, out)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("the demo leaves %v behind: %v", left, err)
	}
}
