package inbound

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/domaind/domaind/store"
)

// plainText is what dots reads, the slow way: all of it at once.
func plainText(wire []byte) (text []byte, ended bool) {
	whole := append([]byte("\r\n"), wire...)
	end := bytes.Index(whole, []byte("\r\n.\r\n"))
	if ended = end >= 0; ended {
		whole = whole[:end+2]
	}
	return bytes.ReplaceAll(whole, []byte("\r\n."), []byte("\r\n"))[2:], ended
}

func FuzzDots(f *testing.F) {
	for _, s := range []string{
		".\r\n", "a\r\n.\r\n", "a\r\r\n.\r\n", "a\r\n..b\r\n.\r\n", "a\n.\r\nb\r\n.\r\n", "a\r\n.\rb\r\n.\r\n", "a\r\n.\r\r\n.\r\n",
		"a\r\n.\n.\r\n\r\n.\r\nMAIL", "0123456789abcde\r\n.\r\n", "0123456789abcdef\r\n.0\r\n.\r\n", "a\r\n.", "\r\n...\r\n.\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		want, ended := plainText(wire)
		for _, in := range []io.Reader{bytes.NewReader(wire), iotest.OneByteReader(bytes.NewReader(wire))} {
			d := &dots{in: bufio.NewReaderSize(in, 16)}
			got, err := io.ReadAll(struct{ io.Reader }{d})
			if ended != (err == nil) || !ended && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%q: ended %t, %v", wire, ended, err)
			}
			if ended && !bytes.Equal(got, want) {
				t.Fatalf("%q: %q, want %q", wire, got, want)
			}
		}
	})
}

func TestLongLines(t *testing.T) {
	for _, n := range []int{15, 16, 17, 40} {
		d := &dots{in: bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", n)+"\r\n.\r\nNOOP\r\n"), 16), limit: 42}
		got, err := io.ReadAll(d)
		if err != nil || len(got) != n+2 {
			t.Errorf("%d octets: %d, %v", n, len(got), err)
		}
	}
	d := &dots{in: bufio.NewReaderSize(strings.NewReader("a\r\n"+strings.Repeat("x", 41)+"\r\n.\r\nNOOP\r\n"), 16), limit: 42}
	if _, err := io.ReadAll(d); !errors.Is(err, smtp.ErrTooLongLine) {
		t.Error(err)
	}
	if err := d.discard(); err != nil {
		t.Error(err)
	}
	if rest, _ := io.ReadAll(d.in); string(rest) != "NOOP\r\n" {
		t.Errorf("%q is left", rest)
	}
}

func TestCommandRewrites(t *testing.T) {
	for line, want := range map[string]string{
		"TO:<Postmaster>":                  "RCPT TO:<postmaster@mx.example.com>\r\n",
		"to:<POSTMASTER> NOTIFY=NEVER":     "RCPT TO:<postmaster@mx.example.com> NOTIFY=NEVER\r\n",
		" TO: <postmaster>":                "RCPT TO:<postmaster@mx.example.com>\r\n",
		"TO:<postmaster@customer.example>": "as it was", "TO:<postmasters>": "as it was", "TO:": "as it was", "": "as it was",
	} {
		if got := string(withPostmaster([]byte("as it was"), line, "mx.example.com")); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// sized is a message of just so many octets.
func sized(n int) string {
	text := letter(n - 200)
	return text + strings.Repeat("x", n-len(text)-2) + "\r\n"
}

// The size that is announced is the one that is taken, and not an octet more.
func TestSizeLimit(t *testing.T) {
	const limit = 20_000
	w := newWorld(t, func(c *Config) { c.MaxBytes = limit })
	w.active("u1", "customer.example")
	for _, c := range []struct{ name, mail, data, want string }{
		{"announced", "", "", ""},
		{"MAIL", fmt.Sprintf(" SIZE=%d", limit+1), "", "552 5.3.4"},
		{"DATA", fmt.Sprintf(" SIZE=%d", limit), sized(limit), "250 2.0.0"},
		{"DATA and one", "", sized(limit + 1), "552 5.3.4"},
		{"dots do not count", "", strings.Repeat("..\r\n", limit/3) + "x\r\n", "552 5.3.4"},
		{"stuffed to the limit", "", strings.Repeat("..\r\n", limit/3-1) + "x\r\n", "250 2.0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := w.dial()
			d.tb = t
			d.expect("220 ")
			if got := d.say("EHLO client.example", "250 "); !strings.Contains(got, fmt.Sprintf("\nSIZE %d\n", limit)) {
				t.Error(got)
			}
			first := "250 "
			if c.data == "" && c.want != "" {
				first = c.want
			}
			d.say("MAIL FROM:<"+sender+">"+c.mail, first)
			if c.data == "" {
				return
			}
			d.say("RCPT TO:<bob@customer.example>", "250 ")
			d.say("DATA", "354 ")
			d.write(c.data + ".\r\n")
			d.expect(c.want)
			d.say("NOOP", "250 ") // nothing of the text was taken for commands
		})
	}
}

func TestPostmaster(t *testing.T) {
	for _, c := range []struct{ to, want, none string }{
		{"<Postmaster>", "250 ", "550 5.1.1"},
		{"<POSTMASTER>", "250 ", "550 5.1.1"},
		{"<postmaster@MX.Example.com>", "250 ", "550 5.1.1"},
		{"<PostMaster@other.example>", "250 ", "250 "},
		{"<postmaster@stranger.example>", "550 5.1.2", "550 5.1.2"},
		{"<bob@mx.example.com>", "550 5.1.2", "550 5.1.2"},
	} {
		for address, want := range map[string]string{"ops+mx@customer.example": c.want, "": c.none} {
			t.Run(c.to+address, func(t *testing.T) {
				w := newWorld(t, func(cfg *Config) { cfg.Postmaster = address })
				w.active("u1", "customer.example")
				w.active("u1", "other.example")
				d := w.dial()
				d.expect("220 ")
				d.say("HELO client.example", "250 ")
				d.say("MAIL FROM:<>", "250 ")
				d.say("RCPT TO:"+c.to, want)
				if want != "250 " || strings.Contains(c.to, "other") {
					return
				}
				d.say("DATA", "354 ")
				d.write(letter(100) + ".\r\n")
				d.expect("250 ")
				if got := w.delivery("u1", "customer.example"); got.RcptTo != address {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

// secured starts TLS on a session that has greeted.
func (t *talk) secured(config *tls.Config) {
	t.tb.Helper()
	t.say("STARTTLS", "220 2.0.0")
	conn := tls.Client(t.conn, config)
	if err := conn.HandshakeContext(context.Background()); err != nil {
		t.tb.Fatal(err)
	}
	t.conn, t.r = conn, textproto.NewReader(bufio.NewReader(conn))
}

func TestStartTLSForgets(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	w := newWorld(t, func(c *Config) {
		c.TLS, c.Postmaster = &tls.Config{Certificates: cert.TLS.Certificates}, "ops@customer.example"
	})
	w.active("u1", "customer.example")
	trust := &tls.Config{InsecureSkipVerify: true}
	d := w.dial()
	d.expect("220 ")
	if got := d.say("EHLO before.example", "250 "); !strings.Contains(got, "\nSTARTTLS\n") {
		t.Error(got)
	}
	d.say("MAIL FROM:<before@sender.example>", "250 ")
	d.say("RCPT TO:<before@customer.example>", "250 ")
	d.say("STARTTLS now", "501 5.5.4")
	d.secured(trust)
	d.say("RCPT TO:<bob@customer.example>", "503 5.5.1")
	d.say("EHLO", "501 ") // no name: it is not forgotten yet
	d.say("NOOP", "503 5.5.1")
	d.say("MAIL FROM:<"+sender+">", "503 5.5.1")
	if got := d.say("EHLO after.example", "250 "); strings.Contains(got, "STARTTLS") {
		t.Error("offered again:", got)
	}
	d.say("STARTTLS", "503 5.5.1")
	d.say("DATA", "502 5.5.1") // the envelope is gone
	d.say("MAIL FROM:<"+sender+">", "250 ")
	d.say("RCPT TO:<Postmaster>", "250 ")
	d.say("DATA", "354 ")
	d.write(letter(100_000) + ".\r\n")
	d.expect("250 2.0.0")
	list, _, err := w.db.Messages(context.Background(), tenant("u1"), "customer.example", 0, "")
	if err != nil || len(list) != 1 || list[0].Helo != "after.example" || list[0].TLS != "TLS 1.3" ||
		list[0].Deliveries[0].RcptTo != "ops@customer.example" {
		t.Errorf("%+v %v", list, err)
	}
}

// What is sent ahead of the handshake is not taken for said under TLS.
func TestStartTLSDropsWhatCameAhead(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	w := newWorld(t, func(c *Config) { c.TLS = &tls.Config{Certificates: cert.TLS.Certificates} })
	d := w.dial()
	d.expect("220 ")
	d.say("EHLO client.example", "250 ")
	d.secured(&tls.Config{InsecureSkipVerify: true})
	d.say("EHLO client.example", "250 ")

	d = w.dial()
	d.expect("220 ")
	d.say("STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<evil@sender.example>", "220 ")
	conn := tls.Client(d.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.conn, d.r = conn, textproto.NewReader(bufio.NewReader(conn))
	d.say("RCPT TO:<bob@customer.example>", "503 5.5.1") // no EHLO, no MAIL
}

// Silence and the end of the service are answered under TLS as in the clear.
func TestTimeoutsUnderTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	w := newWorld(t, func(c *Config) {
		c.TLS, c.Idle = &tls.Config{Certificates: cert.TLS.Certificates}, 500*time.Millisecond
	})
	w.active("u1", "customer.example")
	secured := func() *talk {
		d := w.dial()
		d.expect("220 ")
		d.secured(&tls.Config{InsecureSkipVerify: true})
		d.say("EHLO client.example", "250 ")
		return d
	}
	d := secured()
	d.say("MAIL FROM:<"+sender+">", "250 ")
	d.say("RCPT TO:<bob@customer.example>", "250 ")
	d.say("DATA", "354 ")
	d.write("Subject: x\r\n\r\nMAIL FROM:<")
	d.expect("451 4.4.2")
	d.expect("421 ")
	idle := secured()
	done := make(chan error, 1)
	go func() { done <- w.Shutdown(context.Background()) }()
	idle.expect("421 ")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(w.deliveries("u1", "customer.example")); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestWithoutTLS(t *testing.T) {
	d := newWorld(t).dial()
	d.expect("220 ")
	if got := d.say("EHLO client.example", "250 "); strings.Contains(got, "STARTTLS") {
		t.Error(got)
	}
	d.say("STARTTLS", "502 5.5.1")
	d.say("NOOP", "250 ")
}

func TestAcceptedIsLogged(t *testing.T) {
	var b bytes.Buffer
	w := newWorld(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&b, nil)) })
	w.active("u1", "customer.example")
	w.active("u2", "other.example")
	w.route("u2", "other.example", store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: "https://hook.example/"})
	d := w.dial()
	d.ready("bob@customer.example", "eve@customer.example", "bob@other.example")
	text := letter(1000)
	d.write(text + ".\r\n")
	id := strings.TrimPrefix(d.expect("250 2.0.0 queued as "), "250 2.0.0 queued as ")
	_ = w.Close()
	line := b.String()
	for _, want := range []string{
		"level=INFO", `msg="message accepted"`, "message=" + id, "session=", fmt.Sprintf("bytes=%d", len(text)), "recipients=3",
		"modes=store,webhook",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "@") || strings.Contains(line, ".example") {
		t.Error("an address or a name is logged:", line)
	}
}
