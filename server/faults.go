package server

import (
	"errors"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// valueCodes has the code for a refused value of a member or parameter that
// has rules of its own; the schema sees only some of them.
var valueCodes = map[string]string{
	"user_id":          "invalid-id",
	"organization_id":  "invalid-id",
	"webhook_url":      "webhook-url-refused",
	"webhook_secret":   "invalid-secret",
	"forward_to_email": "invalid-email",
	"forward_mode":     "invalid-forward-mode",
	"status":           "invalid-status",
	"observed_value":   "invalid-observed-value",
	"cursor":           "invalid-cursor",
	"if-match":         "invalid-entity-tag",
}

// faults says in our own words what the schema validator found. Its texts and
// the values stay inside.
func faults(prefix string, err error) []fieldError {
	var all []fieldError
	for _, e := range flatten(err) {
		se, isSchema := errors.AsType[*openapi3.SchemaError](e)
		switch {
		case isSchema:
			all = append(all, schemaFault(prefix, se))
		case errors.Is(e, openapi3filter.ErrInvalidRequired):
			all = append(all, fieldError{prefix, "missing", "this is required"})
		case errors.Is(e, openapi3filter.ErrInvalidEmptyValue):
			all = append(all, fieldError{prefix, "empty", "this must not be empty"})
		default:
			all = append(all, fieldError{prefix, "wrong-type", "the value is not of the documented type"})
		}
	}
	return all
}

func schemaFault(prefix string, e *openapi3.SchemaError) fieldError {
	pointer, last := prefix, prefix[strings.LastIndexByte(prefix, '/')+1:]
	if path := e.JSONPointer(); len(path) > 0 {
		last = path[len(path)-1]
		for _, token := range path {
			pointer += "/" + pointerToken(token)
		}
	}
	f := fieldError{Pointer: pointer}
	switch e.SchemaField {
	case "required":
		f.Code, f.Detail = "missing", "this member is required"
	case "properties", "additionalProperties":
		f.Code, f.Detail = "unknown-member", "this member is not documented"
	case "type", "nullable":
		f.Code, f.Detail = "wrong-type", "the value is not of the documented type"
	default:
		f.Code, f.Detail = valueFault(e)
		if code, ok := valueCodes[last]; ok {
			f.Code = code
		}
	}
	return f
}

// valueFault says which bound of the schema a value breaks.
func valueFault(e *openapi3.SchemaError) (code, detail string) {
	s := e.Schema
	switch e.SchemaField {
	case "enum":
		return "not-listed", "the value is one of " + strings.Trim(fmt.Sprint(s.Enum), "[]")
	case "minLength":
		return "too-short", fmt.Sprintf("the text has at least %d characters", s.MinLength)
	case "maxLength":
		return "too-long", fmt.Sprintf("the text has at most %d characters", *s.MaxLength)
	case "minimum", "maximum":
		return "out-of-range", fmt.Sprintf("the number is from %.0f to %.0f", *s.Min, *s.Max)
	case "pattern":
		return "invalid-format", "the text is not of the documented form"
	default:
		return "invalid-value", "the value is not as documented"
	}
}

// pointerToken is a member's name in a JSON pointer (RFC 6901). An unknown
// member's name is the client's text: only a plain one is repeated.
func pointerToken(s string) string {
	if !plainName(s) {
		return "…"
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
