package dnscheck

import (
	"context"
	"fmt"
	"strings"

	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// judgeDKIM looks at the key record of a selector (RFC 6376 section 3.6.2).
//
// Two rules of a full DKIM check never apply here. t=s is harmless, because we
// sign with i= in the domain itself. And no plan of ours delegates a selector
// by CNAME, so a pasted TXT record is what we asked for.
func judgeDKIM(ctx context.Context, e *env, x Expectation) Result {
	answer, err := e.resolver.Lookup(ctx, x.Name, resolve.TypeTXT)
	if err != nil {
		return x.unknown(err)
	}
	var r Result
	if answer.Empty() {
		r = x.missingKey(ctx, e, answer)
	} else {
		r = x.publishedKey(ctx, e, answer)
		r.Observed = observed(joined(answer.TXT))
	}
	r.TTL = answer.TTL
	return r
}

// publishedKey compares what stands at the selector with our key.
func (x Expectation) publishedKey(ctx context.Context, e *env, answer resolve.Answer) Result {
	want, err := dkim.Expect(x.Value, x.Retired)
	if err != nil { // a value that no operator should have set: compare as text
		for _, s := range joined(answer.TXT) {
			if s == x.Value {
				return x.result(VerdictMatch, "")
			}
		}
	}
	records := make([][]string, len(answer.TXT))
	for i, t := range answer.TXT {
		records[i] = t.Strings
	}
	f := want.Inspect(records)
	r := x.result(VerdictMatch, "")
	if f.Problem != dkim.ProblemNone {
		says := x.keyProblem(f)
		r = x.result(VerdictMismatch, says.code)
		r.Detail, r.Hint = says.detail, says.hint
		if r.Hint == "" {
			r.Hint = "Replace what stands there. " + x.publish(e)
		}
		if f.Ours && f.Problem == dkim.ProblemMultiple {
			r.Verdict = VerdictConflict
		}
		x.wildcardText(ctx, e, answer.TXT, &r)
	}
	warnKey(f, &r)
	return r
}

// keySays is the code and the words for one problem of a key record.
type keySays struct{ code, detail, hint string }

// keyProblem names a problem and says what it means.
func (x Expectation) keyProblem(f dkim.Finding) keySays {
	switch f.Problem {
	case dkim.ProblemOldKey:
		return keySays{code: "dkim_old_key", detail: "The record holds our previous key, not the current one."}
	case dkim.ProblemTruncated:
		return keySays{"dkim_truncated",
			fmt.Sprintf("The value is cut off: it ends at character %d of %d.", f.Length, len(x.Value)),
			"Enter the whole value. A provider that takes 255 characters at most wants it as two quoted strings in one record, not as two records: " + quoteStrings(x.Value)}
	case dkim.ProblemReordered:
		return keySays{code: "dkim_syntax", detail: "The strings of the value stand in the wrong order."}
	case dkim.ProblemQuoted:
		return keySays{code: "dkim_quoted", detail: "The value holds what does not belong to it: " + shownExtra(f.Extra) + "."}
	case dkim.ProblemCase:
		return keySays{"dkim_mismatch",
			"The value is ours, but its upper and lower case were changed, so the key is another one.",
			"A key is case-sensitive. Enter the value again, and ask your DNS provider if it is lower-cased again: " + x.Value}
	case dkim.ProblemWeak:
		return keySays{code: "dkim_weak", detail: fmt.Sprintf("The record holds another key, of %d bits only: receivers refuse RSA keys below %d bits (RFC 8301).", f.Key.Bits(), dkim.MinBits)}
	case dkim.ProblemWrongType:
		return keySays{code: "dkim_wrong_type", detail: fmt.Sprintf("The record says k=%s, and the key in p= is not of that type or form.", printable(f.Detail, maxOctets))}
	case dkim.ProblemPKCS1:
		return keySays{code: "dkim_pkcs1", detail: "The key is ours, but written as a bare PKCS#1 RSAPublicKey, which some receivers refuse."}
	case dkim.ProblemRevoked:
		return keySays{code: "dkim_revoked", detail: "p= is empty: the record says that the key is revoked."}
	case dkim.ProblemSplitRecords:
		return keySays{"dkim_split_records",
			"The value was split over several TXT records. It must be one record with two strings, not two records.",
			"Remove them and enter one TXT record with both strings: " + quoteStrings(x.Value)}
	default:
		return x.moreProblems(f)
	}
}

func (x Expectation) moreProblems(f dkim.Finding) keySays {
	switch f.Problem {
	case dkim.ProblemMultiple:
		return keySays{"dkim_multiple",
			"More than one TXT record stands at this name: which one a receiver takes is undefined (RFC 6376 section 3.6.2.2).",
			"Remove all TXT records at " + x.Name + " but this one: " + x.Value}
	case dkim.ProblemHash:
		return keySays{"dkim_hash",
			fmt.Sprintf("h=%s does not allow sha256, which our signatures use (RFC 8301).", printable(f.Detail, maxOctets)),
			"Remove the tag h= from the record, or enter the value again: " + x.Value}
	case dkim.ProblemService:
		return keySays{"dkim_service",
			fmt.Sprintf("s=%s does not allow the key to be used for mail.", printable(f.Detail, maxOctets)),
			"Remove the tag s= from the record (or let it name email), or enter the value again: " + x.Value}
	case dkim.ProblemSyntax:
		return keySays{code: "dkim_syntax", detail: "The text is no valid DKIM key record: " + printable(f.Detail, maxOctets) + "."}
	}
	d := "The record holds another key than ours."
	if f.Key.Ed25519 != nil {
		d = "The record holds another key than ours, of the type ed25519."
	}
	return keySays{code: "dkim_mismatch", detail: d}
}

func shownExtra(extra []string) string {
	shown := make([]string, len(extra))
	for i, s := range extra {
		shown[i] = printable(s, maxOctets)
	}
	return list(shown)
}

// quoteStrings writes a value as the character-strings of a zone file.
func quoteStrings(value string) string {
	var parts []string
	for len(value) > maxOctets {
		parts, value = append(parts, `"`+value[:maxOctets]+`"`), value[maxOctets:]
	}
	return strings.Join(append(parts, `"`+value+`"`), " ")
}

// warnKey remarks on a key record that can be used, or nearly.
func warnKey(f dkim.Finding, r *Result) {
	if f.Testing {
		r.warn("dkim_testing", "t=y says that the domain only tests DKIM: receivers treat mail that fails as if it were not signed. Remove the tag.")
	}
	if bits := f.Key.Bits(); bits >= dkim.MinBits && bits < dkim.GoodBits {
		r.warn("dkim_weak", fmt.Sprintf("The key has %d bits; %d or more are recommended (RFC 8301).", bits, dkim.GoodBits))
	}
}

// wildcardText says so when a wildcard answers with the same texts.
func (x Expectation) wildcardText(ctx context.Context, e *env, texts []resolve.Text, r *Result) {
	_, parent, ok := strings.Cut(x.Name, ".")
	if !e.diagnose || !ok {
		return
	}
	want := map[string]bool{}
	for _, s := range joined(texts) {
		want[s] = true
	}
	p := e.prober()
	if _, found := p.text(ctx, func(s string) bool { return want[s] }, randomLabel()+"."+parent); found {
		r.warn(string(x.Purpose)+"_wildcard", fmt.Sprintf("The text comes from a wildcard record: any name under %s has it, so nothing was published at %s itself.", parent, x.Name))
	}
}
