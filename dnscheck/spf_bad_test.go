package dnscheck

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// manyHosts is a name with eleven MX hosts.
func manyHosts() []string {
	var lines []string
	for i := range 11 {
		lines = append(lines, fmt.Sprintf("many.lab.example. 5 MX 10 h%d.many.lab.example.", i),
			fmt.Sprintf("h%d.many.lab.example. 5 A 198.51.100.%d", i, 50+i))
	}
	return lines
}

var spfBad = []judgeCase{
	{name: "two records", lines: []string{own("v=spf1 include:_spf.google.lab.example ~all"), own(include)}, verdict: VerdictConflict, code: codeSPFMultiple,
		says: []string{"v=spf1 include:_spf.google.lab.example include:spf.lab.example ~all"}},
	{name: "two records, neither ours", lines: []string{own("v=spf1 a -all"), own("v=spf1 include:v1.lab.example redirect=v2.lab.example")}, verdict: VerdictMismatch, code: codeSPFMultiple,
		says: []string{"v=spf1 a include:v1.lab.example include:v2.lab.example include:spf.lab.example -all"}},
	{name: "ipv4", lines: []string{own("v=spf1 ipv4:192.0.2.1 include:spf.lab.example ~all")}, verdict: VerdictMismatch, code: codeSPFSyntax,
		says: []string{"ipv4", "column 8", "v=spf1 ip4:192.0.2.1 include:spf.lab.example ~all"}},
	{name: "commas", lines: []string{own("v=spf1 include:_spf.google.lab.example, include:spf.lab.example, ~all")}, verdict: VerdictMismatch, code: codeSPFSyntax,
		says: []string{"comma", "v=spf1 include:_spf.google.lab.example include:spf.lab.example ~all"}},
	{name: "space after the colon", lines: []string{own("v=spf1 include: spf.lab.example ~all")}, verdict: VerdictMismatch, code: codeSPFSyntax, says: []string{"after the colon"}},
	{name: "space before the colon", lines: []string{own("v=spf1 include :v1.lab.example ~all")}, verdict: VerdictMismatch, code: codeSPFSyntax,
		says: []string{"v=spf1 include:v1.lab.example include:spf.lab.example ~all"}},
	{name: "smart quotes", lines: []string{own(`v=spf1 include:\226\128\156spf.lab.example\226\128\157 ~all`)}, verdict: VerdictMismatch, code: codeSPFSyntax, says: []string{"ASCII"}},
	{name: "en dash", lines: []string{own(`v=spf1 include:spf.lab.example \226\128\147all`)}, verdict: VerdictMismatch, code: codeSPFSyntax,
		says: []string{"v=spf1 include:spf.lab.example -all"}},
	{name: "error behind all", lines: []string{own("v=spf1 include:spf.lab.example ~all ip4:1.2.3")}, verdict: VerdictMismatch, code: codeSPFSyntax, says: []string{"sense of ip4:1.2.3"}},
	{name: "two redirects", lines: []string{own("v=spf1 redirect=v1.lab.example redirect=v2.lab.example")}, verdict: VerdictMismatch, code: codeSPFSyntax,
		says: []string{"v=spf1 include:v1.lab.example include:v2.lab.example include:spf.lab.example ~all"}},
	{name: "equals for colon", lines: []string{own("v=spf1 include=spf.lab.example ~all")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised, warns: []string{"spf_unknown_modifier"}, says: []string{"equals sign"}},
	{name: "after all", lines: []string{own("v=spf1 include:_spf.google.lab.example -all include:spf.lab.example")}, verdict: VerdictConflict, code: codeSPFAfterAll,
		says: []string{"v=spf1 include:_spf.google.lab.example include:spf.lab.example -all"}},
	{name: "address after all", lines: []string{own("v=spf1 ~all ip4:192.0.2.0/24")}, verdict: VerdictMismatch, code: codeSPFAfterAll},
	{name: "redirect beside all", lines: []string{own("v=spf1 ~all redirect=spf.lab.example")}, verdict: VerdictConflict, code: codeSPFAfterAll},
	{name: "redirect before all", lines: []string{own("v=spf1 redirect=spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFAfterAll},
	{name: "after all, inside", lines: []string{own("v=spf1 redirect=_spf.shop.lab.example"), `_spf.shop.lab.example. 5 TXT "v=spf1 -all include:spf.lab.example"`},
		verdict: VerdictMismatch, code: codeSPFAfterAll, says: []string{"_spf.shop.lab.example"}},
	{name: "minus", lines: []string{own("v=spf1 -include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFQualifier},
	{name: "tilde", lines: []string{own("v=spf1 ~include:spf.lab.example -all")}, verdict: VerdictConflict, code: codeSPFQualifier, says: []string{"v=spf1 include:spf.lab.example -all"}},
	{name: "question mark", lines: []string{own("v=spf1 ?include:spf.lab.example -all")}, verdict: VerdictConflict, code: codeSPFQualifier},
	{name: "our address with tilde", lines: []string{own("v=spf1 ~ip4:192.0.2.25 -all")}, verdict: VerdictMismatch, code: codeSPFQualifier},
	{name: "tilde, inside", lines: []string{own("v=spf1 include:_spf.shop.lab.example -all"), `_spf.shop.lab.example. 5 TXT "v=spf1 ~include:spf.lab.example -all"`},
		verdict: VerdictMismatch, code: codeSPFQualifier, says: []string{"_spf.shop.lab.example"}},
	{name: "+all", lines: []string{own("v=spf1 include:_spf.google.lab.example +all")}, verdict: VerdictMismatch, code: codeSPFPassAll,
		says: []string{"v=spf1 include:_spf.google.lab.example include:spf.lab.example ~all"}},
	{name: "bare all", lines: []string{own("v=spf1 all")}, verdict: VerdictMismatch, code: codeSPFPassAll},
	{name: "everyone by prefix", lines: []string{own("v=spf1 ip4:0.0.0.0/0 -all")}, verdict: VerdictMismatch, code: codeSPFPassAll, says: []string{"v=spf1 include:spf.lab.example -all"}},
	{name: "everyone by include", lines: []string{own("v=spf1 include:everyone.lab.example -all")}, verdict: VerdictMismatch, code: codeSPFPassAll, says: []string{"everyone.lab.example"}},
	{name: "shadowed", lines: []string{own("v=spf1 -ip4:192.0.2.0/24 include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFShadowed,
		says: []string{"-ip4:192.0.2.0/24", "v=spf1 include:spf.lab.example -ip4:192.0.2.0/24 ~all"}},
	{name: "shadowed by a", lines: []string{own("v=spf1 ~a:mx.lab.example ip4:192.0.2.0/24 -all")}, verdict: VerdictMismatch, code: codeSPFShadowed},
	{name: "network refused, ours absent", lines: []string{own("v=spf1 -ip4:192.0.2.0/24 ~all")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised, says: []string{"refuses our servers"}},
	{name: "lookup limit", lines: []string{own("v=spf1 ", tenVendor+" include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFLookupLimit,
		says: []string{"v=spf1 include:spf.lab.example include:v1.lab.example"}},
	{name: "void limit", lines: []string{own("v=spf1 a:n1.lab.example a:n2.lab.example a:n3.lab.example include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFVoidLimit, says: []string{"n3.lab.example"}},
	{name: "broken include", lines: []string{own("v=spf1 include:gone.lab.example include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFBrokenInclude,
		says: []string{"gone.lab.example", "v=spf1 include:spf.lab.example ~all"}},
	{name: "include without SPF", lines: []string{own("v=spf1 include:txt.lab.example include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFBrokenInclude, says: []string{"txt.lab.example"}},
	{name: "include of two records", lines: []string{own("v=spf1 include:two.lab.example include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFBrokenInclude, says: []string{"two.lab.example"}},
	{name: "include of a bad record", lines: []string{own("v=spf1 include:bad.lab.example include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFBrokenInclude, says: []string{"bad.lab.example", "ipv4"}},
	{name: "redirect to nothing", lines: []string{own("v=spf1 redirect=gone.lab.example")}, verdict: VerdictMismatch, code: codeSPFBrokenInclude, says: []string{"gone.lab.example", "v=spf1 include:spf.lab.example ~all"}},
	{name: "include of itself", lines: []string{own("v=spf1 include:shop.lab.example include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFIncludeLoop},
	{name: "loop of two", lines: []string{own("v=spf1 include:x.lab.example include:spf.lab.example ~all"), `x.lab.example. 5 TXT "v=spf1 include:shop.lab.example -all"`}, verdict: VerdictConflict, code: codeSPFIncludeLoop},
	{name: "many mx hosts", lines: append(manyHosts(), own("v=spf1 mx:many.lab.example include:spf.lab.example ~all")), verdict: VerdictConflict, code: codeSPFMXLimit, says: []string{"mx:many.lab.example"}},
	{name: "split without space", lines: []string{own("v=spf1 include:_spf.google.lab.example", "include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFSplit, warns: []string{codeSPFSplit},
		says: []string{"v=spf1 include:_spf.google.lab.example include:spf.lab.example ~all"}},
	{name: "split without space, ours absent", lines: []string{own("v=spf1 ip4:203.0.113.1", "include:v1.lab.example ~all")}, verdict: VerdictMismatch, code: codeSPFSyntax, warns: []string{codeSPFSplit}},
	{name: "another provider", lines: []string{own("v=spf1 include:_spf.google.lab.example ~all")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised,
		says: []string{"192.0.2.25", "v=spf1 include:_spf.google.lab.example include:spf.lab.example ~all"}},
	{name: "another provider by redirect", lines: []string{own("v=spf1 redirect=_spf.google.lab.example")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised,
		says: []string{"v=spf1 include:spf.lab.example redirect=_spf.google.lab.example"}},
	{name: "nobody", lines: []string{own("v=spf1 -all")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised, says: []string{"nobody"}},
	{name: "empty record", lines: []string{own("v=spf1")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised, warns: []string{"spf_no_all"}},
}

var spfAbsent = []judgeCase{
	{name: "no such name", verdict: VerdictMissing, code: codeSPFMissing, says: []string{"does not exist", "host @", include}},
	{name: "another text", lines: []string{own("google-site-verification=rXOxyZ")}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"none of them"}},
	{name: "no text", lines: []string{testDomain + ". 5 A 198.51.100.1"}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"no TXT"}},
	{name: "only Sender ID", lines: []string{own("spf2.0/pra include:spf.lab.example ~all")}, verdict: VerdictMissing, code: codeSPFMissing, warns: []string{"spf_sender_id"}},
	{name: "alias of a name without SPF", lines: []string{testDomain + ". 5 CNAME home.lab.example.", "home.lab.example. 5 A 198.51.100.1"}, verdict: VerdictMissing, code: codeSPFMissing,
		says: []string{"at home.lab.example (of which shop.lab.example is an alias)"}},
	{name: "at the parent", lines: []string{`lab.example. 5 TXT "` + include + `"`}, verdict: VerdictMissing, code: codeSPFAtParent, says: []string{"not inherited", "lab.example"}},
	{name: "merged at the parent", lines: []string{`lab.example. 5 TXT "v=spf1 include:_spf.google.lab.example ip4:192.0.2.25 -all"`}, verdict: VerdictMissing, code: codeSPFAtParent},
	{name: "mx at the parent", expected: "v=spf1 ip4:192.0.2.25 mx ~all", lines: []string{`lab.example. 5 TXT "v=spf1 mx ~all"`}, verdict: VerdictMissing, code: codeSPFAtParent},
	{name: "another's at the parent", lines: []string{`lab.example. 5 TXT "v=spf1 include:_spf.google.lab.example ~all"`}, verdict: VerdictMissing, code: codeSPFMissing, warns: []string{codeSPFAtParent}},
	{name: "name doubled", lines: []string{testDomain + "." + own(include)}, verdict: VerdictMissing, code: codeSPFMissing, warns: []string{codeNameDoubled}, says: []string{"twice"}},
	{name: "type 99 only", lines: []string{testDomain + `. 5 SPF "` + include + `"`}, verdict: VerdictMissing, code: codeSPFMissing, warns: []string{"spf_type99"}},
	{name: "wrapped in quotes", lines: []string{own(`\"v=spf1 include:v1.lab.example ~all\"`)}, verdict: VerdictMissing, code: codeSPFMissing,
		says: []string{"wrapped in quotes", "v=spf1 include:v1.lab.example include:spf.lab.example ~all"}},
	{name: "smart quotes around", lines: []string{own(`\226\128\156v=spf1 include:spf.lab.example ~all\226\128\157`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"wrapped in quotes"}},
	{name: "byte order mark", lines: []string{own(`\239\187\191v=spf1 include:spf.lab.example ~all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"invisible", `\239\187\191`}},
	{name: "zero width space", lines: []string{own(`\226\128\139v=spf1 include:spf.lab.example ~all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"invisible"}},
	{name: "space before", lines: []string{own(` v=spf1 include:spf.lab.example ~all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"a space stands before"}},
	{name: "dash before", lines: []string{own(`-v=spf1 include:spf.lab.example ~all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"text (-)"}},
	{name: "whole line pasted", lines: []string{own(`shop.lab.example. IN TXT \"v=spf1 include:spf.lab.example ~all\"`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"name or type"}},
	{name: "without v", lines: []string{own(`spf1 include:v1.lab.example -all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"begins with spf1", "v=spf1 include:v1.lab.example include:spf.lab.example -all"}},
	{name: "without 1", lines: []string{own(`v=spf include:v1.lab.example -all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"begins with v=spf", "v=spf1 include:v1.lab.example"}},
	{name: "version 2", lines: []string{own(`v=spf2 include:v1.lab.example -all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"begins with v=spf2"}},
	{name: "semicolon", lines: []string{own(`v=spf1; include:v1.lab.example -all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"followed by a space", "v=spf1 include:v1.lab.example"}},
	{name: "no space", lines: []string{own(`v=spf1include:v1.lab.example -all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"followed by a space"}},
	{name: "version split off", lines: []string{own(`v=spf1`, `include:spf.lab.example -all`)}, verdict: VerdictMissing, code: codeSPFMissing, warns: []string{codeSPFSplit}},
	{name: "no version", lines: []string{own(`include:v1.lab.example ~all`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"missing at its start"}},
	{name: "not meant to be SPF", lines: []string{own(`see the wiki for our SPF setup`)}, verdict: VerdictMissing, code: codeSPFMissing, says: []string{"none of them"}},
	{name: "controls and bidi", lines: []string{own(`\226\128\174\007v=spf1 \255\001`)}, verdict: VerdictMissing, code: codeSPFMissing},
}

// TestJudgeSPFByMechanism judges without knowing any address of ours.
func TestJudgeSPFByMechanism(t *testing.T) {
	for _, c := range []judgeCase{
		{name: "as given", lines: []string{own(include)}, verdict: VerdictMatch},
		{name: "merged", lines: []string{own("v=spf1 a:mx.lab.example include:_spf.google.lab.example include:spf.lab.example -all")}, verdict: VerdictMatch},
		{name: "mx", expected: "v=spf1 mx ~all", lines: []string{own("v=spf1 a mx ~all")}, verdict: VerdictMatch},
		{name: "mx of the domain, inside", expected: "v=spf1 mx ~all", lines: []string{own("v=spf1 include:_spf.shop.lab.example ~all"), `_spf.shop.lab.example. 5 TXT "v=spf1 mx:shop.lab.example -all"`}, verdict: VerdictMatch},
		{name: "mx of another domain", expected: "v=spf1 mx ~all", lines: []string{own("v=spf1 include:_spf.shop.lab.example ~all"), `_spf.shop.lab.example. 5 TXT "v=spf1 mx -all"`}, verdict: VerdictMismatch, code: codeSPFNotAuthorised},
		{name: "redirect", lines: []string{own("v=spf1 redirect=spf.lab.example")}, verdict: VerdictMatch},
		{name: "two wanted, one there", expected: "v=spf1 mx include:spf.lab.example ~all", lines: []string{own(include)}, verdict: VerdictConflict, code: codeSPFNotAuthorised},
		{name: "after all", lines: []string{own("v=spf1 -all include:spf.lab.example")}, verdict: VerdictConflict, code: codeSPFAfterAll},
		{name: "qualifier", lines: []string{own("v=spf1 ~include:spf.lab.example -all")}, verdict: VerdictConflict, code: codeSPFQualifier},
		{name: "+all", lines: []string{own("v=spf1 +all")}, verdict: VerdictMismatch, code: codeSPFPassAll},
		{name: "lookup limit", lines: []string{own("v=spf1 ", tenVendor+" include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFLookupLimit},
		{name: "broken include", lines: []string{own("v=spf1 include:gone.lab.example include:spf.lab.example ~all")}, verdict: VerdictConflict, code: codeSPFBrokenInclude},
		{name: "servfail before", lines: []string{own("v=spf1 include:broken.lab.example include:spf.lab.example ~all")}, verdict: VerdictUnknown, code: resolve.CodeServFail},
		{name: "another provider", lines: []string{own("v=spf1 include:_spf.google.lab.example ~all")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised},
		{name: "address without ours", lines: []string{own("v=spf1 ip4:192.0.2.25 ~all")}, verdict: VerdictMismatch, code: codeSPFNotAuthorised},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := newZone(t, append(slices.Clone(spfCommon), c.lines...)...)
			z.broken["broken.lab.example"] = resolve.CodeServFail
			if c.expected == "" {
				c.expected = include
			}
			c.check(t, spfResult(spfEnv(z), c.expected))
		})
	}
}

// The hint ends with the value, so that what is copied from it is the value.
func TestJudgeSPFMissingHint(t *testing.T) {
	e := spfEnv(newZone(t, testDomain+". 5 NS ns1.lab.example."), "192.0.2.25")
	e.diagnose = true
	r := spfResult(e, include)
	if !strings.HasSuffix(r.Hint, ": "+include) || !strings.Contains(r.Detail, "served by ns1.lab.example") {
		t.Errorf("detail %q, hint %q", r.Detail, r.Hint)
	}
}
