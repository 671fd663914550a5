package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// badInput is one row: a request as it goes over the wire, and what must come
// back.
type badInput struct {
	ID      string     `json:"id"`
	Setup   []string   `json:"setup"`
	Request rawRequest `json:"request"`
	Twin    *rawRequest
	Expect  struct {
		Status  []int          `json:"status"`
		Code    []string       `json:"code"`
		Never   []string       `json:"never"`
		Equals  map[string]any `json:"equals"`
		PlainOK bool           `json:"plain_ok"`
	} `json:"expect"`
	Why string `json:"why"`
}

// TestBadInputs runs the rows of the file that DOMAIND_BAD_INPUTS names; without
// it, those of testdata, and of a list beside the repository where there is one.
func TestBadInputs(t *testing.T) {
	files := badInputFiles(t)
	h := start(t)
	for _, file := range files {
		for _, row := range badInputs(t, file) {
			t.Run(row.ID, func(t *testing.T) {
				h.t = t
				row.run(t, h)
			})
		}
	}
}

func badInputFiles(t *testing.T) []string {
	if file := os.Getenv("DOMAIND_BAD_INPUTS"); file != "" {
		return []string{file}
	}
	files, err := filepath.Glob("testdata/bad-inputs/*.json")
	ok(t, err)
	if len(files) == 0 {
		t.Fatal("testdata has no bad inputs")
	}
	const beside = "../../shared/bad-inputs.json"
	if _, err := os.Stat(beside); err == nil {
		files = append(files, beside)
	}
	return files
}

func badInputs(t *testing.T, file string) []badInput {
	text, err := os.ReadFile(file)
	ok(t, err)
	var rows []badInput
	ok(t, json.Unmarshal(text, &rows))
	if len(rows) == 0 {
		t.Fatalf("%s has no rows", file)
	}
	return rows
}

func (row badInput) run(t *testing.T, h *harness) {
	p := h.placeholders(row.Setup)
	got := row.Request.send(t, h, p)
	row.judge(t, p, got)
	if row.Twin != nil {
		row.same(t, p, got, row.Twin.send(t, h, p))
	}
	if t.Failed() {
		t.Logf("why: %s\nanswer: %d %s", row.Why, got.status, got.body)
	}
	if _, ok := p["{domain}"]; !ok || slices.Contains(row.Setup, "deleted") {
		return
	}
	h.stillWorks()
}

// judge holds an answer against the row.
func (row badInput) judge(t *testing.T, p placeholders, got answer) {
	if !slices.Contains(row.Expect.Status, got.status) {
		t.Errorf("status %d, want one of %v", got.status, row.Expect.Status)
	}
	never := append(slices.Clone(row.Expect.Never), adminKey)
	if got.status >= 300 {
		never = append(never, "panic", "goroutine", "sqlite", "SQL", ".go:")
	}
	for _, text := range never {
		if text = p.fill(text); text != "" && strings.Contains(got.body, text) {
			t.Errorf("the body shows %q", text)
		}
	}
	switch {
	case got.status >= 200 && got.status < 300:
		row.equals(t, p, got)
	case got.status >= 400 && row.Request.Method != http.MethodHead && (got.body != "" || !row.Expect.PlainOK):
		row.problem(t, got)
	}
}

func (row badInput) equals(t *testing.T, p placeholders, got answer) {
	if len(row.Expect.Equals) == 0 {
		return
	}
	var body any
	ok(t, json.Unmarshal([]byte(got.body), &body))
	for pointer, want := range row.Expect.Equals {
		if text, isText := want.(string); isText {
			want = p.fill(text)
		}
		value := at(body, pointer)
		if value != want {
			t.Errorf("%s is %v, want %v", pointer, value, want)
		}
	}
}

// at follows a JSON pointer.
func at(v any, pointer string) any {
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, _ := v.(map[string]any)
		v = object[token]
	}
	return v
}

// problem checks what every problem document has.
func (row badInput) problem(t *testing.T, got answer) {
	if got.header.Get("Content-Type") != "application/problem+json" {
		if !row.Expect.PlainOK {
			t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
		}
		return
	}
	var doc struct {
		Type, Title, Code, Detail, Instance string
		Status                              int
		Errors                              []struct{ Pointer, Code, Detail *string }
	}
	ok(t, json.Unmarshal([]byte(got.body), &doc))
	if doc.Type == "" || doc.Title == "" || doc.Code == "" || doc.Instance == "" || doc.Status != got.status {
		t.Errorf("incomplete problem: %s", got.body)
	}
	codes := []string{doc.Code}
	for _, e := range doc.Errors {
		if e.Pointer == nil || e.Code == nil || e.Detail == nil {
			t.Errorf("incomplete entry: %s", got.body)
			continue
		}
		codes = append(codes, *e.Code)
	}
	if row.Expect.Code != nil && !slices.ContainsFunc(codes, func(c string) bool { return slices.Contains(row.Expect.Code, c) }) {
		t.Errorf("codes %v, want one of %v", codes, row.Expect.Code)
	}
	switch {
	case got.status == http.StatusMethodNotAllowed && got.header.Get("Allow") == "":
		t.Error("405 without Allow")
	case got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") == "":
		t.Error("429 without Retry-After")
	case got.status >= 500:
		t.Errorf("status %d", got.status)
	}
}

// same compares an answer with its twin's, apart from what must differ.
func (row badInput) same(t *testing.T, p placeholders, a, b answer) {
	strip := func(s string) string {
		var doc map[string]any
		if json.Unmarshal([]byte(s), &doc) != nil {
			return s
		}
		delete(doc, "instance")
		out, err := json.Marshal(doc)
		ok(t, err)
		return strings.NewReplacer(p["{domain}"], "NAME", p["{foreign_domain}"], "NAME", "nosuch-"+p["{rand}"]+".com", "NAME").Replace(string(out))
	}
	if a.status != b.status || a.header.Get("Content-Type") != b.header.Get("Content-Type") || strip(a.body) != strip(b.body) {
		t.Errorf("the twin differs:\n%d %s\n%d %s", a.status, a.body, b.status, b.body)
	}
}
