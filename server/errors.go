package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// retryAfter is what a client is told to wait when the service is unwell.
const retryAfter = "5"

// fromError has one row for each error that may leave a handler: the first
// that fits decides. What no row knows is an internal error.
var fromError = []struct {
	is      func(error) bool
	problem func(error) *problem
}{
	{as[*problem], func(err error) *problem { p, _ := errors.AsType[*problem](err); return p }},
	{is(store.ErrNoOctets), func(error) *problem {
		return newProblem(codeNotFound).with("The message is there, but its octets are lost: the service no longer has the file that held them.")
	}},
	{is(store.ErrNotFound), of(codeNotFound)},
	{is(parse.ErrNoAttachment), of(codeNotFound)},
	{is(store.ErrNoEndpoint), func(error) *problem {
		return newProblem(codeConflict).with("The route has no webhook_url to call.")
	}},
	{is(store.ErrConflict), of(codeConflict)},
	{is(store.ErrGone), of(codeGone)},
	{is(store.ErrPrecondition), of(codePreconditionFailed)},
	{is(store.ErrCursor), func(error) *problem {
		return badParameter(fieldError{"/query/cursor", "invalid-cursor", "this is no next_cursor of a page before"})
	}},
	{is(store.ErrFull), later(codeStorageFull)},
	{is(store.ErrUnavailable), later(codeUnavailable)},
	{is(dnscheck.ErrClosed), later(codeUnavailable)},
	{is(context.Canceled), later(codeUnavailable)},
	{is(context.DeadlineExceeded), later(codeUnavailable)},
	{as[*json.UnmarshalTypeError], wrongType},
	{as[*echo.HTTPError], fromEcho},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func of(code string) func(error) *problem {
	return func(error) *problem { return newProblem(code) }
}

func later(code string) func(error) *problem {
	return func(error) *problem { return newProblem(code).header("Retry-After", retryAfter) }
}

// toProblem finds an error's problem.
func toProblem(err error) *problem {
	for _, row := range fromError {
		if row.is(err) {
			return row.problem(err)
		}
	}
	return newProblem(codeInternal)
}

// wrongType is a body that fits the schema but not its Go type, such as an
// integer written with an exponent.
func wrongType(err error) *problem {
	e, _ := errors.AsType[*json.UnmarshalTypeError](err)
	pointer := ""
	if e.Field != "" {
		pointer = "/" + strings.ReplaceAll(e.Field, ".", "/")
	}
	return newProblem(codeValidationError, api.FieldError{Pointer: pointer, Code: "wrong-type", Detail: "The value is not of the documented type."})
}

// fromEcho turns what the router and the generated wrapper report. The wrapper
// has only one complaint: a parameter that it cannot bind.
func fromEcho(err error) *problem {
	e, _ := errors.AsType[*echo.HTTPError](err)
	switch e.Code {
	case http.StatusNotFound:
		return newProblem(codeNotFound)
	case http.StatusMethodNotAllowed:
		return newProblem(codeMethodNotAllowed)
	case http.StatusBadRequest:
		return newProblem(codeInvalidParameter)
	default:
		return newProblem(codeInternal)
	}
}

// badParameter is a 400 for parameters.
func badParameter(faults ...fieldError) *problem {
	return newProblem(codeInvalidParameter, each(faults, toFieldError)...)
}

// refusal is a 422 for what is wrong in a body; nil when nothing is.
func refusal(faults ...*fieldError) error {
	var entries []api.FieldError
	for _, f := range faults {
		if f != nil {
			entries = append(entries, toFieldError(*f))
		}
	}
	if entries == nil {
		return nil
	}
	return newProblem(codeValidationError, entries...)
}

// bodyName reads the domain of a body.
func (s *Server) bodyName(text string) (name.Name, error) {
	n, fault := validDomain("/domain", text, s.cfg.Policy)
	return n, refusal(fault)
}

// pathName reads the domain of a path.
func (s *Server) pathName(text string) (string, error) {
	n, fault := validDomain("/path/domain", text, s.cfg.Policy)
	if fault != nil {
		return "", badParameter(*fault)
	}
	return n.ASCII, nil
}

// writeProblem is the one place that writes an answer other than 2xx. The text
// of a 5xx is fixed; its cause goes to the log, once.
func (s *Server) writeProblem(err error, c echo.Context) {
	p := toProblem(err)
	call := callFrom(c.Request().Context())
	if p.status >= http.StatusInternalServerError {
		s.logFailure(c, p, err)
	}
	if c.Response().Committed {
		return
	}
	call.code = p.code
	h := c.Response().Header()
	for key, value := range p.headers {
		h.Set(key, value)
	}
	if p.status == http.StatusMethodNotAllowed {
		h.Set(echo.HeaderAllow, allowed(c))
	}
	if wantsPage(c, p) {
		s.writeProblemPage(c, p)
		return
	}
	hide(p.errors, c.Request().Header.Get(keyHeader))
	body, err := json.Marshal(p.document(call.instance()))
	if err != nil { // cannot be: the document is plain text and numbers
		body = []byte("{}")
	}
	h.Del("ETag")
	_ = c.Blob(p.status, "application/problem+json", append(body, '\n')) // a client that is gone
}

// hide cuts pointers before the caller's key: a member or a parameter that is
// named like it does not bring it into an answer.
func hide(entries []api.FieldError, key string) {
	for i, e := range entries {
		if at := strings.Index(e.Pointer, key); key != "" && at >= 0 {
			entries[i].Pointer = e.Pointer[:max(strings.LastIndexByte(e.Pointer[:at], '/'), 0)]
		}
	}
}

// logFailure writes the cause of a 5xx. A client that went away is no failure.
func (s *Server) logFailure(c echo.Context, p *problem, err error) {
	if errors.Is(err, context.Canceled) || p.code == codeUnavailable && s.draining.Load() {
		return
	}
	s.cfg.Log.ErrorContext(c.Request().Context(), "request failed",
		"request_id", callFrom(c.Request().Context()).id, "route", c.Path(), "code", p.code, "error", err)
}

// allowed is the Allow header: what the router has, and HEAD where it has GET.
func allowed(c echo.Context) string {
	methods, _ := c.Get(echo.ContextKeyHeaderAllow).(string)
	if strings.Contains(methods, http.MethodGet) {
		methods += ", " + http.MethodHead
	}
	return methods
}
