package inbound

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/domaind/domaind/store"
)

func TestSmarthost(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Certificate())
	for _, c := range []struct {
		name, password string
		tls            bool
		state          store.DeliveryState
	}{
		{"right", "correct", true, store.DeliveryStateDelivered},
		{"wrong password", "wrong", true, store.DeliveryStateQueued},
		{"no TLS", "correct", false, store.DeliveryStateQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := &tls.Config{Certificates: cert.TLS.Certificates}
			if !c.tls {
				config = nil
			}
			hop := startHop(t, config)
			w, _ := forwarding(t, func(cfg *Config) {
				relay, err := ParseRelay("smtp://dom%40aind:" + c.password + "@" + hop.addr)
				if err != nil {
					t.Fatal(err)
				}
				cfg.Relay, cfg.Roots = relay, roots
			})
			w.send(letter(500), "bob@customer.example")
			w.once()
			d := w.delivery("u1", "customer.example")
			if d.State != c.state {
				t.Fatalf("%+v %+v", d, d.Last)
			}
			if c.state == store.DeliveryStateDelivered && (hop.user != "dom@aind" || !hop.mails()[0].tls) {
				t.Errorf("user %q %+v", hop.user, hop.mails())
			}
			if c.state != store.DeliveryStateDelivered && (hop.user != "" || len(hop.mails()) != 0) {
				t.Error("credentials or mail went out")
			}
		})
	}
}

// A next hop that talks without end is a failed try, and not the end of the
// memory.
func TestTalkativeHop(t *testing.T) {
	l := listen(t)
	defer l.Close()
	said := make(chan int, 1)
	go func() {
		c, err := l.Accept()
		n := 0
		for piece := bytes.Repeat([]byte("220-x"), 10_000); err == nil && n < 100<<20; n += len(piece) {
			_, err = c.Write(piece)
		}
		said <- n
	}()
	w := newWorld(t)
	conn, err := w.c.DialRelay(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := hop{s: w.Server, host: "mx.example.net"}.send(t.Context(), conn, mail{})
	if r.err == nil || r.permanent || !strings.Contains(r.err.Error(), "too much") {
		t.Errorf("%+v", r)
	}
	if n := <-said; n >= 100<<20 {
		t.Error("all was read")
	}
}

func TestParseRelay(t *testing.T) {
	for text, want := range map[string]string{
		"": "0 ", "direct": "0 ", "off": "2 ", "smtp://relay.example": "1 relay.example:587",
		"smtp://u:p@relay.example:25": "1 relay.example:25", "smtps://relay.example": "error", "relay.example": "error",
		"smtp://u@relay.example": "error", "smtp://relay.example:0": "error", "smtp://relay.example/x": "error", "smtp://:25": "error",
	} {
		r, err := ParseRelay(text)
		got := strconv.Itoa(int(r.Mode)) + " " + r.Addr
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if _, err := ParseRelay("smtp://u:hunter2@relay.example:x"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
