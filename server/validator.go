package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
)

// scopeExtension names the least scope of an operation in openapi.yaml.
const scopeExtension = "x-required-scope"

// operations builds the middlewares of every operation of openapi.yaml: first
// the key, then the shape. An operation that asks for a key must say which
// scope it needs.
func (s *Server) operations() (map[string][]echo.MiddlewareFunc, error) {
	doc, err := api.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("load the embedded openapi.yaml: %w", err)
	}
	all := map[string][]echo.MiddlewareFunc{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.Security != nil && len(*op.Security) == 0 {
				continue // no key, and nothing to get wrong
			}
			name, _ := op.Extensions[scopeExtension].(string)
			scope := store.Scope(name)
			if rank[scope] == 0 {
				return nil, fmt.Errorf("openapi.yaml: %s has no %s", op.OperationID, scopeExtension)
			}
			shape, err := newShape(op)
			if err != nil {
				return nil, err
			}
			links := takesLinks(op)
			if links {
				shape.query = append(shape.query, tokenParam)
			}
			all[op.OperationID] = []echo.MiddlewareFunc{s.authenticate(scope, links), shape.validate}
		}
	}
	return all, nil
}

// takesLinks reports whether a link's token opens the operation.
func takesLinks(op *openapi3.Operation) bool {
	if op.Security == nil {
		return false
	}
	for _, way := range *op.Security {
		if _, ok := way[linkScheme]; ok {
			return true
		}
	}
	return false
}

// shape is what a call of one operation must look like.
type shape struct {
	params []param
	query  []string // the names of its query parameters
	body   *openapi3.Schema
}

func newShape(op *openapi3.Operation) (*shape, error) {
	sh := &shape{}
	for _, ref := range op.Parameters {
		p, err := newParam(ref.Value)
		if err != nil {
			return nil, err
		}
		sh.params = append(sh.params, p)
		if p.in == openapi3.ParameterInQuery {
			sh.query = append(sh.query, p.name)
		}
	}
	if op.RequestBody != nil {
		media := op.RequestBody.Value.Content[echo.MIMEApplicationJSON]
		if media == nil || media.Schema == nil {
			return nil, fmt.Errorf("openapi.yaml: %s has a body that nobody checks", op.OperationID)
		}
		sh.body = media.Schema.Value
	}
	return sh, nil
}

// validate lets through what has the shape; the handler's own rules follow.
func (sh *shape) validate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := sh.parameters(c); err != nil {
			return err
		}
		if sh.body != nil {
			if err := sh.readBody(c); err != nil {
				return err
			}
		}
		return next(c)
	}
}

// parameters checks the path, the query and the header parameters.
func (sh *shape) parameters(c echo.Context) error {
	r := c.Request()
	faults := checkQuery(r.URL.RawQuery, sh.query)
	if faults != nil {
		return badParameter(faults...)
	}
	for i := range sh.params {
		p := &sh.params[i]
		fault := p.fault(p.sent(c))
		if fault == nil && p.in == openapi3.ParameterInPath {
			fault = checkPathValue(p.name, p.sent(c)[0])
		}
		if fault != nil {
			faults = append(faults, *fault)
		}
	}
	if faults != nil {
		return badParameter(faults...)
	}
	return nil
}

// sent gives what was sent for the parameter, decoded.
func (p *param) sent(c echo.Context) []string {
	switch p.in {
	case openapi3.ParameterInQuery:
		return c.QueryParams()[p.name]
	case openapi3.ParameterInHeader:
		return c.Request().Header.Values(p.name)
	}
	return []string{pathValue(c, p.name)}
}

// pathValue gives a parameter of the path, decoded.
func pathValue(c echo.Context, name string) string {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" { // else the router matched the path as it was sent
		return value
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "" // net/http has refused it before
	}
	return decoded
}

// readBody reads a JSON body in full, checks it, and leaves the value to the
// strict handler, which binds it without a second decoding.
func (sh *shape) readBody(c echo.Context) error {
	r := c.Request()
	if r.ContentLength > maxBody {
		if r.Header.Get("Expect") != "" { // it waits for a word before it sends (RFC 9110 section 10.1.1)
			return newProblem(codeContentTooLarge)
		}
		return tooLarge(c)
	}
	if r.ContentLength != 0 {
		if err := checkMediaType(r.Header); err != nil {
			return err
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return newProblem(codeMalformedJSON).with("The body ended before its time.")
	}
	if len(body) > maxBody {
		return tooLarge(c)
	}
	if fault := preparse(body); fault != nil {
		code := codeMalformedJSON
		if fault.Status == http.StatusUnprocessableEntity {
			code = codeValidationError
		}
		return newProblem(code, toFieldError(fault.fieldError))
	}
	value, err := sh.decode(body)
	if err != nil {
		return err
	}
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON) // whatever its case was
	r.Body = validatedBody{bytes.NewReader(body), value}
	r.ContentLength = int64(len(body))
	return nil
}

// validatedBody is a body that was decoded and checked; the generated code asks
// for the value, and reads the octets again only where that does not fit.
type validatedBody struct {
	*bytes.Reader
	value any
}

// ValidatedValue returns what was checked.
func (b validatedBody) ValidatedValue() any { return b.value }

// Close does nothing: the body was read.
func (validatedBody) Close() error { return nil }

// decode reads a body that preparse has passed and holds it against the schema.
func (sh *shape) decode(body []byte) (any, error) {
	var value any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("decode a body that was parsed before: %w", err)
	}
	err := sh.body.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest())
	if err == nil {
		return value, checkIDs(value)
	}
	var faults []*fieldError
	for _, e := range flatten(err) {
		se, ok := errors.AsType[*openapi3.SchemaError](e)
		if !ok {
			return nil, fmt.Errorf("validate body: %w", err)
		}
		faults = append(faults, schemaFault(se))
	}
	return nil, refusal(faults...)
}

// checkIDs holds the two ids against their rule; the schema has only the part
// of it that a pattern can say.
func checkIDs(value any) error {
	members, _ := value.(map[string]any)
	var faults []*fieldError
	for _, name := range []string{"user_id", "organization_id"} {
		if id, ok := members[name].(string); ok {
			faults = append(faults, validID("/"+name, id))
		}
	}
	return refusal(faults...)
}

// checkMediaType wants JSON in UTF-8 without a content coding.
func checkMediaType(h http.Header) error {
	if len(h.Values(echo.HeaderContentType)) > 1 {
		return badParameter(fieldError{"/header/content-type", "repeated-header", "this header field stands once"})
	}
	media, params, err := mime.ParseMediaType(h.Get(echo.HeaderContentType))
	charset, has := params["charset"]
	coding := h.Get(echo.HeaderContentEncoding)
	switch {
	case err != nil, media != echo.MIMEApplicationJSON,
		has && !strings.EqualFold(charset, "utf-8"),
		coding != "" && !strings.EqualFold(coding, "identity"):
		return newProblem(codeUnsupportedMediaType)
	}
	return nil
}

// tooLarge refuses a body. Some of the rest is read first: to a client that is
// still writing, a closed connection would look like a broken one.
func tooLarge(c echo.Context) error {
	const (
		patience = 2 * time.Second
		rest     = 4 << 20
	)
	c.Response().Header().Set("Connection", "close")
	if err := http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(patience)); err == nil {
		_, _ = io.CopyN(io.Discard, c.Request().Body, rest) // whatever it brings
	}
	return newProblem(codeContentTooLarge)
}

// flatten takes the lists of errors apart.
func flatten(err error) []error {
	me, ok := err.(openapi3.MultiError) //nolint:errorlint // a list, not a chain
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range me {
		all = append(all, flatten(e)...)
	}
	return all
}
