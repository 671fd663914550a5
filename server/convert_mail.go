package server

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// What an answer shows of one message; the raw message has all of it.
const (
	maxText        = 256 << 10 // octets of the text, and of the HTML
	maxAttachments = 500
)

func fromDeliveryParams(p api.ListDeliveriesParams) store.DeliveryFilter {
	return store.DeliveryFilter{
		State: store.DeliveryState(value(p.State)), Limit: valueOr(p.Limit, defaultLimit), Cursor: value(p.Cursor),
	}
}

func fromRetryRange(b api.RetryDeliveriesRequest) (store.DeliveryRange, error) {
	r := store.DeliveryRange{States: each(b.States, func(s api.RetryDeliveriesRequestStates) store.DeliveryState {
		return store.DeliveryState(s)
	})}
	var late, early *fieldError
	r.From, early = fromTime("/from", b.From)
	r.Until, late = fromTime("/until", b.Until)
	if err := refusal(early, late); err != nil {
		return store.DeliveryRange{}, err
	}
	if b.From != nil && b.Until != nil && !r.From.Before(r.Until) {
		return store.DeliveryRange{}, refusal(&fieldError{"/until", "invalid-time", "until is later than from"})
	}
	return r, nil
}

// fromTime reads a time of RFC 3339; the zero time for none. The store takes
// what is not after 1970 for no bound at all.
func fromTime(pointer string, text *string) (time.Time, *fieldError) {
	if text == nil {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil || t.UnixMilli() <= 0 {
		return time.Time{}, &fieldError{pointer, "invalid-time", "a time is written as in RFC 3339, and after 1970"}
	}
	return t, nil
}

func toMessage(m store.Message) api.Message {
	out := api.Message{
		ID: m.ID, ReceivedAt: m.ReceivedAt.UTC(), MailFrom: m.MailFrom, Subject: m.Subject, HeaderFrom: m.From,
		Bytes: m.Bytes, Sha256: m.SHA256, Helo: m.Helo, RemoteIP: m.RemoteIP, TLS: optional(m.TLS),
		Auth: toAuth(m.Auth), Deliveries: each(m.Deliveries, toDelivery),
	}
	if len(m.Deliveries) > 0 {
		out.RcptTo = m.Deliveries[0].RcptTo
	}
	return out
}

func toAuth(a *store.Auth) *api.MessageAuth {
	if a == nil {
		return nil
	}
	return &api.MessageAuth{
		SPF: api.MessageAuth_SPF{Result: a.SPF.Result, Domain: optional(a.SPF.Domain)},
		DKIM: each(a.DKIM, func(d store.AuthDKIM) api.MessageAuth_DKIM {
			return api.MessageAuth_DKIM{
				Result: d.Result, Domain: optional(d.Domain), Reason: optional(d.Reason), Aligned: d.Aligned,
			}
		}),
		DMARC: api.MessageAuth_DMARC{
			Result: a.DMARC.Result, Domain: optional(a.DMARC.Domain), Policy: optional(a.DMARC.Policy),
		},
	}
}

func toDelivery(d store.Delivery) api.Delivery {
	out := api.Delivery{
		ID: d.ID, MessageID: d.MessageID, RcptTo: d.RcptTo, Mode: api.ForwardMode(d.Mode), State: api.DeliveryState(d.State),
		Hold: optional(d.Hold), Tries: d.Tries, NextAt: optionalTime(d.NextAt), CreatedAt: d.CreatedAt.UTC(),
		DoneAt: optionalTime(d.DoneAt), KeepUntil: optionalTime(d.KeepUntil),
	}
	if d.Last != nil {
		out.LastAttempt = ptr(toAttempt(*d.Last))
	}
	return out
}

func toAttempt(a store.Attempt) api.Attempt {
	out := api.Attempt{
		At: a.At.UTC(), DurationMs: a.Took.Milliseconds(), Error: optional(a.Error), Answer: optional(a.Answer),
	}
	if a.N > 0 {
		out.N = &a.N
	}
	if a.Status > 0 {
		out.Status = &a.Status
	}
	return out
}

// toMessageDetails joins what is known of a message with what is in it.
func toMessageDetails(m store.Message, p parse.Message, parsed bool, l links) api.MessageDetails {
	head := toMessage(m)
	out := api.MessageDetails{
		ID: head.ID, ReceivedAt: head.ReceivedAt, MailFrom: head.MailFrom, RcptTo: head.RcptTo, Subject: head.Subject,
		HeaderFrom: head.HeaderFrom, Bytes: head.Bytes, Sha256: head.Sha256, Helo: head.Helo, RemoteIP: head.RemoteIP,
		TLS: head.TLS, Auth: head.Auth, Deliveries: head.Deliveries,
		Parsed: parsed, From: each(p.From, toAddress), To: each(p.To, toAddress), Cc: each(p.Cc, toAddress),
		ReplyTo: each(p.ReplyTo, toAddress), Date: optionalTime(p.Date), RfcMessageID: optional(p.MessageID),
		InReplyTo: optional(p.InReplyTo), References: append([]string{}, p.References...),
		Raw:     api.RawMessage{Bytes: m.Bytes, Sha256: m.SHA256, URL: l.raw(), ExpiresAt: keptUntil(m.Deliveries)},
		Omitted: []string{}, LinksExpireAt: l.until.UTC(),
	}
	flags := p.Header.Flags()
	out.Flags = api.MessageFlags{
		AutoSubmitted: flags.AutoSubmitted, Bounce: flags.Bounce || m.MailFrom == "", List: flags.List,
	}
	addContent(&out, p, l)
	return out
}

// addContent adds what may be long, and names what it cut.
func addContent(out *api.MessageDetails, p parse.Message, l links) {
	omit := func(cut bool, name string) {
		if cut {
			out.Omitted = append(out.Omitted, name)
		}
	}
	out.Text, out.HTML = toText(p.Text), toText(p.HTML)
	omit(out.Text.Truncated, "text")
	omit(out.HTML.Truncated, "html")
	out.Headers = each(p.Header, toHeader)
	omit(len(p.Parts) > maxAttachments, "attachments")
	out.Attachments = each(p.Parts[:min(len(p.Parts), maxAttachments)], func(p parse.Part) api.Attachment {
		sum := sha256.Sum256(p.Content)
		return api.Attachment{
			Index: p.Index, Filename: p.Filename, ContentType: p.ContentType, ContentID: p.ContentID,
			Bytes: len(p.Content), Sha256: hex.EncodeToString(sum[:]), URL: l.attachment(p.Index),
		}
	})
}

func toText(text string) api.MessageText {
	cut := parse.Cut(text, maxText)
	return api.MessageText{Content: cut, Truncated: len(cut) < len(text), Bytes: len(text)}
}

func toHeader(f parse.Field) []string {
	return []string{parse.Printable(f.Name, len(f.Name)), strings.ToValidUTF8(f.Value, "\uFFFD")}
}

func toAddress(a parse.Address) api.MailAddress {
	return api.MailAddress{Name: optional(a.Name), Address: a.Address}
}

// keptUntil is when the last of the deliveries is removed; nil while one is
// still open.
func keptUntil(all []store.Delivery) *time.Time {
	var last time.Time
	for _, d := range all {
		if d.KeepUntil.IsZero() {
			return nil
		}
		if d.KeepUntil.After(last) {
			last = d.KeepUntil
		}
	}
	return optionalTime(last)
}
