package server

import (
	"errors"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestSchemaFaultUnknownMember points at a member that is not documented, so
// that a typing error is found, but repeats no text that is no plain name.
func TestSchemaFaultUnknownMember(t *testing.T) {
	inner := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	schema := openapi3.NewObjectSchema().WithProperty("inner", inner).WithoutAdditionalProperties()
	for _, tt := range []struct {
		member  string
		pointer string
	}{
		{"user", "/user"}, {"User_ID", "/User_ID"}, {"", "/"},
		{"two words", ""}, {"dmd_0123", ""}, {`a"b`, ""}, {"a\u202eb", ""}, {"property \"x\"", ""},
		{"abcdefghijklmnopqrstuvwxyzabcdefg", ""},
	} {
		for at, value := range map[string]map[string]any{
			"": {tt.member: 1}, "/inner": {"inner": map[string]any{tt.member: 1}},
		} {
			err := schema.VisitJSON(value)
			e, ok := errors.AsType[*openapi3.SchemaError](err)
			if !ok {
				t.Fatalf("%q: %v", tt.member, err)
			}
			wantFault(t, tt.member, schemaFault(e), "unknown-member", at+tt.pointer)
		}
	}
}
