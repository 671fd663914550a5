package server

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

// param is one parameter of an operation, made from its schema once: to walk
// the schema for every request costs more than all other checks together.
type param struct {
	name, in string
	required bool
	pointer  string
	check    func(string) (code, detail string) // "" for a good value
}

// newParam reads a parameter of openapi.yaml. A keyword that it does not know
// is an error: what is documented is checked.
func newParam(p *openapi3.Parameter) (param, error) {
	out := param{name: p.Name, in: p.In, required: p.Required, pointer: "/" + p.In + "/" + strings.ToLower(p.Name)}
	s := p.Schema.Value
	if s == nil || s.Format != "" || s.OneOf != nil || s.AnyOf != nil || s.AllOf != nil || s.Not != nil || s.Nullable {
		return out, fmt.Errorf("openapi.yaml: parameter %s has a keyword that nobody checks", p.Name)
	}
	switch {
	case s.Type.Is(openapi3.TypeInteger):
		if s.Min == nil || s.Max == nil {
			return out, fmt.Errorf("openapi.yaml: parameter %s is an integer without bounds", p.Name)
		}
		low, high := int64(*s.Min), int64(*s.Max)
		out.check = func(v string) (string, string) {
			_, code, detail := parseNumber(v, low, high)
			return code, detail
		}
	case s.Type.Is(openapi3.TypeString):
		check, err := textCheck(s)
		if err != nil {
			return out, fmt.Errorf("openapi.yaml: parameter %s: %w", p.Name, err)
		}
		out.check = check
		if p.Name == "user_id" || p.Name == "organization_id" {
			out.check = idCheck
		}
	default:
		return out, fmt.Errorf("openapi.yaml: parameter %s has a type that nobody checks", p.Name)
	}
	return out, nil
}

// idCheck has all of the rule that the schema's pattern has a part of.
func idCheck(v string) (code, detail string) {
	if fault := validID("", v); fault != nil {
		return fault.Code, fault.Detail
	}
	return "", ""
}

// textCheck holds a text against the bounds of a schema.
func textCheck(s *openapi3.Schema) (func(string) (string, string), error) {
	pattern, err := regexp.Compile(s.Pattern)
	if err != nil {
		return nil, fmt.Errorf("compile pattern: %w", err)
	}
	var listed []string
	for _, v := range s.Enum {
		listed = append(listed, fmt.Sprint(v))
	}
	return func(v string) (code, detail string) {
		n := uint64(utf8.RuneCountInString(v))
		switch {
		case listed != nil && !slices.Contains(listed, v):
			return valueFault("enum", s)
		case n < s.MinLength:
			return valueFault("minLength", s)
		case s.MaxLength != nil && n > *s.MaxLength:
			return valueFault("maxLength", s)
		case s.Pattern != "" && !pattern.MatchString(v):
			return valueFault("pattern", s)
		}
		return "", ""
	}, nil
}

// fault checks what was sent for the parameter; nil for nothing wrong.
func (p *param) fault(values []string) *fieldError {
	switch {
	case len(values) == 0 && p.required:
		return &fieldError{p.pointer, "missing", "this is required"}
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return &fieldError{p.pointer, "repeated-parameter", "this stands once"}
	}
	code, detail := p.check(values[0])
	if code == "" {
		return nil
	}
	if own, ok := valueCodes[strings.ToLower(p.name)]; ok {
		code = own
	}
	return &fieldError{p.pointer, code, detail}
}
