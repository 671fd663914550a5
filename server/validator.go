package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
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
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security != nil && len(*op.Security) == 0 {
				continue // no key, and nothing to get wrong
			}
			name, _ := op.Extensions[scopeExtension].(string)
			scope := store.Scope(name)
			if rank[scope] == 0 {
				return nil, fmt.Errorf("openapi.yaml: %s has no %s", op.OperationID, scopeExtension)
			}
			route := &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			all[op.OperationID] = []echo.MiddlewareFunc{s.authenticate(scope), newShape(route).validate}
		}
	}
	return all, nil
}

// shape is what a call of one operation must look like.
type shape struct {
	route   *routers.Route
	query   []string // the names of its query parameters
	headers []string // the names of its header parameters
	options *openapi3filter.Options
}

func newShape(route *routers.Route) *shape {
	sh := &shape{route: route, options: &openapi3filter.Options{
		MultiError:          true,
		SkipSettingDefaults: true,
		KeepValidatedValue:  true,
		AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc, // done before
	}}
	for _, p := range route.Operation.Parameters {
		switch p.Value.In {
		case openapi3.ParameterInQuery:
			sh.query = append(sh.query, p.Value.Name)
		case openapi3.ParameterInHeader:
			sh.headers = append(sh.headers, p.Value.Name)
		}
	}
	return sh
}

// validate lets through what has the shape; the handler's own rules follow.
func (sh *shape) validate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path, err := sh.parameters(c)
		if err != nil {
			return err
		}
		if sh.route.Operation.RequestBody != nil {
			if err := readBody(c); err != nil {
				return err
			}
		}
		r := c.Request()
		err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request:     r,
			PathParams:  path,
			QueryParams: c.QueryParams(),
			Route:       sh.route,
			Options:     sh.options,
		})
		if err != nil {
			return shapeProblem(err)
		}
		if err := checkIDs(c.QueryParams(), r.Body); err != nil {
			return err
		}
		return next(c)
	}
}

// parameters checks what the schema validator lets pass: unknown and repeated
// parameters, and text that is none. It returns the path parameters, decoded.
func (sh *shape) parameters(c echo.Context) (map[string]string, error) {
	r := c.Request()
	if faults := checkQuery(r.URL.RawQuery, sh.query); faults != nil {
		return nil, badParameter(faults...)
	}
	for _, h := range sh.headers {
		if len(r.Header.Values(h)) > 1 {
			return nil, badParameter(fieldError{"/header/" + strings.ToLower(h), "repeated-header", "this header field stands once"})
		}
	}
	if values, ok := c.QueryParams()["limit"]; ok {
		if _, fault := parseLimit(values[0]); fault != nil {
			return nil, badParameter(*fault)
		}
	}
	path := map[string]string{}
	for _, name := range c.ParamNames() {
		value, err := c.Param(name), error(nil)
		if r.URL.RawPath != "" { // the router matched the path as it was sent
			value, err = url.PathUnescape(value)
		}
		fault := checkPathValue(name, value)
		if err != nil {
			fault = checkPathValue(name, "")
		}
		if fault != nil {
			return nil, badParameter(*fault)
		}
		path[name] = value
	}
	return path, nil
}

// checkIDs holds the two ids, which are in most calls, against their rule; the
// schema has only the part of it that a pattern can say.
func checkIDs(query url.Values, body io.ReadCloser) error {
	members := map[string]any{}
	if b, ok := body.(interface{ ValidatedValue() any }); ok {
		members, _ = b.ValidatedValue().(map[string]any)
	}
	for _, name := range []string{"user_id", "organization_id"} {
		if v, ok := query[name]; ok {
			if fault := validID("/query/"+name, v[0]); fault != nil {
				return badParameter(*fault)
			}
		}
		if v, ok := members[name].(string); ok {
			if err := refusal(validID("/"+name, v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readBody reads a JSON body in full and leaves it to be read again.
func readBody(c echo.Context) error {
	r := c.Request()
	if r.ContentLength > maxBody {
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
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON) // as the document spells it
	r.ContentLength = int64(len(body))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
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

// shapeProblem turns the schema validator's findings into one problem: 400 when
// a parameter is wrong, else 422 for what is wrong in the body.
func shapeProblem(err error) error {
	var inParameters, inBody []fieldError
	for _, e := range flatten(err) {
		re, ok := errors.AsType[*openapi3filter.RequestError](e)
		switch {
		case !ok:
			return fmt.Errorf("validate request: %w", err)
		case re.Parameter != nil:
			prefix := "/" + re.Parameter.In + "/" + strings.ToLower(re.Parameter.Name)
			inParameters = append(inParameters, faults(prefix, re.Err)...)
		default:
			inBody = append(inBody, faults("", re.Err)...)
		}
	}
	if len(inParameters) > 0 {
		return badParameter(inParameters...)
	}
	entries := each(inBody, func(f fieldError) *fieldError { return &f })
	if err := refusal(entries...); err != nil {
		return err
	}
	return fmt.Errorf("validate request: %w", err)
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
