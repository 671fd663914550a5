package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/domaind/domaind/gen/client"
)

// verdictFile holds published zones and what a check must say about them.
type verdictFile struct {
	Constants map[string]string
	Common    []string // lines that are published once
	Cases     []verdictCase
}

type verdictCase struct {
	ID, Title, Why, Profile string
	// Domain is a template; {rand} in it is a fresh label.
	Domain string
	Before []string
	// Publish holds lines as lab.Update takes them.
	Publish []string
	Expect  map[string]expectation
}

// expectation is what must be said of the record for one purpose. Patterns are
// globs, except that Says holds regular expressions.
type expectation struct {
	Status             string
	Code               codes
	Warnings, No, Says []string
}

// codes is null for none, a pattern, or a list of patterns.
type codes []string

func (c *codes) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		if one != "" {
			*c = codes{one}
		}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(c))
}

func readVerdictFile(file string) (verdictFile, error) {
	var f verdictFile
	text, err := os.ReadFile(file)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%s: %w", file, err)
	}
	return f, nil
}

// judge returns what is wrong with the record, nil for nothing.
func (x expectation) judge(r client.DNSRecord, w words) []string {
	var wrong []string
	if string(r.Status) != x.Status {
		wrong = append(wrong, "status is not "+x.Status)
	}
	said := make([]string, 0, len(r.Warnings)+1)
	for _, warning := range r.Warnings {
		said = append(said, warning.Code)
	}
	if !x.codeFits(deref(r.Code), said, r.Status) {
		wrong = append(wrong, fmt.Sprintf("code is not %q", x.Code))
	}
	if code := deref(r.Code); code != "" {
		said = append(said, code)
	}
	for _, pattern := range x.Warnings {
		if !slices.ContainsFunc(said, glob(pattern)) {
			wrong = append(wrong, "does not warn of "+pattern)
		}
	}
	for _, pattern := range x.No {
		if slices.ContainsFunc(said, glob(pattern)) {
			wrong = append(wrong, "must not say "+pattern)
		}
	}
	return append(wrong, x.unsaid(r, w)...)
}

// codeFits also lets a verified record repeat one of its warnings as its code.
func (x expectation) codeFits(code string, warnings []string, status client.RecordStatus) bool {
	switch {
	case slices.Contains(x.Code, "any"):
		return true
	case len(x.Code) == 0:
		return code == "" || status == client.RecordStatusVerified && slices.Contains(warnings, code)
	}
	return slices.ContainsFunc(x.Code, func(pattern string) bool { return glob(pattern)(code) })
}

// unsaid returns which of the regular expressions match nothing that is said.
func (x expectation) unsaid(r client.DNSRecord, w words) []string {
	said := []string{deref(r.Detail), deref(r.Hint), deref(r.SuggestedValue)}
	for _, warning := range r.Warnings {
		said = append(said, warning.Code, warning.Detail)
	}
	if r.Purpose == client.DNSRecordPurposeMX {
		said = append(said, r.ObservedValues...)
	}
	var wrong []string
	for _, template := range x.Says {
		text, err := w.fill(template, regexp.QuoteMeta)
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		expression, err := regexp.Compile("(?i)" + text)
		if err != nil || !slices.ContainsFunc(said, expression.MatchString) {
			wrong = append(wrong, fmt.Sprintf("does not say %s", text))
		}
	}
	return wrong
}

func glob(pattern string) func(string) bool {
	return func(s string) bool {
		ok, err := path.Match(pattern, s)
		return err == nil && ok && s != ""
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// words are the placeholders of a case.
type words map[string]string

var placeholder = regexp.MustCompile(`%?\{[a-z0-9_]+\}`)

// fill replaces the placeholders of a template, each passed through quote. An
// SPF macro such as %{i} stays.
func (w words) fill(template string, quote func(string) string) (string, error) {
	var unknown error
	text := placeholder.ReplaceAllStringFunc(template, func(found string) string {
		if strings.HasPrefix(found, "%") {
			return found
		}
		value, ok := w[strings.Trim(found, "{}")]
		if !ok {
			unknown = fmt.Errorf("unknown placeholder %s", found)
		}
		return quote(value)
	})
	return text, unknown
}

// fillAll fills the placeholders of lines.
func (w words) fillAll(lines []string) ([]string, error) {
	filled := make([]string, len(lines))
	for i, line := range lines {
		var err error
		if filled[i], err = w.fill(line, strings.Clone); err != nil {
			return nil, err
		}
	}
	return filled, nil
}
