package dnscheck

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck/resolve"
)

const (
	dmarcName   = "_dmarc." + testDomain
	dmarcStrict = "v=DMARC1; p=quarantine; rua=mailto:dmarc@lab.example"
)

func dmarcExpectation(value string) Expectation {
	if value == "" {
		value = "v=DMARC1; p=none;"
	}
	return Expectation{ID: 4, Purpose: PurposeDMARC, Name: dmarcName, Value: value}
}

func runDMARC(t *testing.T, cases []judgeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.check(t, judgeDMARC(context.Background(), testEnv(newZone(t, c.lines...)), dmarcExpectation(c.expected)))
		})
	}
}

func TestJudgeDMARC(t *testing.T) {
	at := func(text string) []string { return []string{txt(dmarcName, text)} }
	const ours = "; rua=mailto:dmarc@lab.example"
	runDMARC(t, []judgeCase{
		{name: "plain", lines: at("v=DMARC1; p=none;"), verdict: VerdictMatch},
		{name: "plain, strict", lines: at(dmarcStrict), expected: dmarcStrict, verdict: VerdictMatch},
		{name: "spaces", lines: at("v = DMARC1 ;p = none ; "), verdict: VerdictMatch},
		{name: "stricter", lines: at("v=DMARC1; p=reject"), verdict: VerdictMatch},
		{name: "policy in capitals", lines: at("v=DMARC1; p=Reject" + ours), expected: dmarcStrict, verdict: VerdictMatch},
		{name: "unknown tag", lines: at("v=DMARC1; p=none; zz=1"), verdict: VerdictMatch},
		{name: "strict alignment", lines: at("v=DMARC1; p=none; adkim=s; aspf=s"), verdict: VerdictMatch},
		{name: "by CNAME", lines: []string{dmarcName + ". 5 CNAME policy.lab.example.", txt("policy.lab.example", "v=DMARC1; p=none")}, verdict: VerdictMatch},
		{name: "report address among others", lines: at("v=DMARC1; p=quarantine; rua=mailto:a@shop.lab.example, MAILTO:dm%61rc@LAB.example"), expected: dmarcStrict, verdict: VerdictMatch},

		{name: "weaker", lines: at("v=DMARC1; p=none" + ours), expected: dmarcStrict, verdict: VerdictMismatch, code: "dmarc_weaker", says: []string{"p=none", "p=quarantine"}},
		{name: "no p is too weak", lines: at("v=DMARC1" + ours), expected: dmarcStrict, verdict: VerdictMismatch, code: "dmarc_weaker", warns: []string{"dmarc_p_missing"}},
		{name: "t=y", lines: at("v=DMARC1; p=quarantine; t=y" + ours), expected: dmarcStrict, verdict: VerdictMismatch, code: "dmarc_weaker", says: []string{"t=y"}},
		{name: "t=y, still enough", lines: at("v=DMARC1; p=reject; t=y" + ours), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_testing"}},
		{name: "bad p with rua reads as none", lines: at("v=DMARC1; p=quarentine" + ours), expected: dmarcStrict, verdict: VerdictMismatch, code: "dmarc_weaker", says: []string{"p=quarentine"}},
		{name: "bad sp with rua reads as none", lines: at("v=DMARC1; p=reject; sp=block" + ours), expected: dmarcStrict, verdict: VerdictMismatch, code: "dmarc_weaker", says: []string{"sp=block"}},
		{name: "several", lines: append(at("v=DMARC1; p=none"), txt(dmarcName, "v=DMARC1; p=reject")), verdict: VerdictConflict, code: "dmarc_multiple"},
		{name: "unrelated beside", lines: append(at("v=DMARC1; p=none"), txt(dmarcName, "v=spf1 -all")), verdict: VerdictMatch, warns: []string{"dmarc_unrelated_txt"}},

		{name: "no p, with rua", lines: at("v=DMARC1; rua=mailto:post@shop.lab.example"), verdict: VerdictMatch, warns: []string{"dmarc_p_missing"}},
		{name: "no p, no rua", lines: at("v=DMARC1; adkim=r"), verdict: VerdictMismatch, code: "dmarc_syntax", says: []string{"no p="}},
		{name: "no p, bad rua", lines: at("v=DMARC1; rua=post@shop.lab.example"), verdict: VerdictMismatch, code: "dmarc_syntax", says: []string{"rua="}},
		{name: "bad p, no rua", lines: at("v=DMARC1; p=deny"), verdict: VerdictMismatch, code: "dmarc_syntax", says: []string{"p=deny"}},
		{name: "no semicolon behind p", lines: at("v=DMARC1; p=none rua=mailto:a@shop.lab.example"), verdict: VerdictMismatch, code: "dmarc_syntax"},
		{name: "p twice", lines: at("v=DMARC1; p=none; p=reject"), verdict: VerdictMismatch, code: "dmarc_syntax", says: []string{"twice"}},
		{name: "p not second", lines: at("v=DMARC1; rua=mailto:post@shop.lab.example; p=none"), verdict: VerdictMatch, warns: []string{"dmarc_p_order"}},
		{name: "our own order is no cause to warn", lines: at("v=DMARC1; sp=none; p=reject"), expected: "v=DMARC1; sp=none; p=reject", verdict: VerdictMatch},
		{name: "bad optional value", lines: at("v=DMARC1; p=none; adkim=x"), verdict: VerdictMatch, warns: []string{"dmarc_invalid_tag"}},
		{name: "no report address", lines: at("v=DMARC1; p=quarantine"), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_no_rua"}},
		{name: "sp weaker", lines: at("v=DMARC1; p=quarantine; sp=none" + ours), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_sp_weaker"}},
		{name: "np weaker", lines: at("v=DMARC1; p=quarantine; np=none" + ours), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_np_weaker"}},
		{name: "pct", lines: at("v=DMARC1; p=quarantine; pct=50" + ours), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_pct"}},
		{name: "pct 100", lines: at("v=DMARC1; p=none; pct=100"), verdict: VerdictMatch},
		{name: "size", lines: at("v=DMARC1; p=quarantine" + ours + "!10m"), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_rua_size"}},
		{name: "psd", lines: at("v=DMARC1; p=none; psd=y"), verdict: VerdictMatch, warns: []string{"dmarc_psd"}},
		{name: "foreign reports, not agreed", lines: at("v=DMARC1; p=none; rua=mailto:a@reports.test"), verdict: VerdictMatch, warns: []string{"dmarc_rua_unauthorised"}},
		{name: "foreign reports, agreed", lines: append(at("v=DMARC1; p=none; rua=mailto:a@reports.test"), txt(testDomain+"._report._dmarc.reports.test", "v=DMARC1")), verdict: VerdictMatch},
	})
}

func TestJudgeDMARCNearMiss(t *testing.T) {
	at := func(text string) []string { return []string{txt(dmarcName, text)} }
	miss := func(name, text, says string) judgeCase {
		return judgeCase{name: name, lines: at(text), verdict: VerdictMismatch, code: "dmarc_syntax", says: []string{says}}
	}
	runDMARC(t, []judgeCase{
		miss("lower case", "v=dmarc1; p=none", "in capitals"),
		miss("no semicolon", "v=DMARC1 p=none", "semicolon"),
		miss("comma", "v=DMARC1, p=none", "semicolon"),
		miss("quotes", `\"v=DMARC1; p=none\"`, "quotes"),
		miss("smart quotes", `\226\128\156v=DMARC1; p=none\226\128\157`, "quotes"),
		miss("byte order mark", `\239\187\191v=DMARC1; p=none`, "invisible"),
		miss("leading space", " v=DMARC1; p=none", "space"),
		miss("v last", "p=none; v=DMARC1", "first tag"),
		miss("no version", "p=reject; rua=mailto:a@shop.lab.example", "v=DMARC1"),
		miss("version 2", "v=DMARC2; p=none", "version"),
		miss("pasted name", "_dmarc IN TXT v=DMARC1; p=none", "before v=DMARC1"),
		{name: "unrelated only", lines: at("hello"), verdict: VerdictMissing, code: "dmarc_missing", warns: []string{"dmarc_unrelated_txt"}},
		{name: "wildcard", lines: []string{`*.shop.lab.example. 5 TXT "v=spf1 -all"`}, verdict: VerdictMissing, code: "dmarc_missing", warns: []string{"dmarc_wildcard", "dmarc_unrelated_txt"}},
		{name: "unreadable, but inherited", lines: append(at("v=dmarc1; p=none"), txt("_dmarc.lab.example", "v=DMARC1; p=none")), verdict: VerdictMatch, warns: []string{"dmarc_inherited", "dmarc_unrelated_txt"}},
	})
}

func TestJudgeDMARCAbsent(t *testing.T) {
	parent := func(text string) []string { return []string{txt("_dmarc.lab.example", text), txt(testDomain, "x")} }
	const rua = "; rua=mailto:dmarc@lab.example"
	runDMARC(t, []judgeCase{
		{name: "nothing", verdict: VerdictMissing, code: "dmarc_missing", says: []string{"host _dmarc", "v=DMARC1; p=none;"}},
		{name: "dangling CNAME", lines: []string{dmarcName + ". 5 CNAME gone.lab.example."}, verdict: VerdictMissing, code: "dmarc_missing", says: []string{"gone.lab.example"}},
		{name: "inherited", lines: parent("v=DMARC1; p=reject"), verdict: VerdictMatch, warns: []string{"dmarc_inherited"}, says: []string{"lab.example"}},
		{name: "inherited by sp", lines: parent("v=DMARC1; p=none; sp=reject" + rua), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_inherited"}},
		{name: "inherited without our address", lines: parent("v=DMARC1; p=reject"), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_inherited", "dmarc_no_rua"}},
		{name: "sp too weak", lines: parent("v=DMARC1; p=reject; sp=none" + rua), expected: dmarcStrict, verdict: VerdictMissing, code: "dmarc_missing", says: []string{"lab.example: p=reject, sp=none"}},
		{name: "np is for names that do not exist", lines: parent("v=DMARC1; p=reject; np=none" + rua), expected: dmarcStrict, verdict: VerdictMatch, warns: []string{"dmarc_inherited"}},
		{name: "np applies", lines: []string{txt("_dmarc.lab.example", "v=DMARC1; p=reject; np=none"+rua)}, expected: dmarcStrict, verdict: VerdictMissing, code: "dmarc_missing", says: []string{"np=none"}},
		{name: "t=y at the parent", lines: parent("v=DMARC1; p=quarantine; t=y" + rua), expected: dmarcStrict, verdict: VerdictMissing, code: "dmarc_missing"},
		{name: "public suffix", lines: parent("v=DMARC1; p=reject; psd=y"), verdict: VerdictMissing, code: "dmarc_missing", says: []string{"psd=y"}},
		{name: "two at the parent", lines: append(parent("v=DMARC1; p=reject"), txt("_dmarc.lab.example", "v=DMARC1; p=none")), verdict: VerdictMissing, code: "dmarc_missing"},
		{name: "doubled", lines: []string{txt(dmarcName+"."+testDomain, "v=DMARC1; p=none")}, verdict: VerdictMissing, code: "dmarc_missing", warns: []string{"name_doubled"}, says: []string{"twice"}},
		{name: "at the apex", lines: []string{txt(testDomain, "v=DMARC1; p=none")}, verdict: VerdictMissing, code: "dmarc_at_apex", says: []string{"host must be _dmarc"}},
		{name: "no underscore", lines: []string{txt("dmarc."+testDomain, "v=DMARC1; p=none")}, verdict: VerdictMissing, code: "dmarc_missing", says: []string{"underscore"}},
	})
}

// A parent that cannot be asked says nothing against a verified record, which
// may be verified through it; for a new one the missing record is the news.
func TestJudgeDMARCParentUnknown(t *testing.T) {
	z := newZone(t)
	z.broken["_dmarc.lab.example"] = resolve.CodeTimeout
	x := dmarcExpectation("")
	judgeCase{verdict: VerdictMissing, code: "dmarc_missing", says: []string{"could not be looked up"}}.
		check(t, judgeDMARC(context.Background(), testEnv(z), x))
	x.Verified = true
	judgeCase{verdict: VerdictUnknown, code: resolve.CodeTimeout}.check(t, judgeDMARC(context.Background(), testEnv(z), x))

	z.broken[dmarcName] = resolve.CodeServFail
	judgeCase{verdict: VerdictUnknown, code: resolve.CodeServFail}.check(t, judgeDMARC(context.Background(), testEnv(z), x))
}

// The verdict depends on neither the order of records, nor of tags behind p=.
func TestJudgeDMARCInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := rapid.SampledFrom([]string{"p=none", "p=quarantine", "p=reject", "p=bad"}).Draw(t, "p")
		optional := []string{"t=y", "sp=none", "rua=mailto:dmarc@lab.example", "zz=1", "pct=5"}
		record := func(tags []string) string { return "v=DMARC1; " + policy + "; " + strings.Join(tags, ";") }
		others := []string{"v=spf1 -all", "v=dmarc1; p=none", "hello"}[:rapid.IntRange(0, 3).Draw(t, "others")]
		judge := func(texts []string) Result {
			var rrs []resolve.Text
			for _, s := range texts {
				half := len(s) / 2
				rrs = append(rrs, resolve.Text{Strings: []string{s[:half], s[half:]}})
			}
			e := testEnv(nil)
			e.resolver = &fixed{answer: resolve.Answer{Name: dmarcName, TXT: rrs}}
			return judgeDMARC(context.Background(), e, dmarcExpectation(dmarcStrict))
		}
		want := judge(append([]string{record(optional)}, others...))
		mixed := record(rapid.Permutation(optional).Draw(t, "tags"))
		got := judge(rapid.Permutation(append(slices.Clone(others), mixed)).Draw(t, "records"))
		if want.Verdict != got.Verdict || want.Code != got.Code || codes(want) != codes(got) {
			t.Errorf("%s %s %s, mixed %s %s %s", want.Verdict, want.Code, codes(want), got.Verdict, got.Code, codes(got))
		}
	})
}

func codes(r Result) string {
	var all []string
	for _, w := range r.Warnings {
		all = append(all, w.Code)
	}
	return fmt.Sprint(all)
}
