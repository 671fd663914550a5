package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"github.com/domaind/domaind/gen/api"
)

// nasty holds JSON values that upset parsers, databases and rules.
var nasty = []string{
	`""`, `" "`, `"a"`, `"\u0000"`, `"\ud83d\ude00"`, `"x\ny"`, `"' OR 1=1 --"`, `"%00"`, `"../.."`, `"xn--.com"`, `"com"`,
	`"café.example.com"`, `"https://127.0.0.1/"`, `null`, `true`, `0`, `-1`, `1`, `1.5`, `9007199254740993`, `1e400`,
	`[]`, `[[]]`, `{}`, `{"a":1}`,
}

// TestGeneratedRequests makes requests from openapi.yaml, good and bad, and
// finds no 5xx and no answer outside the contract.
func TestGeneratedRequests(t *testing.T) {
	h := start(t)
	h.create("customer.com", "user_123")
	doc, err := api.GetSpec()
	ok(t, err)
	var operations []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			operations = append(operations, operation{path, method, op})
		}
	}
	slices.SortFunc(operations, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	web := &http.Client{Transport: h.contract}
	rapid.Check(t, func(rt *rapid.T) {
		r := rapid.SampledFrom(operations).Draw(rt, "operation").request(rt, h.url)
		resp, err := web.Do(r)
		if err != nil {
			rt.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= 500 || t.Failed() {
			rt.Fatalf("%s %s: %d", r.Method, r.URL, resp.StatusCode)
		}
	})
}

type operation struct {
	path, method string
	*openapi3.Operation
}

// request draws one request of the operation.
func (o operation) request(rt *rapid.T, base string) *http.Request {
	path, query, header := o.path, url.Values{}, http.Header{}
	for _, p := range o.Parameters {
		value := text(rt, p.Value.Name, p.Value.Example)
		switch {
		case p.Value.In == openapi3.ParameterInPath:
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(value))
		case p.Value.Required || rapid.Bool().Draw(rt, "has "+p.Value.Name):
			if p.Value.In == openapi3.ParameterInQuery {
				query.Add(p.Value.Name, value)
			} else if strings.IndexFunc(value, unicode.IsControl) < 0 { // else the client would not send it
				header.Set(p.Value.Name, value)
			}
		}
	}
	if rapid.IntRange(0, 19).Draw(rt, "extra") == 0 {
		query.Add("extra", "1")
	}
	body := o.body(rt)
	r, err := http.NewRequestWithContext(rt.Context(), o.method, base+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		rt.Fatal(err)
	}
	r.Header = header
	r.Header.Set("X-Api-Key", adminKey)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// body draws a body: each member good, nasty or missing, and some unknown.
func (o operation) body(rt *rapid.T) []byte {
	if o.RequestBody == nil {
		return nil
	}
	if rapid.IntRange(0, 9).Draw(rt, "whole") == 0 {
		return []byte(rapid.SampledFrom(nasty).Draw(rt, "body"))
	}
	media := o.RequestBody.Value.Content["application/json"]
	example, _ := media.Example.(map[string]any)
	var members []string
	for name := range media.Schema.Value.Properties {
		members = append(members, name)
	}
	slices.Sort(members)
	var out []string
	for _, name := range append(members, "unknown") {
		value, err := json.Marshal(example[name])
		if err != nil {
			rt.Fatal(err)
		}
		n := rapid.IntRange(0, 9).Draw(rt, name)
		switch {
		case n == 0:
			value = []byte(rapid.SampledFrom(nasty).Draw(rt, "nasty "+name))
		case n == 1, example[name] == nil:
			continue
		}
		out = append(out, `"`+name+`":`+string(value))
	}
	return []byte("{" + strings.Join(out, ",") + "}")
}

// text draws a parameter: mostly the document's example.
func text(rt *rapid.T, name string, example any) string {
	if s, ok := example.(string); ok && rapid.IntRange(0, 3).Draw(rt, "good "+name) > 0 {
		return s
	}
	var s string
	if json.Unmarshal([]byte(rapid.SampledFrom(nasty).Draw(rt, name)), &s) == nil {
		return s
	}
	return rapid.String().Draw(rt, "any "+name)
}
