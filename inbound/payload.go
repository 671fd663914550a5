package inbound

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// maxPayload is below 1 MB, which is all that many web servers take.
const maxPayload = 900_000

// linkFor is how long the links of a payload open without a key.
const linkFor = 24 * time.Hour

// body is what a webhook gets. Its members are part of the contract.
type body struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data"`
}

type received struct {
	Schema       int             `json:"schema"`
	MessageID    string          `json:"message_id"`
	DeliveryID   string          `json:"delivery_id"`
	Domain       string          `json:"domain"`
	Mode         string          `json:"mode"`
	Envelope     envelope        `json:"envelope"`
	Parsed       bool            `json:"parsed"`
	Headers      [][2]string     `json:"headers"`
	From         []parse.Address `json:"from"`
	To           []parse.Address `json:"to"`
	Cc           []parse.Address `json:"cc"`
	ReplyTo      []parse.Address `json:"reply_to"`
	Subject      string          `json:"subject"`
	Date         *string         `json:"date"`
	RFCMessageID string          `json:"rfc_message_id"`
	InReplyTo    string          `json:"in_reply_to"`
	References   []string        `json:"references"`
	Text         content         `json:"text"`
	HTML         content         `json:"html"`
	Attachments  []attachment    `json:"attachments"`
	Raw          rawLink         `json:"raw"`
	Auth         store.Auth      `json:"auth"`
	Flags        parse.Flags     `json:"flags"`
	Omitted      []string        `json:"omitted"`
}

type envelope struct {
	MailFrom string  `json:"mail_from"`
	RcptTo   string  `json:"rcpt_to"`
	Detail   string  `json:"detail"`
	Helo     string  `json:"helo"`
	RemoteIP string  `json:"remote_ip"`
	TLS      *string `json:"tls"`
}

type content struct {
	Content   string `json:"content"`
	Truncated bool   `json:"truncated"`
	Bytes     int    `json:"bytes"`
}

type attachment struct {
	Index       int    `json:"index"`
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
	Bytes       int    `json:"bytes"`
	SHA256      string `json:"sha256"`
	URL         string `json:"url"`
}

type rawLink struct {
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"`
	URL       string `json:"url"`
	ExpiresAt string `json:"expires_at"`
}

// budget is what the parts of a payload may take. Each step is smaller than the
// one before; the last one always fits.
type budget struct{ text, headers, parts int }

func budgets(thin bool) []budget {
	list := []budget{
		{text: 256 << 10, headers: 128 << 10, parts: 500}, {text: 64 << 10, headers: 64 << 10, parts: 200},
		{text: 8 << 10, headers: 8 << 10, parts: 50}, {},
	}
	if thin {
		return list[len(list)-1:]
	}
	return list
}

// payload builds the body of email.received for one delivery. What does not
// fit is left out and named.
func (s *Server) payload(j store.DeliveryJob, mode store.ForwardMode, raw []byte, auth store.Auth) ([]byte, error) {
	m, err := parse.Parse(raw)
	r := s.envelope(j, mode, auth, m)
	r.Parsed = err == nil
	for _, b := range budgets(j.Thin) {
		r.Omitted = []string{}
		r.fill(m, b, func(index int) string {
			return s.link(j, fmt.Sprintf("attachments/%d", index))
		})
		if !r.Parsed {
			r.Omitted = append(r.Omitted, "parsed")
		}
		text, err := encode(body{Type: "email.received", Timestamp: stamp(s.c.Now()), Data: r})
		if err != nil || len(text) <= maxPayload {
			return text, err
		}
	}
	return s.bare(r)
}

// bare is the last resort: addresses and names that alone are too much.
func (s *Server) bare(r received) ([]byte, error) {
	r.Omitted = append(r.Omitted, "from", "to", "cc", "reply_to", "references")
	r.From, r.To, r.Cc, r.ReplyTo = []parse.Address{}, []parse.Address{}, []parse.Address{}, []parse.Address{}
	r.References = []string{}
	return encode(body{Type: "email.received", Timestamp: stamp(s.c.Now()), Data: r})
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it would make HTML half as large again
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// envelope fills in what is small.
func (s *Server) envelope(j store.DeliveryJob, mode store.ForwardMode, auth store.Auth, m parse.Message) received {
	msg := j.Message
	r := received{
		Schema: 1, MessageID: j.MessageID, DeliveryID: j.ID, Domain: j.Domain, Mode: string(mode),
		Envelope: envelope{
			MailFrom: msg.MailFrom, RcptTo: j.RcptTo, Detail: detail(j.RcptTo), Helo: msg.Helo, RemoteIP: msg.RemoteIP,
		},
		From: list(m.From), To: list(m.To), Cc: list(m.Cc), ReplyTo: list(m.ReplyTo),
		Subject: or(m.Subject, msg.Subject), RFCMessageID: m.MessageID, InReplyTo: m.InReplyTo,
		References: list(m.References),
		Raw: rawLink{
			Bytes: msg.Bytes, SHA256: msg.SHA256, URL: s.link(j, "raw"), ExpiresAt: stamp(s.rawUntil(j, mode)),
		},
		Auth: auth, Flags: m.Header.Flags(),
	}
	r.Flags.Bounce = r.Flags.Bounce || msg.MailFrom == ""
	if msg.TLS != "" {
		r.Envelope.TLS = &msg.TLS
	}
	if !m.Date.IsZero() {
		text := m.Date.Format(time.RFC3339)
		r.Date = &text
	}
	return r
}

// rawUntil is until when the octets are kept at least, if this try succeeds.
func (s *Server) rawUntil(j store.DeliveryJob, mode store.ForwardMode) time.Time {
	if mode == store.ForwardModeWebhookThenStore {
		return s.keep(j, s.c.Store.Retention())
	}
	return s.keep(j, keepDelivered)
}

// list makes JSON write [] and never null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// detail is the part of a local part behind its first plus sign (RFC 5233).
func detail(address string) string {
	local, _ := store.SplitAddress(address)
	_, d, _ := strings.Cut(local, "+")
	return d
}

// fill puts in what may be large, within a budget.
func (r *received) fill(m parse.Message, b budget, link func(index int) string) {
	r.Headers = [][2]string{}
	left := b.headers
	for _, f := range m.Header {
		value := parse.Cut(strings.ToValidUTF8(f.Value, "\uFFFD"), max(left, 0))
		if left -= len(f.Name) + len(f.Value); left < 0 {
			r.omit("headers")
			break
		}
		r.Headers = append(r.Headers, [2]string{parse.Printable(f.Name, 998), value})
	}
	r.Text, r.HTML = r.cut("text", m.Text, b.text), r.cut("html", m.HTML, b.text)
	r.Attachments = []attachment{}
	for _, p := range m.Parts {
		if len(r.Attachments) >= b.parts {
			r.omit("attachments")
			break
		}
		sum := sha256.Sum256(p.Content)
		r.Attachments = append(r.Attachments, attachment{
			Index: p.Index, Filename: p.Filename, ContentType: p.ContentType, ContentID: p.ContentID,
			Bytes: len(p.Content), SHA256: hex.EncodeToString(sum[:]), URL: link(p.Index),
		})
	}
}

func (r *received) cut(name, text string, limit int) content {
	c := content{Content: parse.Cut(text, limit), Bytes: len(text)}
	if c.Truncated = len(c.Content) < len(text); c.Truncated {
		r.omit(name)
	}
	return c
}

func (r *received) omit(name string) { r.Omitted = append(r.Omitted, name) }

// link is a URL of the API that opens without a key for a while.
func (s *Server) link(j store.DeliveryJob, what string) string {
	token := store.MessageToken(s.key, j.DomainID, j.MessageID, s.c.Now().Add(linkFor))
	return s.c.PublicURL + "/v2/domains/" + url.PathEscape(j.Domain) + "/messages/" + j.MessageID + "/" + what +
		"?token=" + token
}
