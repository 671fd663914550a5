package server

import (
	"net/http"
	"net/netip"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// trace makes a span of each request, around observe, so that the access log
// has its id. The ready-made middleware for Echo is not used: it puts the path,
// which has the domain, the client's address and the text of errors into the
// span. Probes and scrapes have none.
func (s *Server) trace(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		route := route(c)
		switch route {
		case "/livez", "/readyz", "/metrics":
			return next(c)
		}
		r := c.Request()
		ctx := r.Context()
		if s.isProxy(r.RemoteAddr) {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		name, method := tracedMethod(r.Method)
		ctx, span := s.cfg.Tracer.Start(ctx, name+" "+route, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route)))
		defer span.End()
		c.SetRequest(r.WithContext(ctx))
		err := next(c)
		status := c.Response().Status
		span.SetAttributes(
			attribute.Int("http.response.status_code", status),
			attribute.String("domaind.request_id", callFrom(c.Request().Context()).id),
		)
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		return err
	}
}

// isProxy reports whether a peer may say which trace a request belongs to: one
// that may say for whom it speaks. Anybody else could have everything recorded,
// or mix his requests into the traces of others.
func (s *Server) isProxy(peer string) bool {
	addr, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(addr.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// tracedMethod returns the method, which is the client's text, in the words that
// OpenTelemetry has for the name of a span and for its attribute.
func tracedMethod(method string) (name, attribute string) {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return method, method
	default:
		return "HTTP", "_OTHER"
	}
}
