package server

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
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
	"state":            "invalid-state",
	"from":             "invalid-time",
	"until":            "invalid-time",
	"observed_value":   "invalid-observed-value",
	"cursor":           "invalid-cursor",
	"if-match":         "invalid-entity-tag",
}

// schemaFault says in our own words what the schema validator found in a body.
// Its texts and the values stay inside.
func schemaFault(e *openapi3.SchemaError) *fieldError {
	f, last := &fieldError{}, ""
	for _, token := range e.JSONPointer() {
		f.Pointer += "/" + pointerToken(token)
		last = token
	}
	switch e.SchemaField {
	case "required":
		f.Code, f.Detail = "missing", "this member is required"
	case "properties", "additionalProperties":
		f.Pointer += unknownMember(e.Reason)
		f.Code, f.Detail = "unknown-member", "this member is not documented"
	case "type", "nullable":
		f.Code, f.Detail = "wrong-type", "the value is not of the documented type"
	default:
		f.Code, f.Detail = valueFault(e.SchemaField, e.Schema)
		if code, ok := valueCodes[last]; ok {
			f.Code = code
		}
	}
	return f
}

// unknownMember points from an object to the member that the validator's reason
// quotes; to the object itself where the name is not a plain one.
func unknownMember(reason string) string {
	quoted, _ := strconv.QuotedPrefix(strings.TrimPrefix(reason, "property "))
	name, err := strconv.Unquote(quoted)
	if err != nil || !plainName(name) {
		return ""
	}
	return "/" + pointerToken(name)
}

// valueFault says which bound of the schema a value breaks.
func valueFault(keyword string, s *openapi3.Schema) (code, detail string) {
	switch keyword {
	case "enum":
		return "not-listed", "the value is one of " + strings.Trim(fmt.Sprint(s.Enum), "[]")
	case "minLength":
		return "too-short", fmt.Sprintf("the text has at least %d characters", s.MinLength)
	case "maxLength":
		return "too-long", fmt.Sprintf("the text has at most %d characters", *s.MaxLength)
	case "minimum", "maximum":
		return "out-of-range", fmt.Sprintf("the number is from %.0f to %.0f", *s.Min, *s.Max)
	case "pattern", "format":
		return "invalid-format", "the text is not of the documented form"
	default:
		return "invalid-value", "the value is not as documented"
	}
}

// pointerToken is a member's name, or an index, in a JSON pointer (RFC 6901). An
// unknown member's name is the client's text: only a plain one is repeated.
func pointerToken(s string) string {
	if index := len(s) <= 3 && strings.Trim(s, "0123456789") == ""; !index && !plainName(s) {
		return "…"
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
