package server

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// checkQuery holds a raw query string against the parameters of a call: each
// at most once, none that the call does not know, all of it well-formed. Names
// are compared decoded and by case. It returns one entry a fault, in order.
// What the values mean is for others to check.
func checkQuery(raw string, allowed []string) []fieldError {
	var errs []fieldError
	seen := make([]string, 0, 8)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		param, nameOK := queryText(rawName)
		_, valueOK := queryText(rawValue)
		pointer := "/query"
		if nameOK && plainName(param) {
			pointer += "/" + param
		}
		switch {
		case !nameOK || !valueOK:
			errs = append(errs, fieldError{pointer, "malformed-parameter", "the query has a broken percent-encoding, a raw semicolon, a NUL, or text that is not UTF-8"})
		case !slices.Contains(allowed, param):
			errs = append(errs, fieldError{pointer, "unknown-parameter", unknownParameter(allowed)})
		case slices.Contains(seen, param):
			errs = append(errs, fieldError{pointer, "repeated-parameter", "a query parameter stands once"})
		default:
			seen = append(seen, param)
		}
		if len(errs) == maxQueryErrors {
			break
		}
	}
	return errs
}

// maxQueryErrors bounds the entries of one answer.
const maxQueryErrors = 8

func unknownParameter(allowed []string) string {
	if len(allowed) == 0 {
		return "this call takes no query parameters"
	}
	return fmt.Sprintf("this call takes only %s (case counts)", strings.Join(allowed, ", "))
}

// queryText decodes one name or value of a query. A raw semicolon is refused:
// some read it as a separator.
func queryText(raw string) (string, bool) {
	if strings.Contains(raw, ";") {
		return "", false
	}
	s, err := url.QueryUnescape(raw)
	return s, err == nil && textOK(s)
}

// textOK reports text that no later step can trip over.
func textOK(s string) bool {
	return utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// plainName reports a name that may be repeated in an answer: short and
// without digits, so that no key sent by mistake is.
func plainName(s string) bool {
	return len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-.[]") == ""
}

// checkPathValue checks one path parameter, decoded: not empty, UTF-8, no NUL.
func checkPathValue(param, value string) *fieldError {
	if value != "" && textOK(value) {
		return nil
	}
	return &fieldError{"/path/" + param, "malformed-parameter", "the path has an empty part, a NUL, or text that is not UTF-8"}
}
