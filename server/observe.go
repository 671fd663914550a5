package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"
)

// observe stands around everything: request id, security headers, panics,
// metrics, and one line in the access log.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := s.cfg.Now()
		ctx, call := withCall(c.Request().Context())
		c.SetRequest(c.Request().WithContext(ctx))
		secure(c.Response().Header(), call.id)
		if err := guarded(next, c); err != nil {
			s.writeProblem(err, c)
		}
		s.observed(c, call, s.cfg.Now().Sub(start))
		return nil
	}
}

// guarded turns a panic into an error, so that it is answered and logged like
// any other failure. net/http uses http.ErrAbortHandler itself.
func guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch r := recover(); {
		case r == nil:
		case r == any(http.ErrAbortHandler):
			panic(r)
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return next(c)
}

// common are the headers of every answer, by their canonical names; the lists
// are shared by all answers and never changed. Pages that need more than
// nothing replace the policy. With what else an answer of the API has, they are
// eight: a ninth makes the map of the headers, which net/http copies, a large one.
var common = map[string][]string{
	echo.HeaderXContentTypeOptions:   {"nosniff"},
	echo.HeaderXFrameOptions:         {"DENY"},
	echo.HeaderContentSecurityPolicy: {"default-src 'none'; frame-ancestors 'none'"},
	echo.HeaderCacheControl:          {"no-store"},
}

func secure(h http.Header, id string) {
	for key, values := range common {
		h[key] = values[:1:1]
	}
	h[echo.HeaderXRequestID] = []string{id}
}

// observed counts and logs a request that was answered. The log has the route
// and the domain, never a query, a header or a body.
func (s *Server) observed(c echo.Context, call *call, took time.Duration) {
	r, w := c.Request(), c.Response()
	s.metrics.observe(route(c), r.Method, w.Status, took)
	if s.cfg.AccessLog == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", call.id),
		slog.String("method", r.Method),
		slog.String("route", route(c)),
		slog.Int("status", w.Status),
		slog.Int64("bytes", w.Size),
		slog.Duration("duration", took),
		slog.String("remote", c.RealIP()),
	}
	for _, a := range []slog.Attr{
		slog.String("domain", s.loggedDomain(c)), slog.String("key", call.key.ID), slog.String("code", call.code),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	s.cfg.AccessLog.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
}

// loggedDomain is the domain of the path. Where a call failed, it may be any
// text, a key that was put in the wrong place too: then only a name is logged.
func (s *Server) loggedDomain(c echo.Context) string {
	text := c.Param("domain")
	if text == "" || c.Response().Status < http.StatusBadRequest {
		return text
	}
	n, fault := validDomain("", pathValue(c, "domain"), s.cfg.Policy)
	if fault != nil {
		return ""
	}
	return n.ASCII
}

// route is the template of the path, which has no values in it.
func route(c echo.Context) string {
	if p := c.Path(); p != "" {
		return p
	}
	return "none"
}

// headAsGet answers HEAD as GET (RFC 9110 section 9.3.2). net/http goes by the
// request that it read itself, and leaves the body out.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			get := *r
			get.Method = http.MethodGet
			r = &get
		}
		next.ServeHTTP(w, r)
	})
}

// limitHeaders refuses a request whose line and header fields are longer than
// maxHeaders.
func limitHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	const around = len(": \r\n")
	return func(c echo.Context) error {
		r := c.Request()
		n := len(r.RequestURI)
		for key, values := range r.Header {
			for _, v := range values {
				n += len(key) + len(v) + around
			}
		}
		if n > maxHeaders {
			return newProblem(codeHeadersTooLarge)
		}
		return next(c)
	}
}
