package dnscheck

import (
	"hash/fnv"
	"math"
	"slices"
	"strings"
)

// otherSituation is that of a result that says something else than the first
// look by itself showed: no later look is the same.
const otherSituation = -1

// situation stands for all that a look without a diagnosis shows of a record:
// equal numbers, above zero, say that nothing has changed since. The order of
// records, and so of words, is free in DNS (RFC 2181 section 5).
func (x Expectation) situation(r Result) int64 {
	if r.Verdict == VerdictUnknown {
		return otherSituation
	}
	said := []string{x.Value, string(r.Verdict), r.Code}
	said = append(said, wordsOf(r.Detail)...)
	for _, text := range r.Observed {
		said = append(said, wordsOf(text)...)
	}
	for _, w := range r.Warnings {
		said = append(said, w.Code)
		said = append(said, wordsOf(w.Detail)...)
	}
	slices.Sort(said)
	h := fnv.New64a()
	for _, s := range said {
		_, _ = h.Write([]byte(s + "\x00")) // never fails, says its documentation
	}
	return int64(h.Sum64()&math.MaxInt64) | 1
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
}
