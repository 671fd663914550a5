package server

import (
	"strings"
	"testing"
)

func TestCheckQuery(t *testing.T) {
	allowed := []string{"user_id", "limit", "cursor", "status"}
	tests := []struct{ raw, want string }{
		{"", ""}, {"user_id=u1", ""}, {"user_id=u1&limit=5&", ""}, {"user%5Fid=u1", ""}, {"cursor=a==", ""}, {"user_id=a+b%20c", ""}, {"user_id", ""}, {"user_id=", ""},
		{"user_id=%E2%80%8B", ""}, {"user_id=%3B", ""}, {"user_id=😀", ""},
		{"user_id=u1&user_id=u2", "repeated-parameter /query/user_id"},
		{"user_id=u1&user_id=u1", "repeated-parameter /query/user_id"},
		{"user_id=u1&user%5Fid=u2", "repeated-parameter /query/user_id"},
		{"cursor&cursor", "repeated-parameter /query/cursor"},
		{"user_id=u1&offset=5", "unknown-parameter /query/offset"},
		{"user_id=u1&Limit=5", "unknown-parameter /query/Limit"},
		{"user_id[]=u1", "unknown-parameter /query/user_id[]"},
		{"user_id =u1", "unknown-parameter /query"},
		{"user_id+=u1", "unknown-parameter /query"},
		{"=u1", "unknown-parameter /query/"},
		{"x-api-key=k", "unknown-parameter /query/x-api-key"},
		{"dmd_0123=1", "unknown-parameter /query"},
		{strings.Repeat("a", 33) + "=1", "unknown-parameter /query"},
		{"user_id=u1&%00=1", "malformed-parameter /query"},
		{"cursor=%00", "malformed-parameter /query/cursor"},
		{"user_id=u1%", "malformed-parameter /query/user_id"},
		{"user_id=%zz", "malformed-parameter /query/user_id"},
		{"user_id=%u0041", "malformed-parameter /query/user_id"},
		{"%=1", "malformed-parameter /query"},
		{"user_id=%ff", "malformed-parameter /query/user_id"},
		{"user_id=%c0%80", "malformed-parameter /query/user_id"},
		{"user_id=%ed%a0%80", "malformed-parameter /query/user_id"},
		{"user_id=u1;limit=5", "malformed-parameter /query/user_id"},
		{"a=1&user_id=u1&user_id=%", "unknown-parameter /query/a, malformed-parameter /query/user_id"},
		{"b&b", "unknown-parameter /query/b, unknown-parameter /query/b"},
	}
	for _, tt := range tests {
		var got []string
		for _, f := range checkQuery(tt.raw, allowed) {
			got = append(got, f.Code+" "+f.Pointer)
			if f.Detail == "" {
				t.Errorf("checkQuery(%q): no detail", tt.raw)
			}
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("checkQuery(%q) = %q, want %q", tt.raw, got, tt.want)
		}
	}
	if f := checkQuery("force=1", nil); len(f) != 1 || f[0].Code != "unknown-parameter" {
		t.Errorf("a call without parameters takes one: %+v", f)
	}
	if f := checkQuery(strings.Repeat("a&", 5000), nil); len(f) != maxQueryErrors {
		t.Errorf("%d entries for 5000 faults", len(f))
	}
}

func TestCheckPathValue(t *testing.T) {
	for in, code := range map[string]string{
		"customer.com": "", "..": "", "a b": "", "bücher.de": "",
		"": "malformed-parameter", "a\x00b": "malformed-parameter", "a\xff": "malformed-parameter",
	} {
		wantFault(t, in, checkPathValue("domain", in), code, "/path/domain")
	}
}
