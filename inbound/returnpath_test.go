package inbound

import (
	"strings"
	"testing"

	"github.com/domaind/domaind/store"
)

// What the next hop gives back goes to the original sender, by our return
// path, and nobody else's return path is one.
func TestReturnPath(t *testing.T) {
	w, h := forwarding(t)
	w.send(letter(500), "bob@customer.example")
	w.once()
	path := h.mails()[0].from
	say := w.dial()
	say.expect("220 ")
	say.say("EHLO mail.target.example", "250 ")
	say.say("MAIL FROM:<"+sender+">", "250 ")
	say.say("RCPT TO:<"+path+">", "550 5.1.1")
	say.say("RSET", "250 ")
	say.say("MAIL FROM:<>", "250 ")
	say.say("RCPT TO:<"+flip(path)+">", "550 5.1.1")
	say.say("RCPT TO:<"+strings.ToUpper(path)+">", "250 ")
	say.say("RCPT TO:<bob@customer.example>", "452 4.5.3")
	say.say("DATA", "354 ")
	say.write("Subject: failure notice\r\n\r\nno such user\r\n.\r\n")
	say.expect("250 2.0.0 queued")
	w.once()
	got := h.mails()
	if len(got) != 2 || got[1].from != "" || got[1].to != sender {
		t.Fatalf("%+v", got)
	}
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateFailed {
		t.Errorf("%+v", d)
	}
}

// flip changes the last character of a local part.
func flip(address string) string {
	local, domain := store.SplitAddress(address)
	last := byte('a')
	if local[len(local)-1] == last {
		last = 'b'
	}
	return local[:len(local)-1] + string(last) + "@" + domain
}

// report is a delivery status notification of one action.
func report(action string) string {
	return "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\nSubject: report\r\n\r\n" +
		"--b\r\n\r\nIt did not go well.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mail.target.example\r\n\r\nFinal-Recipient: rfc822; carol@target.example\r\n" +
		"Action: " + action + "\r\nStatus: 4.0.0\r\n\r\n--b--\r\n"
}

func (w *world) giveBack(path, text string) {
	w.tb.Helper()
	d := w.dial()
	d.expect("220 ")
	d.say("EHLO mail.target.example", "250 ")
	d.say("MAIL FROM:<>", "250 ")
	d.say("RCPT TO:<"+path+">", "250 ")
	d.say("DATA", "354 ")
	d.write(text + ".\r\n")
	d.expect("250 2.0.0 queued")
	w.once()
}

// Not all that comes to a return path says that the mail failed.
func TestReports(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		state store.DeliveryState
	}{
		"failed":      {report("failed"), store.DeliveryStateFailed},
		"Failed":      {report("Failed"), store.DeliveryStateFailed},
		"delayed":     {report("delayed"), store.DeliveryStateDelivered},
		"relayed":     {report("relayed"), store.DeliveryStateDelivered},
		"some failed": {report("delayed\r\n\r\nAction: failed"), store.DeliveryStateFailed},
		"unreadable":  {report("?"), store.DeliveryStateFailed},
		"old form":    {"Subject: failure notice\r\n\r\nHi. This is the qmail-send program.\r\n", store.DeliveryStateFailed},
		"away":        {"Subject: away\r\nAuto-Submitted: auto-replied\r\n\r\nback soon\r\n", store.DeliveryStateDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			w, h := forwarding(t)
			w.send(letter(500), "bob@customer.example")
			w.once()
			w.giveBack(h.mails()[0].from, c.text)
			if d := w.delivery("u1", "customer.example"); d.State != c.state {
				t.Errorf("%s, want %s", d.State, c.state)
			}
			if got := h.mails(); len(got) != 2 || got[1].to != sender {
				t.Errorf("not handed to the sender: %+v", got)
			}
		})
	}
}

// A return path is no way to write to the sender again and again.
func TestReturnPathServesOnce(t *testing.T) {
	w, h := forwarding(t)
	w.send(letter(500), "bob@customer.example")
	w.once()
	path := h.mails()[0].from
	for range 3 {
		w.giveBack(path, report("failed"))
	}
	if n := len(h.mails()); n != 2 {
		t.Errorf("%d mails left, want the forwarded one and one report", n)
	}
}
