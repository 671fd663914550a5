package server

import (
	"net/http"

	"github.com/domaind/domaind/gen/api"
)

// The kinds of failure: the top-level codes of a problem document. They are
// few and stable; what exactly is wrong stands in errors.
const (
	codeMalformedJSON        = "malformed-json"
	codeInvalidParameter     = "invalid-parameter"
	codeValidationError      = "validation-error"
	codeInvalidAPIKey        = "invalid-api-key"
	codeInsufficientScope    = "insufficient-scope"
	codeUserMismatch         = "user-mismatch"
	codeNotFound             = "not-found"
	codeMethodNotAllowed     = "method-not-allowed"
	codeConflict             = "conflict"
	codeGone                 = "gone"
	codePreconditionFailed   = "precondition-failed"
	codeContentTooLarge      = "content-too-large"
	codeUnsupportedMediaType = "unsupported-media-type"
	codeHeadersTooLarge      = "headers-too-large"
	codeRateLimited          = "rate-limited"
	codeInternal             = "internal"
	codeUnavailable          = "unavailable"
	codeStorageFull          = "storage-full"
)

// kind is what is fixed about a kind of failure.
type kind struct {
	code   string
	status int
	title  string
	detail string // unless the failure has something better to say
}

// kinds lists every kind, by status. It is also what /docs/problems shows.
var kinds = []kind{
	{codeMalformedJSON, http.StatusBadRequest, "Malformed JSON", "The body is not one well-formed JSON document."},
	{codeInvalidParameter, http.StatusBadRequest, "Invalid parameter", "A path, query or header parameter is unknown, repeated, missing or malformed; errors says which."},
	{codeInvalidAPIKey, http.StatusUnauthorized, "Missing or invalid API key", "Send one valid API key in the x-api-key header. It was missing, or it is unknown, revoked or expired."},
	{codeInsufficientScope, http.StatusForbidden, "Insufficient scope", "This API key may not make this call."},
	{codeUserMismatch, http.StatusForbidden, "Another user or organization", "This API key is bound to another user or organization."},
	{codeNotFound, http.StatusNotFound, "Not found", "There is no such call, or no such thing for this user."},
	{codeMethodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed", "The path does not take this method; the Allow header lists those it takes."},
	{codeConflict, http.StatusConflict, "Conflict", "The user has this name already, in an organization that the API key does not reach."},
	{codeGone, http.StatusGone, "Gone", "The link has expired or was revoked; ask for a new one."},
	{codePreconditionFailed, http.StatusPreconditionFailed, "Precondition failed", "The route is not the version that If-Match names; read it again."},
	{codeContentTooLarge, http.StatusRequestEntityTooLarge, "Content too large", "A body may have at most 65536 octets."},
	{codeUnsupportedMediaType, http.StatusUnsupportedMediaType, "Unsupported media type", "Send the body as application/json in UTF-8, without a content coding."},
	{codeValidationError, http.StatusUnprocessableEntity, "Validation error", "The body was refused; errors says where and why."},
	{codeRateLimited, http.StatusTooManyRequests, "Too many requests", "Wait for as many seconds as Retry-After says."},
	{codeHeadersTooLarge, http.StatusRequestHeaderFieldsTooLarge, "Headers too large", "The request line and the header fields may have at most 16384 octets."},
	{codeInternal, http.StatusInternalServerError, "Internal error", "The service failed, and wrote to its log under the request id that is the instance."},
	{codeUnavailable, http.StatusServiceUnavailable, "Unavailable", "The service cannot do this just now; try again later."},
	{codeStorageFull, http.StatusInsufficientStorage, "Storage full", "The service has no room to store anything just now; try again later."},
}

// problem is a failure on its way to the client: the error that handlers and
// middleware return.
type problem struct {
	kind
	errors  []api.FieldError
	headers map[string]string
}

// Error returns the code.
func (p *problem) Error() string { return p.code }

// newProblem makes a problem of a kind.
func newProblem(code string, errs ...api.FieldError) *problem {
	for _, k := range kinds {
		if k.code == code {
			return &problem{kind: k, errors: errs}
		}
	}
	return newProblem(codeInternal)
}

// with replaces the detail.
func (p *problem) with(detail string) *problem {
	p.detail = detail
	return p
}

// header adds a header field to the answer.
func (p *problem) header(key, value string) *problem {
	if p.headers == nil {
		p.headers = map[string]string{}
	}
	p.headers[key] = value
	return p
}

// document is what goes over the wire.
func (p *problem) document(instance string) api.Problem {
	return api.Problem{
		Type:     "/docs/problems/" + p.code,
		Title:    p.title,
		Status:   p.status,
		Detail:   p.detail,
		Instance: instance,
		Code:     p.code,
		Errors:   p.errors,
	}
}
