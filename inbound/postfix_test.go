package inbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/domaind/domaind/store"
)

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	end := time.After(20 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Postfix is the sender, the smarthost, and who reports that the target refused
// what it had taken.
func TestPostfix(t *testing.T) {
	hop, back := startHop(t, nil), startHop(t, nil)
	w := newWorld(t, func(c *Config) { c.Relay.Mode = RelaySmarthost })
	p := startPostfix(t, postfixOptions{routes: map[string]string{
		"customer.example": over(w.addr), "mx.example.com": over(w.addr), "target.example": over(hop.addr),
		"sender.example": over(back.addr),
	}})
	w.c.Relay.Addr = p.addr
	w.publish(`sender.example. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"`)
	w.active("u1", "customer.example")
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeForwardEmail, ForwardTo: "carol@target.example"})
	text := signed(t, w, letter(100_000)+".dot\r\n")
	p.send(t, text, "bob@customer.example")
	until(t, "the message", func() bool { return len(w.deliveries("u1", "customer.example")) == 1 })
	w.once()
	until(t, "the target to have it", func() bool { return len(hop.mails()) == 1 })
	d, got := w.delivery("u1", "customer.example"), hop.mails()[0]
	if d.State != store.DeliveryStateDelivered || got.from != w.returnPath(d.ID) || !strings.HasSuffix(string(got.data), text) {
		t.Fatalf("%+v from %s, %d octets end with %d", d, got.from, len(got.data), len(text))
	}
	hop.answers(&gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"})
	p.send(t, letter(500), "ann@customer.example")
	until(t, "the second message", func() bool { return len(w.deliveries("u1", "customer.example")) == 2 })
	w.once()
	until(t, "its report", func() bool { w.once(); return len(back.mails()) == 1 })
	report := back.mails()[0]
	if report.from != "" || report.to != sender || !strings.Contains(string(report.data), "Action: failed") {
		t.Errorf("%+v", report)
	}
	for _, d := range w.deliveries("u1", "customer.example") {
		if want := d.RcptTo == "ann@customer.example"; (d.State == store.DeliveryStateFailed) != want {
			t.Errorf("%+v", d)
		}
	}
}

// certificate is one for 127.0.0.1, whom it is trusted by, and its files.
func certificate(t *testing.T) (pair tls.Certificate, roots *x509.CertPool, file, key string) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	pair, roots = web.TLS.Certificates[0], x509.NewCertPool()
	roots.AddCert(web.Certificate())
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		file: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pair, roots, file, key
}

// Postfix sends by SMTP under TLS, and by LMTP on a unix socket; what is too
// large it returns without having sent it, for the size was announced.
func TestPostfixSends(t *testing.T) {
	const limit = 20_000
	pair, _, _, _ := certificate(t)
	back := startHop(t, nil)
	w := newWorld(t, func(c *Config) {
		c.TLS, c.MaxBytes = &tls.Config{Certificates: []tls.Certificate{pair}}, limit
	})
	socket := w.lmtp1()
	p := startPostfix(t, postfixOptions{
		routes: map[string]string{
			"customer.example": over(w.addr), "local.example": "lmtp:unix:" + socket, "sender.example": over(back.addr),
		},
		settings: []string{"smtp_tls_security_level = encrypt"},
	})
	text := letter(10_000) + ".dot\r\n\r\n..\r\n"
	for domain, version := range map[string]string{"customer.example": "TLS 1.3", "local.example": ""} {
		w.active("u1", domain)
		p.send(t, text, "bob@"+domain)
		until(t, "the message", func() bool { return len(w.deliveries("u1", domain)) == 1 })
		list, _, err := w.db.Messages(context.Background(), tenant("u1"), domain, 0, "")
		if err != nil || len(list) != 1 || list[0].TLS != version || list[0].Helo != "postfix.example" {
			t.Fatalf("%+v %v", list, err)
		}
		if raw := w.rawOf("u1", domain, list[0].ID); !strings.HasSuffix(string(raw), text) {
			t.Errorf("%s: other octets", domain)
		}
	}
	p = startPostfix(t, postfixOptions{routes: map[string]string{
		"customer.example": over(w.addr), "sender.example": over(back.addr),
	}})
	p.send(t, letter(limit+1), "bob@customer.example")
	until(t, "the message that was too large", func() bool { return len(back.mails()) == 1 })
	if got := string(back.mails()[0].data); !strings.Contains(got, fmt.Sprintf("size limit %d of", limit)) {
		t.Error(got)
	}
}

// lmtp1 serves LMTP on a unix socket that everybody may use.
func (w *world) lmtp1() string {
	w.tb.Helper()
	dir, err := os.MkdirTemp("", "lmtp-") // t.TempDir is closed to Postfix
	if err != nil {
		w.tb.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket)
	if err != nil {
		w.tb.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil { //nolint:gosec // see above
			w.tb.Fatal(err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- w.ServeLMTP(l) }()
	w.tb.Cleanup(func() {
		_ = w.Close()
		if err := <-served; err != nil {
			w.tb.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	return socket
}

// saslServer answers Postfix's questions about passwords, as Dovecot does.
func saslServer(t *testing.T, user, password string) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	right := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = fmt.Fprint(conn, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n")
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					f := strings.Split(lines.Text(), "\t")
					if f[0] != "AUTH" {
						continue
					}
					answer := "FAIL"
					if f[len(f)-1] == "resp="+right {
						answer = "OK"
					}
					_, _ = fmt.Fprintf(conn, "%s\t%s\tuser=%s\n", answer, f[1], user)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// Postfix is the smarthost, with STARTTLS and AUTH as production has them.
func TestPostfixSmarthost(t *testing.T) {
	_, roots, cert, key := certificate(t)
	target := startHop(t, nil)
	p := startPostfix(t, postfixOptions{
		routes: map[string]string{"target.example": over(target.addr)},
		settings: []string{
			"smtpd_tls_security_level = may", "smtpd_tls_cert_file = " + cert, "smtpd_tls_key_file = " + key,
			"smtpd_tls_auth_only = yes", "smtpd_sasl_auth_enable = yes", "smtpd_sasl_type = dovecot",
			"smtpd_sasl_path = inet:" + saslServer(t, "dom@aind", "correct"),
			"smtpd_relay_restrictions = permit_sasl_authenticated, reject",
		},
	})
	for _, c := range []struct {
		relay string
		roots *x509.CertPool
		state store.DeliveryState
	}{
		{"smtp://dom%40aind:wrong@", roots, store.DeliveryStateQueued},
		{"smtp://dom%40aind:correct@", x509.NewCertPool(), store.DeliveryStateQueued},
		{"smtp://", roots, store.DeliveryStateFailed}, // 554: relay access denied
		{"smtp://dom%40aind:correct@", roots, store.DeliveryStateDelivered},
	} {
		t.Run(c.relay, func(t *testing.T) {
			w, _ := forwarding(t, func(cfg *Config) {
				relay, err := ParseRelay(c.relay + p.addr)
				if err != nil {
					t.Fatal(err)
				}
				cfg.Relay, cfg.Roots = relay, c.roots
			})
			w.send(letter(500), "bob@customer.example")
			w.once()
			if d := w.delivery("u1", "customer.example"); d.State != c.state {
				t.Fatalf("%+v %+v", d, d.Last)
			}
		})
	}
	until(t, "the target to have it", func() bool { return len(target.mails()) == 1 })
}

// smtp-source is the load that Postfix's own makers use.
func TestSMTPSource(t *testing.T) {
	const messages = 300
	source, err := exec.LookPath("smtp-source")
	if err != nil {
		if os.Getenv("DOMAIND_REQUIRE_SERVERS") != "" {
			t.Fatal("smtp-source is required here")
		}
		t.Skip("smtp-source is not installed")
	}
	w := newWorld(t)
	w.active("u1", "customer.example")
	for _, c := range []struct{ name, arg, addr string }{
		{"SMTP", "-d", w.addr}, {"a connection each", "-N", w.addr}, {"LMTP", "-L", "unix:" + w.lmtp1()},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.countAll(t)
			args := []string{c.arg, "-s", "20", "-m", fmt.Sprint(messages), "-l", "10240", "-f", sender, "-t", "bob@customer.example", c.addr}
			if out, err := exec.CommandContext(context.Background(), source, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := w.countAll(t) - before; n != messages {
				t.Errorf("%d messages of %d", n, messages)
			}
		})
	}
}

// countAll reads all pages of the list.
func (w *world) countAll(t *testing.T) int {
	t.Helper()
	n, next := 0, ""
	for {
		list, cursor, err := w.db.Messages(context.Background(), tenant("u1"), "customer.example", 100, next)
		if err != nil {
			t.Fatal(err)
		}
		if n, next = n+len(list), cursor; next == "" {
			return n
		}
	}
}
