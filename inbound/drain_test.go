package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"testing"
	"time"
)

func TestDrain(t *testing.T) {
	w := newWorld(t)
	w.active("u1", "customer.example")
	busy, idle := w.dial(), w.dial()
	idle.expect("220 ")
	idle.say("EHLO client.example", "250 ")
	busy.ready("bob@customer.example")
	busy.write("Subject: last\r\n\r\n")
	done := make(chan error, 1)
	go func() { done <- w.Shutdown(context.Background()) }()
	idle.expect("421 ")
	busy.write("the end\r\n.\r\n")
	busy.expect("250 2.0.0 queued")
	busy.expect("421 ")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(w.deliveries("u1", "customer.example")); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestShutdownByForce(t *testing.T) {
	w := newWorld(t)
	w.active("u1", "customer.example")
	busy := w.dial()
	busy.ready("bob@customer.example")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := w.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	_, err := io.Copy(io.Discard, busy.conn)
	if errors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the connection is open still:", err)
	}
}

func TestStartTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	w := newWorld(t, func(c *Config) { c.TLS = &tls.Config{Certificates: cert.TLS.Certificates} })
	w.active("u1", "customer.example")
	c, err := smtp.Dial(w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Mail(sender), c.Rcpt("bob@customer.example")); err != nil {
		t.Fatal(err)
	}
	data, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(data, letter(200_000))
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	_ = c.Quit()
	list, _, err := w.db.Messages(context.Background(), tenant("u1"), "customer.example", 0, "")
	if err != nil || len(list) != 1 || list[0].TLS != "TLS 1.3" {
		t.Errorf("%+v %v", list, err)
	}
}
