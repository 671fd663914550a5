package inbound

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/store"
)

const (
	hello = "EHLO client.example\r\n"
	from  = "MAIL FROM:<" + sender + ">\r\n"
	to    = "RCPT TO:<bob@customer.example>\r\n"
	whole = from + to + "DATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n"
)

// closed reads what is left, which has to be nothing.
func (t *talk) closed() {
	t.tb.Helper()
	line, err := t.r.ReadLine()
	var late net.Error
	if err == nil || errors.As(err, &late) && late.Timeout() {
		t.tb.Errorf("the connection is open still: %q %v", line, err)
	}
}

// What comes in one packet is taken piece by piece as it is meant: nothing
// behind a refusal or an end becomes a command or a message that it is not.
func TestPipelines(t *testing.T) {
	taken := []string{"250 ", "250 ", "354 ", "250 2.0.0 queued"}
	long := "NOOP " + strings.Repeat("x", 3000) + "\r\n"
	for _, c := range []struct {
		name, sent string
		want       []string
		kept       int
		closed     bool
	}{
		{"two messages", whole + whole, append(taken, taken...), 2, false},
		{"the end and more", whole + "QUIT\r\n" + hello + whole, append(taken, "221 "), 1, true},
		{"QUIT and more", "QUIT\r\n" + hello + whole, []string{"221 "}, 0, true},
		{"DATA without RCPT", from + "DATA\r\n", []string{"250 ", "502 5.5.1"}, 0, false},
		{
			"text of a refused DATA", from + "RCPT TO:<a@stranger.example>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n" + whole,
			[]string{"250 ", "550 5.1.2", "502 5.5.1", "501 ", "500 ", "501 ", "501 ", "500 5.5.1"}, 0, true,
		},
		{"DATA with arguments", from + to + "DATA now\r\n", []string{"250 ", "250 ", "501 "}, 0, false},
		{"RSET and DATA", from + to + "RSET\r\nDATA\r\n", []string{"250 ", "250 ", "250 ", "502 5.5.1"}, 0, false},
		{"EHLO and DATA", from + to + hello + "DATA\r\n", []string{"250 ", "250 ", "250 ", "502 5.5.1"}, 0, false},
		{
			"a second MAIL", from + to + "MAIL FROM:<eve@sender.example>\r\nDATA\r\nhi\r\n.\r\n",
			[]string{"250 ", "250 ", "503 5.5.1", "354 ", "250 2.0.0 queued"}, 1, false,
		},
		{"a chunk", from + to + "BDAT 113 LAST\r\n" + hello + whole, []string{"250 ", "250 ", "502 5.5.1"}, 0, true},
		{"a huge chunk", from + to + "bdat 4294967296 LAST\r\n" + whole, []string{"250 ", "250 ", "502 5.5.1"}, 0, true},
		{"a chunk of no size", from + to + "BDAT\r\n" + whole, []string{"250 ", "250 ", "502 5.5.1"}, 0, true},
		{"AUTH", "AUTH PLAIN AGEAYg==\r\n" + whole, append([]string{"502 5.5.1"}, taken...), 1, false},
		{"errors", strings.Repeat("JUNK\r\n", 4) + whole, []string{"500 ", "500 ", "500 ", "500 ", "500 "}, 0, true},
		{"a long line", long + whole, []string{"500 5.4.0"}, 0, true},
		{"a line above the buffer", "NOOP " + strings.Repeat("x", wireBuffer) + "\r\n" + whole, []string{"500 5.4.0"}, 0, true},
		{"lines without CR", "NOOP\nRSET\nNOOP x\n", []string{"250 ", "250 ", "250 "}, 0, false},
		{"CR in a line", "NOOP \rQUIT\r\nRSET\rQUIT\r\n", []string{"250 ", "501 "}, 0, false},
		{"NUL", "NO\x00P\r\n\x00\r\nNOOP \x00\xff\r\n", []string{"500 ", "501 ", "250 "}, 0, false},
		{"a name with CR", "EHLO a\rb\r\n" + whole, append([]string{"250 "}, taken...), 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.active("u1", "customer.example")
			d := w.dial()
			d.tb = t
			d.expect("220 ")
			d.write(hello + c.sent)
			d.expect("250 ")
			for _, want := range c.want {
				d.expect(want)
			}
			if c.closed {
				d.closed()
			} else {
				d.say("NOOP", "250 ")
			}
			if err := w.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			list := w.deliveries("u1", "customer.example")
			if len(list) != c.kept {
				t.Errorf("%d messages, want %d", len(list), c.kept)
			}
		})
	}
}

// A fault of ours ends the connection, with all that was read ahead.
func TestPanics(t *testing.T) {
	for name, sent := range map[string]string{
		"RCPT":          from + "RCPT TO:<a@stranger.example>\r\n" + hello + whole,
		"DATA":          from + to + "DATA\r\n" + strings.Repeat("x", 2000) + "\r\n.\r\n" + hello + whole,
		"DATA, no end":  from + to + "DATA\r\n" + strings.Repeat("x", 2000) + "\r\n" + hello + whole[:len(whole)-3],
		"DATA, dropped": from + to + "DATA\r\n" + strings.Repeat("x", 2000) + "\r\n" + hello + from,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) {
				c.MaxBytes = 1000
				c.Idle, c.OnRefuse = 300*time.Millisecond, func(string) { panic("a fault") }
			})
			w.active("u1", "customer.example")
			d := w.dial()
			d.expect("220 ")
			d.write(hello + sent)
			for _, want := range []string{"250 ", "250 "} {
				d.expect(want)
			}
			if strings.HasPrefix(name, "DATA") {
				d.expect("250 ")
				d.expect("354 ")
			}
			d.expect("421 ")
			d.closed()
			if err := w.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if n := len(w.deliveries("u1", "customer.example")); n != 0 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// Who sends a little now and then, for ever, comes to an end.
func TestSlowClients(t *testing.T) {
	for _, c := range []struct {
		name, before, piece string
		want                []string
	}{
		{"command", "", "x", []string{"421 "}},
		{"text", from + to + "DATA\r\n", "hi\r\n", []string{"250 ", "250 ", "354 ", "451 4.4.2", "421 "}},
		{"refused text", from + to + "DATA\r\n" + strings.Repeat("hi\r\n", 300), "hi\r\n", []string{"250 ", "250 ", "354 ", "552 5.3.4", "421 "}},
		{"one long line", from + to + "DATA\r\n" + strings.Repeat("hi", 40_000), "hi", []string{"250 ", "250 ", "354 ", "552 5.3.4", "421 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) {
				cfg.Idle, cfg.transfer = 400*time.Millisecond, 600*time.Millisecond
				if strings.HasPrefix(c.name, "refused") {
					cfg.MaxBytes = 1000
				}
			})
			w.active("u1", "customer.example")
			d := w.dial()
			d.tb = t
			d.expect("220 ")
			d.write(hello + c.before)
			go func() {
				ticker := time.NewTicker(50 * time.Millisecond)
				defer ticker.Stop()
				for err := error(nil); err == nil; _, err = io.WriteString(d.conn, c.piece) {
					<-ticker.C
				}
			}()
			d.expect("250 ")
			for _, want := range c.want {
				d.expect(want)
			}
			d.closed()
		})
	}
}

// Text that is refused half-way is read to its end, and what follows is not it.
func TestRefusedText(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBytes = 1000 })
	w.active("u1", "customer.example")
	d := w.dial()
	d.ready("bob@customer.example")
	d.write(strings.Repeat("QUIT\r\n..\r\n\n.\n", 20_000) + "\r\n.\r\n" + whole)
	d.expect("552 5.3.4")
	for _, want := range []string{"250 ", "250 ", "354 ", "250 2.0.0 queued"} {
		d.expect(want)
	}
	d.say("MAIL FROM:<> SIZE=1001", "552 5.3.4")
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.refused[RefusedSize]; n != 2 {
		t.Errorf("%d were counted", n)
	}
}

func TestOffers(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	w := newWorld(t, func(c *Config) { c.TLS, c.MaxBytes = &tls.Config{Certificates: cert.TLS.Certificates}, 5000 })
	d := w.dial()
	d.expect("220 ")
	plain := strings.Split(d.say("EHLO client.example", "250 "), "\n")
	d.secured(&tls.Config{InsecureSkipVerify: true})
	secure := strings.Split(d.say("EHLO client.example", "250 "), "\n")
	want := []string{
		"250 Hello client.example", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "STARTTLS", "SIZE 5000", "LIMITS RCPTMAX=100",
	}
	if !slices.Equal(plain, want) || !slices.Equal(secure, slices.Delete(want, 4, 5)) {
		t.Errorf("%q\n%q", plain, secure)
	}
}

// A handshake that fails ends the connection, and gives its place back.
func TestHandshakes(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	for name, sent := range map[string]string{"garbage": whole, "nothing": "", "half": "\x16\x03\x01\x02\x00\x01"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) {
				c.TLS, c.ConnsPerIP = &tls.Config{Certificates: cert.TLS.Certificates}, 1
				c.Idle = 300 * time.Millisecond
			})
			w.active("u1", "customer.example")
			d := w.dial()
			d.tb = t
			d.expect("220 ")
			d.say("STARTTLS\r\n"+hello+strings.TrimSpace(whole), "220 ")
			d.write(sent)
			if rest, err := io.ReadAll(d.r.R); strings.Contains(string(rest), "250") {
				t.Errorf("%q %v", rest, err)
			}
			w.dial().expect("220 ")
			if n := len(w.deliveries("u1", "customer.example")); n != 0 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// Nothing more is read from who cannot be answered.
func TestNoAnswer(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	_ = there.Close()
	w := newWire(&conn{Conn: here, door: newDoor(Config{Idle: time.Minute})}, nil, "mx.example.com")
	if _, err := w.Write([]byte("250 2.0.0 yes\r\n")); err == nil {
		t.Fatal("written")
	}
	if err := w.await(time.Minute); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// A header section that is none is taken, and handed on unparsed at once.
func TestHugeHeader(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhookThenStore)
	w.publish(`sender.example. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"`)
	started := time.Now()
	w.send("Subject: x\r\n"+strings.Repeat(" y\r\n", 300_000)+"DKIM-Signature: v=1\r\n\r\nhi\r\n", "bob@customer.example")
	w.once()
	calls := h.calls()
	if len(calls) != 1 || !strings.Contains(string(calls[0].body), `"parsed":false`) ||
		!strings.Contains(string(calls[0].body), `"subject":"x y y`) {
		t.Errorf("%d calls: %.300s", len(calls), calls[0].body)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Error("it took", took)
	}
}
