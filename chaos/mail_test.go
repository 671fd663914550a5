package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/domaind/domaind/gen/client"
)

const (
	mailUser = "mail"
	mailFrom = "ann@sender.example"
)

// mailNames take the mail.
var mailNames = []string{"in0.example", "in1.example"}

// activate makes the names for mail, by an admin's marks.
func activate(t *testing.T, s *service) {
	t.Helper()
	c := &caller{service: s, users: [2]string{mailUser}}
	for _, n := range mailNames {
		list := []request{{kind: create, name: n}}
		for _, p := range purposes {
			list = append(list, request{kind: mark, name: n, purpose: p, status: client.RecordStatusVerified})
		}
		for _, r := range list {
			if _, err := c.call(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ack is a message that was answered with 250.
type ack struct {
	id  string
	sum [sha256.Size]byte
	to  []string // names of mailNames
}

// sender sends mail over one connection at a time.
type sender struct {
	*service
	t      *testing.T
	id     int
	random *rand.Rand
	conn   *smtp.Client
	sent   int

	acks []ack // not yet checked
	tally
}

// step sends one message, and reports whether it was acknowledged.
func (s *sender) step() bool {
	a, err := s.send()
	var reply *smtp.SMTPError
	switch {
	case err == nil:
		s.acks = append(s.acks, a)
		s.acked.Add(1)
		return true
	case errors.As(err, &reply) && reply.Code == 452:
		s.full.Add(1)
	case errors.As(err, &reply):
		s.refused.Add(1)
		if reply.Code/100 != 4 {
			s.t.Errorf("mail is refused for good: %v", err)
		}
	default:
		s.open.Add(1)
	}
	s.hangUp()
	return false
}

func (s *sender) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

func (s *sender) send() (ack, error) {
	if s.conn == nil {
		c, err := smtp.Dial(s.now().SMTP)
		if err != nil {
			return ack{}, err
		}
		s.conn = c
	}
	a, text := s.letter()
	if err := s.conn.Mail(mailFrom, nil); err != nil {
		return a, err
	}
	for _, n := range a.to {
		if err := s.conn.Rcpt("bob@"+n, nil); err != nil {
			return a, err
		}
	}
	reply, err := data(s.conn, text)
	a.id = strings.TrimPrefix(reply, "2.0.0 queued as ")
	return a, err
}

// letter makes a message like no other; some are too large for a row, and some
// are for two recipients.
func (s *sender) letter() (ack, string) {
	s.sent++
	size := 1500
	if s.random.IntN(8) == 0 {
		size = 75_000
	}
	octets := make([]byte, size)
	for i := range octets {
		octets[i] = byte(s.random.Uint32())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s\r\nSubject: %d-%d\r\n\r\n", mailFrom, s.id, s.sent)
	for text := base64.StdEncoding.EncodeToString(octets); text != ""; {
		n := min(len(text), 76)
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	to := mailNames[s.random.IntN(2):]
	return ack{sum: sha256.Sum256([]byte(b.String())), to: to[:1+s.random.IntN(len(to))]}, b.String()
}

// data sends the message and returns the answer to its end.
func data(c *smtp.Client, text string) (string, error) {
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return "", err
	}
	reply, err := w.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return reply.StatusText, nil
}

// lost returns which of the messages are missing, or are not as they were
// sent, for each recipient.
func (s *service) lost(acks []ack) (missing []string) {
	for _, a := range acks {
		for _, n := range a.to {
			user := mailUser
			reply, err := s.now().GetMessageRawWithResponse(context.Background(), n, a.id, &client.GetMessageRawParams{UserID: &user})
			switch {
			case err != nil:
				missing = append(missing, fmt.Sprintf("message %s: %v", a.id, err))
			case reply.StatusCode() != 200:
				missing = append(missing, fmt.Sprintf("message %s to %s: %s", a.id, n, reply.Status()))
			case sha256.Sum256(reply.Body) != a.sum:
				missing = append(missing, fmt.Sprintf("message %s to %s: %d other octets", a.id, n, len(reply.Body)))
			}
		}
	}
	return missing
}
