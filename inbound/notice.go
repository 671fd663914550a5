package inbound

import (
	"bytes"
	"fmt"
	"time"

	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// relayNotice is what a report about a message needs to know of it.
type relayNotice struct {
	auth   store.Auth
	header parse.Header
	raw    []byte
}

// notify adds a delivery status notification (RFC 3464) to a failed delivery:
// never about a report, nor about mail that no person sent, and only when SPF
// passed for the sender; else it would go to whoever was forged.
func (s *Server) notify(j store.DeliveryJob, n relayNotice, a *store.Attempt, o *store.Outcome) {
	from := j.Message.MailFrom
	if j.Message.Kind != store.MessageKindMail || from == "" || n.auth.SPF.Result != resultPass || !usable(from) {
		return
	}
	if f := n.header.Flags(); f.AutoSubmitted || f.List {
		return
	}
	o.Notice = &store.NewMessage{
		Kind: store.MessageKindNotice, Helo: s.c.Hostname, Subject: "Undelivered mail returned to sender",
		Recipients: []store.Recipient{{
			Address: from, Domain: j.Domain, DomainID: j.DomainID, UserID: j.UserID,
			Mode: store.ForwardModeForwardEmail, Target: from,
		}},
	}
	o.Raw = s.notice(j, n, a)
}

// maxReturnedHeader bounds the header section that goes back with a report.
const maxReturnedHeader = 32 << 10

func (s *Server) notice(j store.DeliveryJob, n relayNotice, a *store.Attempt) []byte {
	now := s.c.Now().UTC()
	id := s.c.Store.NewMessageID()
	boundary := "=_" + id
	status := "4.4.7" // tried until its time was over
	if a.Status >= 500 {
		status = "5.0.0"
	}
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("Date: %s", now.Format(time.RFC1123Z))
	line("From: Mail Delivery System <postmaster@%s>", s.c.Hostname)
	line("To: <%s>", clip(j.Message.MailFrom))
	line("Subject: Undelivered mail returned to sender")
	line("Message-Id: <%s@%s>", id, s.c.Hostname)
	line("Auto-Submitted: auto-replied")
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=delivery-status; boundary=\"%s\"", boundary)
	line("\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\n", boundary)
	line("Your message to <%s> could not be delivered.", clip(j.RcptTo))
	line("\r\n--%s\r\nContent-Type: message/delivery-status\r\n", boundary)
	line("Reporting-MTA: dns; %s", s.c.Hostname)
	line("Arrival-Date: %s", j.Message.ReceivedAt.UTC().Format(time.RFC1123Z))
	line("\r\nFinal-Recipient: rfc822; %s", clip(j.RcptTo))
	line("Action: failed")
	line("Status: %s", status)
	line("Last-Attempt-Date: %s", now.Format(time.RFC1123Z))
	line("\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n", boundary)
	b.Write(returnedHeader(n.raw))
	line("\r\n--%s--", boundary)
	return b.Bytes()
}

// returnedHeader is the header section of a message, as it came, and not more.
func returnedHeader(raw []byte) []byte {
	if end := parse.HeaderEnd(raw); end >= 0 {
		raw = raw[:end]
	}
	if len(raw) <= maxReturnedHeader {
		return raw
	}
	return raw[:bytes.LastIndexByte(raw[:maxReturnedHeader], '\n')+1]
}
