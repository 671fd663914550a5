package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	gen "github.com/domaind/domaind/gen/client"
)

// FieldError says what is wrong at one place of a request.
type FieldError = gen.FieldError

// maxProblem bounds what is read of an answer that is no 2xx.
const maxProblem = 1 << 20

// Problem is a service's answer other than 2xx (RFC 9457). Code is stable and
// for programs, Errors says where and why. An answer that is no problem
// document, such as a proxy's, has Status and Title only.
type Problem struct {
	gen.Problem
	// RetryAfter is how long the service asks to wait; 0 when it does not say.
	RetryAfter time.Duration
}

// Error returns the problem in one line: its code and detail, then each of its
// errors by pointer.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Code == "" {
		_, _ = fmt.Fprintf(&b, "the service answered %d %s, without saying why", p.Status, p.Title)
		return b.String()
	}
	_, _ = fmt.Fprintf(&b, "%s: %s", p.Code, p.Detail)
	for _, e := range p.Errors {
		_, _ = fmt.Fprintf(&b, " [%s %s: %s]", e.Pointer, e.Code, e.Detail)
	}
	return b.String()
}

// readProblem turns an answer into an error, and closes its body.
func readProblem(resp *http.Response) *Problem {
	defer func() { _ = resp.Body.Close() }()
	p := &Problem{RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType != "application/problem+json" ||
		json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&p.Problem) != nil {
		p.Problem = gen.Problem{Title: http.StatusText(resp.StatusCode)}
	}
	p.Status = resp.StatusCode
	return p
}

// retryAfter reads the header's seconds (RFC 9110 section 10.2.3). Its other
// form, a date, is one that the service never writes.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// reply is what a generated answer can say of itself.
type reply interface {
	Status() string
	ContentType() string
}

// given returns the document of an answer, and an error when the answer has
// none although it is 2xx: something other than the service wrote it.
func given[T any](document *T, r reply) (T, error) {
	if document == nil {
		var none T
		return none, fmt.Errorf("the answer is %s of type %q, which the service does not write", r.Status(), r.ContentType())
	}
	return *document, nil
}
