package inbound

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/domaind/domaind/store"
)

// poison are messages that have broken readers of mail.
func poison() map[string]string {
	deep := "Subject: deep\r\n"
	for i := range 500 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return map[string]string{
		"empty":              "",
		"no header":          "\r\nonly a body\r\n",
		"no colon":           "this is no header\r\nnor is this\r\n\r\nbody\r\n",
		"binary":             "Subject: x\r\n\r\n\x00\x01\xff\xfe\x80\r\n",
		"bad utf-8":          "Subject: \xff\xfe\r\nFrom: \xff <a@b.example>\r\n\r\n\xff\r\n",
		"no boundary":        "Subject: x\r\nContent-Type: multipart/mixed\r\n\r\nbody\r\n",
		"unclosed":           "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n",
		"bad type":           "Subject: x\r\nContent-Type: ;;;===\r\n\r\nbody\r\n",
		"bad parameter":      "Subject: x\r\nContent-Type: text/plain; name=\"a\" name=\"b\"; charset=\r\n\r\nbody\r\n",
		"bad charset":        "Subject: =?nonsense?b?////?=\r\nContent-Type: text/plain; charset=nonsense\r\n\r\nbody\r\n",
		"bad base64":         "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\r\n",
		"bad encoding":       "Subject: x\r\nContent-Transfer-Encoding: nonsense\r\n\r\nbody\r\n",
		"huge header":        "Subject: x\r\n" + strings.Repeat("X-Pad: "+strings.Repeat("y", 900)+"\r\n", 2000) + "\r\nbody\r\n",
		"huge text":          letter(2 << 20),
		"quotes everywhere":  "Subject: x\r\n\r\n" + strings.Repeat("\"\"\"\"\"\"\"\"\x01\x01\x01\x01\r\n", 100_000),
		"thousand addresses": "Subject: x\r\nTo: " + strings.Repeat("a@b.example, ", 5000) + "z@b.example\r\n\r\nbody\r\n",
		"deep":               deep,
		"many parts":         "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n", 3000) + "--b--\r\n",
	}
}

// Whatever a message is, it is delivered, as JSON below the limit, with what is
// missing named.
func TestPoison(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	for name, text := range poison() {
		t.Run(name, func(t *testing.T) {
			before := len(h.calls())
			w.tb = t
			d := w.dial()
			d.ready("bob@customer.example")
			if len(text) > 0 && !strings.HasSuffix(text, "\r\n") {
				text += "\r\n"
			}
			d.write(text + ".\r\n")
			d.expect("250 ")
			w.once()
			calls := h.calls()
			if len(calls) != before+1 {
				t.Fatalf("%d calls", len(calls)-before)
			}
			body := calls[before].body
			if len(body) > maxPayload || !json.Valid(body) {
				t.Fatalf("%d octets", len(body))
			}
			var got struct{ Data received }
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			r := got.Data
			if r.Raw.Bytes != int64(len(text)) || r.Raw.URL == "" {
				t.Errorf("raw %+v of %d octets", r.Raw, len(text))
			}
			if r.Text.Truncated && len(r.Omitted) == 0 || !r.Parsed && len(r.Omitted) == 0 {
				t.Errorf("omitted %v", r.Omitted)
			}
		})
	}
}

func TestPayloadParts(t *testing.T) {
	w, h, _ := hooked(t, store.ForwardModeWebhook)
	w.send("From: Ann <ann@sender.example>\r\nTo: Bob <bob@customer.example>, carol@x.example\r\nCc: dan@x.example\r\n"+
		"Reply-To: reply@x.example\r\nSubject: parts\r\nIn-Reply-To: <0@x>\r\nReferences: <a@x> <b@x>\r\n"+
		"Auto-Submitted: auto-generated\r\nList-Id: <l.x.example>\r\nX-Dup: 1\r\nX-Dup: 2\r\n folded\r\n"+
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n"+
		"--b\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n"+
		"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"+
		"--b\r\nContent-Type: image/png\r\nContent-ID: <pic>\r\nContent-Disposition: inline; filename=p.png\r\n\r\npng\r\n--b--\r\n",
		"bob@customer.example")
	w.once()
	var got struct{ Data received }
	if err := json.Unmarshal(h.calls()[0].body, &got); err != nil {
		t.Fatal(err)
	}
	r := got.Data
	if !strings.Contains(r.Text.Content, "plain") || !strings.Contains(r.HTML.Content, "<p>rich</p>") {
		t.Errorf("text %+v html %+v", r.Text, r.HTML)
	}
	if len(r.To) != 2 || r.To[0].Name != "Bob" || len(r.Cc) != 1 || len(r.ReplyTo) != 1 || r.InReplyTo != "0@x" || len(r.References) != 2 {
		t.Errorf("%+v", r)
	}
	if !r.Flags.AutoSubmitted || !r.Flags.List || r.Flags.Bounce {
		t.Errorf("%+v", r.Flags)
	}
	var dup []string
	for _, f := range r.Headers {
		if f[0] == "X-Dup" {
			dup = append(dup, f[1])
		}
	}
	if len(dup) != 2 || dup[1] != "2 folded" {
		t.Errorf("%q", dup)
	}
	if len(r.Attachments) != 2 || r.Attachments[0].Filename != "a.pdf" || r.Attachments[0].Bytes != 5 ||
		r.Attachments[0].SHA256 != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" ||
		r.Attachments[1].ContentID != "pic" || !strings.Contains(r.Attachments[1].URL, "/attachments/1?token=") {
		t.Errorf("%+v", r.Attachments)
	}
	if len(r.Omitted) != 0 {
		t.Error(r.Omitted)
	}
}

func TestAuthResults(t *testing.T) {
	for _, c := range []struct {
		name, spf, dmarc string
		signed           bool
		want             [3]string // spf, dkim, dmarc
	}{
		{"all", `"v=spf1 ip4:127.0.0.1 -all"`, `"v=DMARC1; p=reject"`, true, [3]string{"pass", "pass", "pass"}},
		{"spf only", `"v=spf1 ip4:127.0.0.1 -all"`, `"v=DMARC1; p=reject"`, false, [3]string{"pass", "", "pass"}},
		{"spf fails", `"v=spf1 -all"`, `"v=DMARC1; p=none"`, false, [3]string{"fail", "", "fail"}},
		{"dkim saves it", `"v=spf1 -all"`, `"v=DMARC1; p=reject"`, true, [3]string{"fail", "pass", "pass"}},
		{"no policy", `"v=spf1 ~all"`, ``, false, [3]string{"softfail", "", "none"}},
		{"broken spf", `"v=spf1 nonsense"`, ``, false, [3]string{"permerror", "", "none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.active("u1", "customer.example")
			w.publish(`sender.example. 60 IN TXT ` + c.spf)
			if c.dmarc != "" {
				w.publish(`_dmarc.sender.example. 60 IN TXT ` + c.dmarc)
			}
			text := letter(300)
			if c.signed {
				text = signed(t, w, text)
			}
			w.send(text, "bob@customer.example")
			w.once()
			list, _, err := w.db.Messages(context.Background(), tenant("u1"), "customer.example", 0, "")
			if err != nil || len(list) != 1 || list[0].Auth == nil {
				t.Fatal(list, err)
			}
			a := list[0].Auth
			got := [3]string{a.SPF.Result, "", a.DMARC.Result}
			if len(a.DKIM) > 0 {
				got[1] = a.DKIM[0].Result
			}
			if got != c.want {
				t.Errorf("%v, want %v: %+v", got, c.want, a)
			}
		})
	}
}

func TestAuthTempError(t *testing.T) {
	w, h := forwarding(t)
	w.dns.Fault("sender.example", "servfail", "TXT")
	w.send(letter(300), "bob@customer.example")
	w.once()
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateQueued {
		t.Fatalf("%+v", d)
	}
	w.dns.Fault("sender.example", "", "TXT")
	w.next()
	if d := w.delivery("u1", "customer.example"); d.State != store.DeliveryStateDelivered || len(h.mails()) != 1 {
		t.Errorf("%+v", d)
	}
}
