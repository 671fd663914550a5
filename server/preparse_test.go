package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func deep(open, inside, end string, n int) string {
	return strings.Repeat(open, n) + inside + strings.Repeat(end, n)
}

func members(n int, last string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":%d,`, i, i)
	}
	return "{" + b.String() + last + "}"
}

func TestPreparseAccepts(t *testing.T) {
	tests := []string{
		`{}`, `[]`, `""`, `0`, `-1`, `true`, `null`, " \t\r\n{ } \n",
		`{"domain":"a.com","user_id":"u1"}`,
		`{"dom\u0061in":"\u0065x.com","user_id":"u1"}`,
		`{"user_id":"u\ud83d\ude00"}`,
		`{"user_id":"u\uD83D\uDE00 \" \\ \/ \b\f\n\r\t"}`,
		`{"user_id":"😀 é \ufeff"}`,
		"{\"a\":\"\uFEFF\"}",
		`{"a":{"b":1},"b":{"b":2},"c":[{"b":1},{"b":2}]}`,
		`{"a":1,"aa":2,"":3,"á":4}`,
		`{"user_id":1,"user-id":2,"userid":3}`,
		`[9223372036854775807,-9223372036854775808,0,10]`,
		deep("[", "", "]", 16), deep(`{"a":`, "1", "}", 16), `{"x":` + deep("[", "", "]", 15) + "}",
		members(40, `"last":1`), members(40, `"in":`+members(40, `"last":1`)),
		"[" + strings.Repeat(members(40, `"last":1`)+",", 3) + "0]",
		"{" + strings.Repeat(" ", 65000) + "}",
	}
	for _, in := range tests {
		if f := preparse([]byte(in)); f != nil {
			t.Errorf("preparse(%.80s) = %+v", in, *f)
		}
	}
}

func TestPreparseRefuses(t *testing.T) {
	tests := []struct {
		code, pointer string
		status        int
		in            []string
	}{
		{"empty-body", "", 400, []string{"", " ", "\n\t\r "}},
		{"byte-order-mark", "", 400, []string{"\xEF\xBB\xBF{}"}},
		{"unexpected-end", "", 400, []string{"{", `"a`, `"a\`, "-", "1.", "1e", `{"`}},
		{"unexpected-end", "/a", 400, []string{`{"a"`, `{"a":`, `{"a":1`, `{"a":"b`}},
		{"syntax", "", 400, []string{
			`{'domain':'a.com'}`, `{"a":1,}`, `{,}`, `{a:1}`, `{1:2}`, `}`, `]`, `,`, `:`, "+1", "/* x */ {}",
			"// x\n{}", "\v{}", "\f{}", "\u00a0{}", "\u2028{}", "NaN", "Infinity", "-Infinity", ".5", "True", "nul", "tru", "undefined", "`a`",
			"\x1e{}", "\u200b{}", `{"a":1,]`, "'a'", "\"a\x01\"", "\"a\nb\"", "\"a\tb\"", "--1", "-a", "-.5",
		}},
		{"syntax", "/a", 400, []string{`{"a":}`, `{"a" 1}`, `{"a",1}`, `{"a":+1}`, `{"a":-Infinity}`, `{"a":NaN}`, `{"a":0x1}`, `{"a":01}`, `{"a":1 "b":2}`, `{"a":"b"]`, `{"a":'b'}`, `{"a":"\x41"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\U0041"}`, "{\"a\":\"b\nc\"}", `{"a":"\'"}`, `{"a":.1}`, `{"a":1.}`, `{"a":1e}`, `{"a":truefalse}`, `{"a":"b""c"}`, `{"a":1_0}`}},
		{"syntax", "/1", 400, []string{`[1,]`, `[0,}`, `[1,2}`}},
		{"unexpected-end", "/0", 400, []string{"[", "[1", `["a`}},
		{"syntax", "/0", 400, []string{`[1 2]`, `[,1]`, `[1;2]`}},
		{"trailing-data", "", 400, []string{`{} garbage`, `{}{}`, `{} null`, `{}]`, `{}}`, `[]]`, "{}\n// x", `1 2`, `{},`, `truefalse`, `01`, `00`, `""""`, "{}\u00a0"}},
		{"nul", "", 400, []string{"{\x00}", "{}\x00", "\x00", "{\x00\"\x00", "\"\x00\"", `"\u0000"`, "{\"a\x00\":1}", `{"\u0000":1}`}},
		{"nul", "/a", 400, []string{`{"a":"x\u0000"}`, "{\"a\":\"x\x00y\"}", "{\"a\":\x00}"}},
		{"invalid-utf8", "", 400, []string{"\"\xff\"", "\xff{}", "{\"\xfc\":1}"}},
		{"invalid-utf8", "/a", 400, []string{"{\"a\":\"b\xfccher\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xe2\x82\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xf8\x88\x80\x80\x80\"}", "{\"a\":\"\x80\"}"}},
		{"lone-surrogate", "/a", 400, []string{`{"a":"u\ud800"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\udc00"}`, `{"a":"\ud800x"}`, `{"a":"\ud800\u0041"}`, `{"a":"\ud83d\ud83d\ude00"}`, `{"a":"\uD800\n"}`}},
		{"lone-surrogate", "", 400, []string{`{"\ud800":1}`}},
		{"duplicate-member", "/user_id", 400, []string{`{"user_id":"u1","user_id":"u2"}`, `{"user_id":1,"a":2,"user_id":1}`, `{"USER_ID":1,"user\u005fid":2}`, members(40, `"USER_id":1,"user_id":2`)}},
		{"duplicate-member", "/DOMAIN", 400, []string{`{"domain":"a.com","user_id":"u1","DOMAIN":"evil.com"}`}},
		{"duplicate-member", "/uſer_id", 400, []string{`{"user_id":"u1","uſer_id":"u2"}`, `{"USER_ID":"u1","u\u017fer_id":"u2"}`}},
		{"duplicate-member", "/\u212a", 400, []string{"{\"k\":1,\"\u212a\":2}"}},
		{"duplicate-member", "/É", 400, []string{`{"é":1,"É":2}`}},
		{"duplicate-member", "/M7", 400, []string{members(40, `"M7":1`), members(16, `"M7":1`), members(17, `"M7":1`)}},
		{"duplicate-member", "/x/1/b", 400, []string{`{"x":[{"b":1,"c":[{"b":1}]},{"b":1,"b":2}]}`}},
		{"duplicate-member", "/", 400, []string{`{"":1,"":2}`}},
		{"duplicate-member", "/A~1b~0", 400, []string{`{"a/b~":1,"A/b~":2}`}},
		{"duplicate-member", "/m0", 400, []string{`{"m0":` + members(40, `"x":1`) + `,"m0":1}`}},
		{"too-deep", "/x" + strings.Repeat("/0", 15), 400, []string{`{"x":` + deep("[", "", "]", 16) + "}", `{"x":` + deep("[", "", "]", 17) + "}"}},
		{"too-deep", strings.Repeat("/0", 16), 400, []string{deep("[", "", "]", 17), strings.Repeat("[", 30000), deep("[", "1", "]", 200), deep("[", "{}", "]", 16)}},
		{"too-deep", strings.Repeat("/a", 16), 400, []string{deep(`{"a":`, "1", "}", 17)}},
		{"not-an-integer", "/id", 422, []string{`{"id":1.0}`, `{"id":1.5}`, `{"id":1e0}`, `{"id":1E+2}`, `{"id":-0}`, `{"id":1e400}`, `{"id":0.0,"b":2.5}`, `{"id":-0.0}`, `{"id":1e-1}`}},
		{"out-of-range", "/id", 422, []string{`{"id":9223372036854775808}`, `{"id":-9223372036854775809}`, `{"id":99999999999999999999999}`, `{"a":1,"id":18446744073709551616,"b":1.5}`}},
		{"duplicate-member", "/id", 400, []string{`{"id":1.5,"id":2}`}}, // the shape goes before the value
		{"trailing-data", "", 400, []string{`{"id":1.5} x`}},
	}
	for _, tt := range tests {
		for _, in := range tt.in {
			f := preparse([]byte(in))
			if f == nil || f.Code != tt.code || f.Pointer != tt.pointer || f.Status != tt.status || f.Detail == "" {
				t.Errorf("preparse(%.80q) = %+v; want %s at %q, %d", in, f, tt.code, tt.pointer, tt.status)
			}
		}
	}
}

// TestPreparsePointerIsBounded keeps a hostile name out of answers and logs.
func TestPreparsePointerIsBounded(t *testing.T) {
	long := strings.Repeat("n", 60000)
	f := preparse([]byte(`{"` + long + `":{"a\u202eb\n":1.5}}`))
	if f == nil || len(f.Pointer) > 200 || !strings.HasSuffix(f.Pointer, "/a?b?") {
		t.Errorf("pointer %.300q", f.Pointer)
	}
}

// FuzzPreparse: whatever is accepted is one valid document to encoding/json,
// and a document that it accepts is refused only for what JSON leaves open.
func FuzzPreparse(f *testing.F) {
	for _, s := range []string{
		`{"domain":"a.com","user_id":"u1","id":12,"x":[true,false,null,-1.5e+3,""]}`, `{"a":1,"A":2}`, "\"\xff\"", `"\ud83d\ude00\u0000"`,
		`[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]`, `{"a":{"a":{"a":[{},[],{"":""}]}}}`, "\xEF\xBB\xBF1", `{}{}`, `[1,2,]`, members(20, `"M3":0`),
	} {
		f.Add([]byte(s))
	}
	open := map[string]bool{
		"nul": true, "invalid-utf8": true, "lone-surrogate": true, "duplicate-member": true,
		"too-deep": true, "not-an-integer": true, "out-of-range": true,
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keep := bytes.Clone(body)
		fault := preparse(body)
		if !bytes.Equal(keep, body) {
			t.Fatal("preparse changed the body")
		}
		valid := json.Valid(body)
		if fault == nil && !valid {
			t.Fatalf("accepted %q", body)
		}
		if fault != nil && valid && !open[fault.Code] {
			t.Fatalf("%q is valid JSON and refused: %+v", body, fault)
		}
		if fault == nil {
			sameForAll(t, body)
		}
	})
}

// sameForAll decodes an accepted body by tokens and finds in it no duplicate.
func sameForAll(t *testing.T, body []byte) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var stack []map[string]bool // nil for an array
	name := false               // the next string is a name
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		if s, ok := tok.(string); ok && name {
			s = string(appendFolded(nil, []byte(s)))
			top := stack[len(stack)-1]
			if top[s] {
				t.Fatalf("accepted %q with %q twice", body, s)
			}
			top[s], name = true, false
			continue
		}
		switch tok {
		case json.Delim('{'):
			stack = append(stack, map[string]bool{})
		case json.Delim('['):
			stack = append(stack, nil)
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		name = len(stack) > 0 && stack[len(stack)-1] != nil
	}
}

func BenchmarkPreparse(b *testing.B) {
	for name, body := range map[string]string{
		"create":  `{"domain":"customer.com","user_id":"user_123","organization_id":"org_456"}`,
		"route":   `{"user_id":"user_123","forward_mode":"webhook_then_store","webhook_url":"https://example.com/hook","webhook_secret":"optional-secret","forward_to_email":"inbox@customer.com"}`,
		"64k":     members(6000, `"x":1`),
		"escapes": `{"a":"` + strings.Repeat(`\u0041`, 10000) + `"}`,
	} {
		b.Run(name, func(b *testing.B) {
			in := []byte(body)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if f := preparse(in); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}
