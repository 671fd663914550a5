package inbound

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/emersion/go-smtp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/domaind/domaind/store"
)

// traced returns sessions that make a span of each transaction (RFC 5321
// section 3.3), from MAIL to the answer of the data or to whatever ends it
// before; without a Tracer, the sessions as they are.
func (s *Server) traced(c *smtp.Conn) (smtp.Session, error) {
	x, err := s.newSession(c)
	if err != nil || s.c.Tracer == nil {
		return x, err
	}
	return &tracedSession{Session: x, tracer: s.c.Tracer}, nil
}

// tracedSession tells what was answered. It never names an address or a host.
type tracedSession struct {
	smtp.Session
	tracer trace.Tracer

	mu    sync.Mutex // Logout may come in the middle of Data, by a forced end
	span  trace.Span // nil outside of a transaction
	rcpts int
}

// Mail implements smtp.Session.
func (x *tracedSession) Mail(from string, opts *smtp.MailOptions) error {
	x.end("none", 0)
	x.mu.Lock()
	_, x.span = x.tracer.Start(context.Background(), "smtp.transaction", trace.WithSpanKind(trace.SpanKindServer))
	x.rcpts = 0
	x.mu.Unlock()
	err := x.Session.Mail(from, opts)
	if err != nil {
		x.end("MAIL", codeOf(err))
	}
	return err
}

// Rcpt implements smtp.Session.
func (x *tracedSession) Rcpt(to string, opts *smtp.RcptOptions) error {
	err := x.Session.Rcpt(to, opts)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.span == nil:
	case err == nil:
		x.rcpts++
	default:
		x.span.AddEvent("refused", trace.WithAttributes(attribute.Int("smtp.reply.code", codeOf(err))))
	}
	return err
}

// Data implements smtp.Session.
func (x *tracedSession) Data(r io.Reader) error {
	err := x.Session.Data(r)
	x.end("DATA", codeOf(err))
	return err
}

// Reset implements smtp.Session.
func (x *tracedSession) Reset() {
	x.end("none", 0)
	x.Session.Reset()
}

// Logout implements smtp.Session.
func (x *tracedSession) Logout() error {
	x.end("none", 0)
	return x.Session.Logout()
}

// end ends the span, with the command whose reply ended the transaction.
func (x *tracedSession) end(command string, code int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.span == nil {
		return
	}
	x.span.SetAttributes(
		attribute.String("smtp.ended_by", command), attribute.Int("smtp.reply.code", code),
		attribute.Int("smtp.recipients", x.rcpts))
	x.span.End()
	x.span = nil
}

// codeOf is the code of a reply; 0 is for an error that is none.
func codeOf(err error) int {
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return e.Code
	}
	return 0
}

// tracedTry makes a span of one try of a delivery, and tells the hook of its
// end. Without a Tracer it only returns the hook.
func (s *Server) tracedTry(ctx context.Context) (context.Context, func(store.ForwardMode, string)) {
	if s.c.Tracer == nil {
		return ctx, s.c.OnDelivery
	}
	ctx, span := s.c.Tracer.Start(ctx, "inbound.delivery")
	return ctx, func(mode store.ForwardMode, result string) {
		span.SetAttributes(attribute.String("delivery.mode", string(mode)), attribute.String("delivery.result", result))
		span.End()
		s.c.OnDelivery(mode, result)
	}
}
