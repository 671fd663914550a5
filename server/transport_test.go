package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/domaind/domaind/store/storetest"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("text/dns", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("message/rfc822", openapi3filter.FileBodyDecoder)
	os.Exit(storetest.Run(m, ""))
}

// validatingTransport holds every exchange against the contract.
type validatingTransport struct {
	fail   func(error)
	router routers.Router

	mu   sync.Mutex
	seen map[string]map[int]bool // statuses of an operation
}

// newTransport returns one that reports violations of doc to fail.
func newTransport(t testing.TB, doc *openapi3.T, fail func(error)) *validatingTransport {
	doc.Servers = nil // any address
	router, err := legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
	ok(t, err)
	return &validatingTransport{fail: fail, router: router, seen: map[string]map[int]bool{}}
}

// RoundTrip sends the request and validates the answer. What the document does
// not have, such as an unknown path, passes.
func (v *validatingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if route, path, err := v.router.FindRoute(r); err == nil {
		return resp, v.check(r, resp, &openapi3filter.RequestValidationInput{Request: r, PathParams: path, Route: route})
	}
	return resp, nil
}

// check validates an answer; its body can be read again afterwards.
func (v *validatingTransport) check(r *http.Request, resp *http.Response, in *openapi3filter.RequestValidationInput) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in,
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	id := in.Route.Operation.OperationID
	if err != nil {
		v.fail(fmt.Errorf("%s: %d: %w", id, resp.StatusCode, err))
	}
	v.note(id, resp.StatusCode)
	return nil
}

func (v *validatingTransport) note(operation string, status int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen[operation] == nil {
		v.seen[operation] = map[int]bool{}
	}
	v.seen[operation][status] = true
}
