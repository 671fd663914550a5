package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/domaind/domaind/gen/client"
)

// TestLMTP takes mail on a unix socket, with one reply for each recipient, also
// where an earlier process has left its socket behind.
func TestLMTP(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "lmtp-") // t.TempDir may be longer than a socket's path may be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()

	s := serve(t, mailSettings(t, "DOMAIND_SMTP_LISTEN=127.0.0.1:0,lmtp+unix:"+socket, "DOMAIND_SMTP_POSTMASTER=ops@"+mailDomain)...)
	tcp, ok := strings.CutSuffix(s.smtp, ",lmtp+unix:"+socket)
	if _, _, err := net.SplitHostPort(tcp); err != nil || !ok {
		t.Errorf("it says that it listens to %s", s.smtp)
	}
	s.activate(t)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	c := gosmtp.NewClientLMTP(conn)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Mail("ann@sender.example", nil); err != nil {
		t.Fatal(err)
	}
	for rcpt, want := range map[string]bool{"one@" + mailDomain: true, "postmaster@mx.mail.example": true, "x@stranger.example": false} {
		if err := c.Rcpt(rcpt, nil); (err == nil) != want {
			t.Errorf("%s: %v", rcpt, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprint(w, "Subject: x\r\n\r\ntext\r\n")
	answers, err := w.CloseWithLMTPResponse()
	if err != nil || len(answers) != 2 {
		t.Errorf("%v %v", answers, err)
	}
	for rcpt, answer := range answers {
		if !strings.Contains(answer.StatusText, "queued as ") {
			t.Errorf("%s: %s", rcpt, answer.StatusText)
		}
	}
	list, err := s.ListDeliveriesWithResponse(t.Context(), mailDomain, &client.ListDeliveriesParams{UserID: labUser})
	if err != nil || list.JSON200 == nil || len(list.JSON200.Deliveries) != 2 {
		t.Errorf("deliveries: %v %s", err, list.Body)
	}
}
