package inbound

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

const (
	// maxLine bounds one line: RFC 5321 section 4.5.3.1.6 wants 1000 octets,
	// some senders write far longer ones.
	maxLine = 64 << 10
	// maxReceived is where a message is taken to be in a loop (RFC 5321
	// section 6.3).
	maxReceived = 50
	// maxTransfer bounds the transfer of one message.
	maxTransfer = 30 * time.Minute
	// commitTimeout bounds the wait for the database.
	commitTimeout = 15 * time.Second
)

// newSMTP makes the library's server. What stands between it and the
// connections is wire: it has no TLS and no limit of size of its own.
func (s *Server) newSMTP(lmtp bool) *smtp.Server {
	x := smtp.NewServer(smtp.BackendFunc(s.traced))
	x.Domain = s.c.Hostname
	x.LMTP = lmtp
	x.MaxRecipients = maxRecipients
	x.ErrorLog = slog.NewLogLogger(s.c.Log.Handler(), slog.LevelDebug)
	return x
}

// session is one connection between two resets.
type session struct {
	s        *Server
	client   *smtp.Conn
	conn     *wire
	id, ip   string
	open     bool // MAIL was taken
	from     string
	rcpts    []store.Recipient
	returned string // the delivery that bounced, where the message is a bounce
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	own, ok := c.Conn().(*wire)
	if !ok {
		return nil, internal()
	}
	x := &session{s: s, client: c, conn: own, id: s.c.Store.NewMessageID()}
	if host, _, err := net.SplitHostPort(own.RemoteAddr().String()); err == nil {
		x.ip = host
	}
	return x, nil
}

// reply is the only way an error may leave: the library turns any other into
// 554, with its text.
func reply(code int, enhanced string, message string) *smtp.SMTPError {
	e := smtp.EnhancedCode{int(enhanced[0] - '0'), int(enhanced[2] - '0'), int(enhanced[4] - '0')}
	return &smtp.SMTPError{Code: code, EnhancedCode: e, Message: message}
}

func (x *session) refuse(reason string, e *smtp.SMTPError) error {
	x.s.c.OnRefuse(reason)
	return e
}

// Reset implements smtp.Session.
func (x *session) Reset() { x.open, x.from, x.rcpts, x.returned = false, "", nil, "" }

// Logout implements smtp.Session.
func (x *session) Logout() error { return nil }

// Mail implements smtp.Session.
func (x *session) Mail(from string, opts *smtp.MailOptions) error {
	if x.s.door.isDraining() {
		return x.refuse(RefusedShutdown, reply(421, "4.3.2", "shutting down"))
	}
	if x.open { // the library would keep the recipients of the first one
		return reply(503, "5.5.1", "RSET comes before another MAIL")
	}
	if opts != nil && opts.Size > x.s.c.MaxBytes {
		return x.refuse(RefusedSize, tooLarge())
	}
	if x.s.low() {
		return x.refuse(RefusedStorage, reply(452, "4.3.1", "insufficient storage"))
	}
	if !plainAddress(from) {
		return x.refuse(RefusedSyntax, reply(553, "5.6.7", "the address is too long, or not in ASCII"))
	}
	x.open, x.from = true, from
	return nil
}

// maxAddress is how long an address may be. RFC 5321 section 4.5.3.1 asks for
// 64 + 1 + 255 octets at least.
const maxAddress = 320

// plainAddress reports whether an address is one of RFC 5321: this server does
// not offer the extension for others (RFC 6531), nor does it take what no reply
// could repeat.
func plainAddress(address string) bool {
	for i := range len(address) {
		if address[i] < ' ' || address[i] > '~' {
			return false
		}
	}
	return len(address) <= maxAddress
}

func tooLarge() *smtp.SMTPError { return reply(552, "5.3.4", "message too large") }

// Rcpt implements smtp.Session: the envelope alone decides, and nothing is
// taken that is not for an active domain of ours.
func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !plainAddress(to) {
		return x.refuse(RefusedSyntax, reply(553, "5.6.7", "the address is too long, or not in ASCII"))
	}
	if x.s.forPostmaster(to) {
		if to = x.s.c.Postmaster; to == "" {
			return x.refuse(RefusedUnknown, reply(550, "5.1.1", "no mailbox for the postmaster here"))
		}
	}
	local, domain := store.SplitAddress(to)
	host, err := name.Host(domain)
	if domain == "" || err != nil {
		return x.refuse(RefusedUnknown, reply(550, "5.1.2", "no such domain here"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	if host == x.s.c.BounceDomain && isReturnPath(local) {
		return x.bounce(ctx, local)
	}
	r, err := x.s.c.Store.RecipientOf(ctx, host)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return x.refuse(RefusedUnknown, reply(550, "5.1.2", "no such domain here"))
	case errors.Is(err, store.ErrInactive):
		return x.refuse(RefusedInactive, reply(450, "4.2.1", "domain not active yet, try again later"))
	case err != nil:
		x.s.c.Log.Error("recipient not looked up", "error", err)
		return x.refuse(RefusedInternal, internal())
	}
	if r.Mode != store.ForwardModeStore && x.s.behind(ctx, r.DomainID) {
		return x.refuse(RefusedBacklog, reply(452, "4.3.1", "too much mail waits for this domain"))
	}
	if x.returned != "" {
		return x.refuse(RefusedBounce, reply(452, "4.5.3", "one recipient at a time for a return path"))
	}
	r.Address = local + "@" + host
	for _, other := range x.rcpts {
		if other.Address == r.Address {
			return nil
		}
	}
	x.rcpts = append(x.rcpts, r)
	return nil
}

func internal() *smtp.SMTPError {
	return reply(451, "4.3.0", "internal error, try again later")
}

// Data implements smtp.Session. Anything but a whole message that is durable is
// a refusal.
func (x *session) Data(io.Reader) error {
	x.conn.enter(phaseData)
	defer x.conn.enter(phaseReply)
	_ = x.conn.await(x.s.c.transfer) // reading says it too
	body := x.s.c.Store.NewBody()
	defer func() { _ = body.Close() }()
	head, err := x.receive(x.conn.body(), body)
	if err != nil {
		return err
	}
	header := parse.ReadHeader(head)
	if header.Count("Received") > maxReceived {
		return x.refuse(RefusedLoop, reply(550, "5.4.6", "too many Received header fields: a loop"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	if one := x.s.c.serial; one != nil {
		one.Lock()
		defer one.Unlock()
	}
	id, err := x.s.c.Store.AddMessage(ctx, x.message(header), body)
	if err != nil {
		return x.notKept(err)
	}
	if x.returned != "" && saysFailed(head) {
		x.s.noteReturned(ctx, x.returned, head)
	}
	x.s.c.OnAccept()
	x.accepted(id, body.Len())
	x.s.Wake()
	return reply(250, "2.0.0", "queued as "+id)
}

func (x *session) message(h parse.Header) store.NewMessage {
	m := store.NewMessage{
		Kind: store.MessageKindMail, MailFrom: x.from, Helo: parse.Printable(x.client.Hostname(), 255),
		RemoteIP: x.ip, TLS: x.conn.version(),
		Subject: h.Decoded("Subject", 998), From: h.Decoded("From", 998), Recipients: x.rcpts,
	}
	if x.returned != "" {
		m.Kind = store.MessageKindBounce
	}
	return m
}

// receive reads a message to its very end and returns its header section.
func (x *session) receive(r io.Reader, body *store.Body) ([]byte, error) {
	var head []byte
	inHead := true
	piece := x.s.pieces.Get().(*[32 << 10]byte)
	defer x.s.pieces.Put(piece)
	buf := piece[:]
	for {
		n, err := r.Read(buf)
		if body.Len()+int64(n) > x.s.c.MaxBytes {
			return nil, x.refuse(RefusedSize, tooLarge())
		}
		if n > 0 {
			if _, werr := body.Write(buf[:n]); werr != nil {
				return nil, x.notKept(werr)
			}
			if inHead {
				head = append(head, buf[:n]...)
				// A report is read further, for what it says is in its body.
				inHead = (x.returned != "" || parse.HeaderEnd(head) < 0) && len(head) < parse.MaxHeader
			}
		}
		switch {
		case err == io.EOF: //nolint:errorlint // a wrapped one is no end of data
			return head, nil
		case err != nil:
			return nil, x.broken(err)
		}
	}
}

// broken answers a transfer that did not come to its end.
func (x *session) broken(err error) error {
	switch {
	case errors.Is(err, smtp.ErrTooLongLine):
		return x.refuse(RefusedSize, reply(552, "5.3.4", "a line is too long"))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return x.refuse(RefusedAborted, reply(451, "4.4.2", "timeout while waiting for data"))
	default:
		return x.refuse(RefusedAborted, reply(451, "4.4.2", "message was not transferred to its end"))
	}
}

// notKept answers a message that could not be made durable.
func (x *session) notKept(err error) error {
	switch {
	case errors.Is(err, store.ErrFull), errors.Is(err, context.DeadlineExceeded):
		x.s.c.Log.Warn("message not kept", "error", err)
		return x.refuse(RefusedStorage, reply(452, "4.3.1", "insufficient storage"))
	case errors.Is(err, store.ErrUnavailable):
		x.s.c.Log.Warn("message not kept", "error", err)
		return x.refuse(RefusedStorage, reply(452, "4.3.1", "storage not available"))
	default:
		x.s.c.Log.Error("message not kept", "error", err)
		return x.refuse(RefusedInternal, internal())
	}
}

// isReturnPath reports whether a local part has the form of our return paths.
func isReturnPath(local string) bool {
	return len(local) == returnPathLen && strings.EqualFold(local[:1], returnPathMark)
}
