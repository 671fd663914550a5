package inbound

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/store"
)

// talk is a client that says what the test wants, octet by octet.
type talk struct {
	tb   testing.TB
	conn net.Conn
	r    *textproto.Reader
}

func (w *world) dial() *talk {
	w.tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.addr)
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { _ = conn.Close() })
	t := &talk{tb: w.tb, conn: conn, r: textproto.NewReader(bufio.NewReader(conn))}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return t
}

// expect reads a reply and wants it to start so.
func (t *talk) expect(want string) string {
	t.tb.Helper()
	code, msg, err := t.r.ReadResponse(0)
	got := fmt.Sprintf("%d %s", code, msg)
	if err != nil && code == 0 {
		t.tb.Fatalf("got %v, want %q", err, want)
	}
	if !strings.HasPrefix(got, want) {
		t.tb.Fatalf("got %q, want %q", got, want)
	}
	return got
}

func (t *talk) write(s string) {
	t.tb.Helper()
	if _, err := io.WriteString(t.conn, s); err != nil {
		t.tb.Fatal(err)
	}
}

func (t *talk) say(line, want string) string {
	t.tb.Helper()
	t.write(line + "\r\n")
	return t.expect(want)
}

// ready goes up to the DATA of a message.
func (t *talk) ready(rcpts ...string) {
	t.tb.Helper()
	t.expect("220 ")
	t.say("EHLO client.example", "250 ")
	t.say("MAIL FROM:<"+sender+">", "250 ")
	for _, r := range rcpts {
		t.say("RCPT TO:<"+r+">", "250 ")
	}
	t.say("DATA", "354 ")
}

func TestRecipients(t *testing.T) {
	w := newWorld(t)
	w.active("u1", "customer.example")
	w.active("u1", "xn--bcher-kva.example")
	w.pending("u1", "pending.example")
	w.active("u1", "gone.example")
	w.active("u1", "failed.example")
	w.fail("u1", "failed.example")
	if err := w.db.DeleteDomain(context.Background(), tenant("u1"), "gone.example"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rcpt, want string }{
		{"bob@customer.example", "250 2"},
		{"bob+tag@CUSTOMER.Example", "250 2"},
		{"bob@xn--bcher-kva.example", "250 2"},
		{"bob@pending.example", "450 4.2.1"},
		{"bob@failed.example", "450 4.2.1"},
		{"bob@gone.example", "550 5.1.2"},
		{"bob@stranger.example", "550 5.1.2"},
		{"bob@sub.customer.example", "550 5.1.2"},
		{"bob@[127.0.0.1]", "550 5.1.2"},
		{"bob%other.example@stranger.example", "550 5.1.2"},
		{"nobody", "501 5.5.2"},
		{"\"bob@stranger.example\"@customer.example", "250 2"},
		{"\"bob@customer.example\"@stranger.example", "550 5.1.2"},
		{"@customer.example:bob@stranger.example", "550 5.1.2"},
		{"b\u00f6b@customer.example", "553 5.6.7"},
		{"b\x01b@customer.example", "553 5.6.7"},
		{strings.Repeat("b", 400) + "@customer.example", "553 5.6.7"},
		{"b01hzzzzzzzzzzzzzzzzzzzzzzzaaaaaaaaaaaaaaaa@mx.example.com", "550 5.1.1"},
	} {
		t.Run(c.rcpt, func(t *testing.T) {
			d := w.dial()
			d.tb = t
			d.expect("220 ")
			d.say("EHLO client.example", "250 ")
			d.say("MAIL FROM:<>", "250 ")
			d.say("RCPT TO:<"+c.rcpt+">", c.want)
		})
	}
}

func TestAcceptedIsDurableAndReadable(t *testing.T) {
	for name, size := range map[string]int{"blob": 10 << 10, "spooled": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.active("u1", "customer.example")
			text := letter(size)
			d := w.dial()
			d.ready("bob@customer.example")
			d.write(text + ".\r\n")
			got := d.expect("250 2.0.0 queued as ")
			id := strings.TrimPrefix(got, "250 2.0.0 queued as ")
			list, next, err := w.db.Messages(context.Background(), tenant("u1"), "customer.example", 0, "")
			if err != nil || len(list) != 1 || next != "" {
				t.Fatal(list, next, err)
			}
			m := list[0]
			if m.ID != id || m.Subject != "Grüße" || m.MailFrom != sender || m.Helo != "client.example" ||
				m.RemoteIP != "127.0.0.1" || len(m.Deliveries) != 1 || m.Deliveries[0].State != store.DeliveryStateStored {
				t.Errorf("%+v", m)
			}
			if raw := w.rawOf("u1", "customer.example", id); string(raw) != text {
				t.Errorf("%d octets came back of %d", len(raw), len(text))
			}
			if _, err := w.db.Message(context.Background(), tenant("u2"), "customer.example", id); !errors.Is(err, store.ErrNotFound) {
				t.Error("another user reads it:", err)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	const limit = 100_000
	w := newWorld(t, func(c *Config) { c.MaxBytes = limit })
	w.active("u1", "customer.example")
	exact := letter(limit - 2000)
	exact += strings.Repeat("x", limit-len(exact)-2) + "\r\n"
	for _, c := range []struct{ name, text, want string }{
		{"exact", exact, "250 2.0.0"},
		{"one more", "x" + exact, "552 5.3.4"},
		{"many more", exact + exact + exact, "552 5.3.4"},
		{"long line", "Subject: x\r\n\r\n" + strings.Repeat("y", 70_000) + "\r\n", "552 5.3.4"},
		{"empty", "", "250 2.0.0"},
		{"50 hops", strings.Repeat("Received: by x\r\n", 50) + "\r\nhi\r\n", "250 2.0.0"},
		{"51 hops", strings.Repeat("Received: by x\r\n", 51) + "\r\nhi\r\n", "550 5.4.6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := w.dial()
			d.tb = t
			d.ready("bob@customer.example")
			d.write(c.text + ".\r\n")
			d.expect(c.want)
		})
	}
	d := w.dial()
	d.expect("220 ")
	d.say("EHLO client.example", "250 ")
	d.say(fmt.Sprintf("MAIL FROM:<%s> SIZE=%d", sender, limit+1), "552 5.3.4")
	d.say(fmt.Sprintf("MAIL FROM:<%s> SIZE=%d", sender, limit), "250 ")
}

// The forms of SMTP smuggling: an end of data that only some servers see. Here
// none is one, so the whole is one message, and no command hides in it.
func TestSmuggling(t *testing.T) {
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n\x00.\r\n",
		"\r\n.\r\r\n", "\r\r\n.\r\r\n",
	} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			w := newWorld(t)
			w.active("u1", "customer.example")
			hidden := "MAIL FROM:<evil@sender.example>\r\nRCPT TO:<bob@customer.example>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n"
			d := w.dial()
			d.ready("bob@customer.example")
			sent := "Subject: one\r\n\r\nhi" + end + hidden
			d.write(sent + ".\r\n")
			id := strings.TrimPrefix(d.expect("250 2.0.0 queued as "), "250 2.0.0 queued as ")
			d.say("QUIT", "221 ")
			if n := len(w.deliveries("u1", "customer.example")); n != 1 {
				t.Errorf("%d messages, want 1", n)
			}
			want := strings.ReplaceAll(sent, "\r\n.", "\r\n")
			if got := string(w.rawOf("u1", "customer.example", id)); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// An end of data that every server sees, whatever stands before it.
func TestEndOfData(t *testing.T) {
	for _, text := range []string{"", "\r\n", "hi\r\r\n", "hi\n\r\n", "\r\r\n", "hi\r\n..\r\n", "hi\r\n..\r\r\n", "\x00\r\n"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			w := newWorld(t)
			w.active("u1", "customer.example")
			d := w.dial()
			d.ready("bob@customer.example")
			d.write(text + ".\r\nNOOP\r\n")
			id := strings.TrimPrefix(d.expect("250 2.0.0 queued as "), "250 2.0.0 queued as ")
			d.expect("250 2.0.0")
			want := strings.ReplaceAll(text, "..", ".")
			if got := string(w.rawOf("u1", "customer.example", id)); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestBrokenTransfers(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Idle = 300 * time.Millisecond })
	w.active("u1", "customer.example")
	t.Run("silent", func(t *testing.T) {
		d := w.dial()
		d.tb = t
		d.ready("bob@customer.example")
		d.write("Subject: x\r\n\r\nMAIL FROM:<")
		d.expect("451 4.4.2")
		d.expect("421 ")
		if _, err := d.r.ReadLine(); !errors.Is(err, io.EOF) {
			t.Error("the connection is open still:", err)
		}
	})
	t.Run("slow", func(t *testing.T) {
		d := w.dial()
		d.tb = t
		d.ready("bob@customer.example")
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for _, piece := range []string{"Sub", "ject", ": slow", "\r\n", "\r\nslo", "wly", "\r\n.\r\n"} {
			<-ticker.C // longer in all than one read may take
			d.write(piece)
		}
		d.expect("250 2.0.0 queued")
	})
	t.Run("dropped", func(t *testing.T) {
		d := w.dial()
		d.tb = t
		d.ready("bob@customer.example")
		d.write("Subject: dropped\r\n\r\nhi\r\n")
		_ = d.conn.Close()
	})
	if err := w.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.deliveries("u1", "customer.example")); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestStorageRefusals(t *testing.T) {
	free := uint64(1 << 30)
	w := newWorld(t, func(c *Config) {
		c.FreeSpace = func() (uint64, error) { return free, nil }
		c.MaxBacklog = 2
	})
	w.active("u1", "customer.example")
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: "https://hook.example/"})
	for range 2 {
		w.send(letter(100), "bob@customer.example")
		w.clock.forward(2 * time.Second)
	}
	d := w.dial()
	d.expect("220 ")
	d.say("EHLO client.example", "250 ")
	d.say("MAIL FROM:<"+sender+">", "250 ")
	d.say("RCPT TO:<bob@customer.example>", "452 4.3.1")
	free = 100
	w.clock.forward(2 * time.Second)
	d.say("RSET", "250 ")
	d.say("MAIL FROM:<"+sender+">", "452 4.3.1")
	_ = w.db.Close()
	free = 1 << 30
	w.clock.forward(2 * time.Second)
	d.say("MAIL FROM:<"+sender+">", "250 ")
	d.say("RCPT TO:<bob@customer.example>", "451 4.3.0")
}

func TestDatabaseGoneDuringData(t *testing.T) {
	w := newWorld(t)
	w.active("u1", "customer.example")
	d := w.dial()
	d.ready("bob@customer.example")
	_ = w.db.Close()
	d.write(letter(100) + ".\r\n")
	d.expect("452 4.3.1")
}

func TestConnectionLimits(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ConnsPerIP = 2 })
	first := w.dial()
	first.expect("220 ")
	w.dial().expect("220 ")
	w.dial().expect("421 4.7.0")
	first.say("QUIT", "221 ")
	if _, err := first.r.ReadLine(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	w.dial().expect("220 ")
}

func TestManyRecipients(t *testing.T) {
	w := newWorld(t)
	hook := newHook(t)
	names := []string{"a.example", "b.example", "c.example"}
	for i, n := range names {
		w.active(fmt.Sprintf("u%d", i), n)
	}
	w.route("u1", "b.example", store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: hook.URL})
	w.route("u2", "c.example", store.PutRoute{Mode: store.ForwardModeWebhookThenStore, WebhookURL: hook.URL})
	var rcpts []string
	for i := range 100 {
		rcpts = append(rcpts, fmt.Sprintf("r%d@%s", i, names[i%3]))
	}
	d := w.dial()
	d.ready(rcpts...)
	d.write(letter(1000) + ".\r\n")
	d.expect("250 2.0.0 queued")
	w.once()
	w.while(func() bool { return true })
	want := map[string]store.DeliveryState{
		"a.example": store.DeliveryStateStored, "b.example": store.DeliveryStateDelivered, "c.example": store.DeliveryStateDelivered,
	}
	total := 0
	for i, n := range names {
		for _, x := range w.deliveries(fmt.Sprintf("u%d", i), n) {
			total++
			if x.State != want[n] {
				t.Errorf("%s: %s, want %s", x.RcptTo, x.State, want[n])
			}
		}
		list, _, err := w.db.Messages(context.Background(), tenant(fmt.Sprintf("u%d", i)), n, 0, "")
		if err != nil || len(list) != 1 {
			t.Errorf("%s: %d messages: %v", n, len(list), err)
		}
	}
	if total != 100 || len(hook.calls()) != 66 {
		t.Errorf("%d deliveries, %d calls", total, len(hook.calls()))
	}
	d = w.dial()
	d.expect("220 ")
	d.say("EHLO client.example", "250 ")
	d.say("MAIL FROM:<"+sender+">", "250 ")
	for _, r := range rcpts {
		d.say("RCPT TO:<"+r+">", "250 ")
	}
	d.say("RCPT TO:<one-more@a.example>", "452 4.5.3")
}
