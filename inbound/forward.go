package inbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/authres"

	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// markField names us in what we forward.
const markField = "X-Forwarded-By"

func (s *Server) mark() string { return "domaind " + s.c.Hostname }

// forward makes one try to forward a delivery.
func (s *Server) forward(ctx context.Context, j store.DeliveryJob, route store.DeliveryRoute, raw []byte) store.Outcome {
	hold := func(why string) store.Outcome { return s.hold(j, store.ForwardModeForwardEmail, why) }
	switch {
	case s.c.Relay.Mode == RelayOff:
		return hold(store.HoldForwardingOff)
	case !usable(route.ForwardTo):
		return hold(store.HoldNoEndpoint)
	}
	header := parse.ReadHeader(raw)
	if s.looped(header, j.RcptTo) {
		return hold(store.HoldLoop)
	}
	auth := s.authOf(ctx, j, raw)
	if !j.Forced {
		switch gate(auth) {
		case gateWait:
			o := s.retry(j, store.ForwardModeForwardEmail, &store.Attempt{
				At: s.c.Now(), Error: "the sender could not be authenticated yet: DNS did not answer",
			})
			if o.State != store.DeliveryStateQueued {
				return hold(store.HoldUnauthenticated)
			}
			return o
		case gateUnauthenticated:
			return hold(store.HoldUnauthenticated)
		case gateWouldBreak:
			return hold(store.HoldDMARCWouldBreak)
		}
	}
	m := mail{to: route.ForwardTo, data: s.forwarded(j, auth, raw)}
	if j.Message.MailFrom != "" {
		m.from = s.returnPath(j.ID)
	}
	return s.afterRelay(ctx, j, m, relayNotice{auth: auth, header: header, raw: raw})
}

// usable reports whether an address can be put into an SMTP command.
func usable(address string) bool {
	local, domain := store.SplitAddress(address)
	return local != "" && domain != "" && len(address) <= 254 && !strings.ContainsAny(address, " \t\r\n<>\x00")
}

// looped reports whether a message was forwarded here before.
func (s *Server) looped(h parse.Header, rcpt string) bool {
	for _, v := range h.All(markField) {
		if strings.EqualFold(v, s.mark()) {
			return true
		}
	}
	for _, v := range h.All("Delivered-To") {
		if strings.EqualFold(v, rcpt) {
			return true
		}
	}
	return false
}

// What stands between a message and its forwarding.
const (
	gateOpen            = iota
	gateWait            // DNS has not said yet
	gateUnauthenticated // neither SPF nor DKIM passed
	gateWouldBreak      // SPF alone made DMARC pass, and it will not at the next hop
)

// gate decides by what authenticated the sender. An unauthenticated message
// would cost our own name, and one that DMARC makes the next hop reject would
// only come back.
func gate(a store.Auth) int {
	dkim, aligned, unknown := false, false, a.SPF.Result == resultTempError
	for _, d := range a.DKIM {
		dkim = dkim || d.Result == resultPass
		aligned = aligned || d.Result == resultPass && d.Aligned
		unknown = unknown || d.Result == resultTempError
	}
	switch {
	case a.SPF.Result != resultPass && !dkim && unknown:
		return gateWait
	case a.SPF.Result != resultPass && !dkim:
		return gateUnauthenticated
	case aligned:
		return gateOpen
	case a.DMARC.Policy == "reject" && unknown, a.DMARC.Result == resultTempError && a.DMARC.Policy == "":
		return gateWait
	case a.DMARC.Policy == "reject":
		return gateWouldBreak
	default:
		return gateOpen
	}
}

// afterRelay hands a message on and turns the reply into what becomes of the
// delivery.
func (s *Server) afterRelay(ctx context.Context, j store.DeliveryJob, m mail, n relayNotice) store.Outcome {
	const mode = store.ForwardModeForwardEmail
	started := time.Now()
	a := &store.Attempt{At: s.c.Now()}
	r := s.relay(ctx, m)
	a.Took, a.Status, a.Answer = time.Since(started), r.status, r.text
	if r.err != nil {
		a.Error = parse.Printable(r.err.Error(), 300)
	}
	var o store.Outcome
	switch {
	case r.err == nil:
		return store.Outcome{
			State: store.DeliveryStateDelivered, Mode: mode, Tries: j.Tries + 1, Attempt: a,
			KeepUntil: s.keep(j, keepDelivered),
		}
	case ctx.Err() != nil:
		return s.wait(j, 0)
	case r.permanent:
		o = store.Outcome{
			State: store.DeliveryStateFailed, Mode: mode, Tries: j.Tries + 1, Attempt: a,
			KeepUntil: s.keep(j, keepFailed),
		}
	default:
		o = s.retry(j, mode, a)
	}
	if o.State != store.DeliveryStateFailed {
		return o
	}
	if j.Message.Kind == store.MessageKindMail {
		o.Event = store.Event{Type: store.EventDeliveryFailed, To: string(o.State), Detail: parse.Cut(a.Error, 200)}
	}
	s.notify(j, n, a, &o)
	return o
}

// forwardNotice sends a report to the sender of the mail that it is about.
func (s *Server) forwardNotice(ctx context.Context, j store.DeliveryJob, raw []byte) store.Outcome {
	switch {
	case s.c.Relay.Mode == RelayOff:
		return s.hold(j, store.ForwardModeForwardEmail, store.HoldForwardingOff)
	case !usable(j.Target):
		return s.hold(j, store.ForwardModeForwardEmail, store.HoldUnsupported)
	}
	m := mail{to: j.Target, data: newCanonical(raw)}
	if j.Message.Kind == store.MessageKindBounce {
		head := "Received: " + s.receivedField(j)
		m.data = withHead([]byte(head+"\r\n"), raw)
	}
	return s.afterRelay(ctx, j, m, relayNotice{})
}

// forwarded is a message as it leaves: what was received, behind our trace.
func (s *Server) forwarded(j store.DeliveryJob, auth store.Auth, raw []byte) io.ReadSeeker {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Delivered-To: %s\r\n", clip(j.RcptTo))
	fmt.Fprintf(&b, "%s: %s\r\n", markField, s.mark())
	fmt.Fprintf(&b, "Authentication-Results: %s\r\n", s.authResults(j.Message, auth))
	fmt.Fprintf(&b, "Received: %s\r\n", s.receivedField(j))
	return withHead(b.Bytes(), raw)
}

func withHead(head, raw []byte) io.ReadSeeker {
	return newCanonical(append(head, raw...))
}

// clip makes text from outside fit for a header field.
func clip(text string) string { return parse.Printable(text, 300) }

// receivedField is the trace of RFC 5321 section 4.4.
func (s *Server) receivedField(j store.DeliveryJob) string {
	m := j.Message
	with := "ESMTP"
	switch {
	case m.RemoteIP == "": // no TCP: a unix socket
		with = "LMTP"
	case m.TLS != "":
		with = "ESMTPS"
	}
	ip := m.RemoteIP
	if strings.Contains(ip, ":") {
		ip = "IPv6:" + ip
	}
	return fmt.Sprintf("from %s ([%s])\r\n\tby %s with %s id %s\r\n\tfor <%s>; %s", word(m.Helo), word(ip),
		s.c.Hostname, with, m.ID, clip(j.RcptTo), m.ReceivedAt.UTC().Format(time.RFC1123Z))
}

// word keeps a name from outside one word.
func word(text string) string {
	return or(strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("()<>;\\\"", r) {
			return -1
		}
		return r
	}, parse.Cut(text, 255)), "unknown")
}

func (s *Server) authResults(m store.Message, a store.Auth) string {
	results := []authres.Result{
		&authres.SPFResult{Value: authres.ResultValue(a.SPF.Result), From: word(m.MailFrom), Helo: word(m.Helo)},
	}
	for _, d := range a.DKIM {
		results = append(results, &authres.DKIMResult{Value: authres.ResultValue(d.Result), Domain: word(d.Domain)})
	}
	results = append(results, &authres.DMARCResult{Value: authres.ResultValue(a.DMARC.Result), From: word(a.DMARC.Domain)})
	return strings.ReplaceAll(authres.Format(s.c.Hostname, results), "; ", ";\r\n\t")
}
