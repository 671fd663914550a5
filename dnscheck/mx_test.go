package dnscheck

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestJudgeMX(t *testing.T) {
	const d = testDomain + ". 5 "
	cases := []judgeCase{
		{name: "plain", lines: []string{d + "MX 10 mx.lab.example."}, verdict: VerdictMatch},
		{name: "another number", lines: []string{d + "MX 50 mx.lab.example."}, verdict: VerdictMatch},
		{name: "mixed case", lines: []string{d + "MX 10 MX.Lab.example."}, verdict: VerdictMatch},
		{name: "same host twice", lines: []string{d + "MX 10 mx.lab.example.", d + "MX 20 mx.lab.example."}, verdict: VerdictMatch},
		{name: "foreign backup", lines: []string{d + "MX 10 mx.lab.example.", d + "MX 20 old.example."},
			verdict: VerdictMatch, warns: []string{"mx_foreign_backup"}, says: []string{"old.example"}},
		{name: "conflict, better", lines: []string{d + "MX 10 mx.lab.example.", d + "MX 5 old.example."},
			verdict: VerdictConflict, code: "mx_conflict", says: []string{"old.example", "first"}},
		{name: "conflict, equal", lines: []string{d + "MX 10 mx.lab.example.", d + "MX 10 old.example."},
			verdict: VerdictConflict, code: "mx_conflict", says: []string{"old.example", "part of the mail"}},
		{name: "not ours", lines: []string{d + "MX 10 old.example.", d + "MX 20 old2.example."},
			verdict: VerdictMismatch, code: "mx_not_ours", says: []string{"old.example", "old2.example"}},
		{name: "null", lines: []string{d + "MX 0 ."}, verdict: VerdictMismatch, code: "mx_null", says: []string{"0 ."}},
		{name: "null beside ours", lines: []string{d + "MX 0 .", d + "MX 10 mx.lab.example."}, verdict: VerdictConflict, code: "mx_null_mixed"},
		{name: "null beside foreign", lines: []string{d + "MX 0 .", d + "MX 10 old.example."}, verdict: VerdictMismatch, code: "mx_null_mixed"},
		{name: "nothing", lines: []string{d + `TXT "x"`, "lab.example. 5 NS ns1.dns.example."},
			verdict: VerdictMissing, code: "mx_missing", says: []string{"ns1.dns.example", testMX}},
		{name: "no such name", verdict: VerdictMissing, code: "mx_missing"},
		{name: "implicit", lines: []string{d + "A 198.51.100.9"}, verdict: VerdictMissing, code: "mx_missing", says: []string{"5321", "web host"}},
		{name: "implicit, IPv6", lines: []string{d + "AAAA 2001:db8::9"}, verdict: VerdictMissing, code: "mx_missing", says: []string{"5321"}},
		{name: "name doubled", lines: []string{d + `TXT "x"`, testDomain + "." + d + "MX 10 mx.lab.example."},
			verdict: VerdictMissing, code: "mx_missing", warns: []string{"name_doubled"}, says: []string{"twice"}},
		{name: "zone appended", lines: []string{testDomain + ".lab.example. 5 MX 10 mx.lab.example."},
			verdict: VerdictMissing, code: "mx_missing", warns: []string{"name_doubled"}},
		{name: "owner is an alias", lines: []string{d + "CNAME home.lab.example.", "home.lab.example. 5 MX 10 mx.lab.example."},
			verdict: VerdictMatch, warns: []string{"mx_owner_cname"}, says: []string{"home.lab.example"}},
		{name: "owner is an alias of nothing", lines: []string{d + "CNAME home.lab.example."},
			verdict: VerdictMissing, code: "mx_missing", says: []string{"alias of home.lab.example"}},
		{name: "target doubled", lines: []string{d + "MX 10 mx.lab.example.shop.lab.example."},
			verdict: VerdictMismatch, code: "mx_target_doubled", says: []string{"mx.lab.example."}},
		{name: "target with the zone appended", lines: []string{d + "MX 10 mx.lab.example.lab.example."},
			verdict: VerdictMismatch, code: "mx_target_doubled"},
		{name: "alias by CNAME", lines: []string{d + "MX 10 mail.shop.lab.example.", "mail.shop.lab.example. 5 CNAME mx.lab.example."},
			verdict: VerdictMismatch, code: "mx_alias", says: []string{"mail.shop.lab.example"}},
		{name: "alias by address", lines: []string{d + "MX 10 mail.shop.lab.example.", "mail.shop.lab.example. 5 A 192.0.2.7"},
			verdict: VerdictMismatch, code: "mx_alias"},
		{name: "own name elsewhere", lines: []string{d + "MX 10 mail.shop.lab.example.", "mail.shop.lab.example. 5 A 192.0.2.8"},
			verdict: VerdictMismatch, code: "mx_not_ours"},
		{name: "address", lines: []string{d + "MX 10 192.0.2.25."}, verdict: VerdictMismatch, code: "mx_is_address"},
		{name: "address with the domain appended", lines: []string{d + "MX 10 192.0.2.25.shop.lab.example."}, verdict: VerdictMismatch, code: "mx_is_address"},
		{name: "IPv6 address", lines: []string{d + "MX 10 2001:db8::1."}, verdict: VerdictMismatch, code: "mx_is_address"},
		{name: "proxied", lines: []string{d + "MX 10 _dc-mx.5f2a9c1e77d0.shop.lab.example.", "_dc-mx.5f2a9c1e77d0.shop.lab.example. 5 A 198.51.100.20"},
			verdict: VerdictMismatch, code: "mx_proxied", says: []string{"Cloudflare"}},
		{name: "wildcard", lines: []string{"*.lab.example. 5 MX 10 old.example."},
			verdict: VerdictMismatch, code: "mx_not_ours", warns: []string{"mx_wildcard"}},
		{name: "hostile", lines: []string{d + `MX 10 a\226\128\174b\027.example.`},
			verdict: VerdictMismatch, code: "mx_not_ours", says: []string{`\\226`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.check(t, judgeMX(context.Background(), testEnv(newZone(t, c.lines...)), mxExpectation()))
		})
	}
}

func mxExpectation() Expectation {
	return Expectation{ID: 1, Purpose: PurposeMX, Name: testDomain, Value: testMX, Priority: 10}
}

func TestJudgeMXPartial(t *testing.T) {
	e := testEnv(newZone(t, testDomain+". 5 MX 20 mx.lab.example."))
	e.mxHosts = []string{testMX, "mx2.lab.example"}
	c := judgeCase{verdict: VerdictMatch, warns: []string{"mx_partial"}, says: []string{"mx2.lab.example is missing"}}
	c.check(t, judgeMX(context.Background(), e, mxExpectation()))

	e.resolver = newZone(t, testDomain+". 5 MX 20 mx.lab.example.", testDomain+". 5 MX 10 mx2.lab.example.")
	judgeCase{verdict: VerdictMatch}.check(t, judgeMX(context.Background(), e, mxExpectation()))
}

// What we cannot look up moves nothing, and what only explains may fail.
func TestJudgeMXErrors(t *testing.T) {
	z := newZone(t, testDomain+". 5 MX 10 mail.shop.lab.example.")
	z.broken["mail.shop.lab.example"] = resolve.CodeServFail
	judgeCase{verdict: VerdictMismatch, code: "mx_not_ours"}.check(t, judgeMX(context.Background(), testEnv(z), mxExpectation()))

	z.broken[testDomain] = resolve.CodeRefused
	judgeCase{verdict: VerdictUnknown, code: resolve.CodeRefused}.check(t, judgeMX(context.Background(), testEnv(z), mxExpectation()))
}

// The verdict depends neither on the order of the RRset nor on the case of its
// names, and no diagnosis asks more than maxProbes.
func TestJudgeMXInvariant(t *testing.T) {
	hosts := []string{testMX, "old.example", "mail.shop.lab.example", "", "192.0.2.1", testMX + "." + testDomain}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "n")
		var rrs []resolve.MX
		for range n {
			rrs = append(rrs, resolve.MX{
				Host:       rapid.SampledFrom(hosts).Draw(t, "host"),
				Preference: uint16(rapid.IntRange(0, 2).Draw(t, "preference")),
			})
		}
		judge := func(rrs []resolve.MX) (Result, int) {
			f := &fixed{answer: resolve.Answer{Name: testDomain, MX: rrs}}
			e := testEnv(nil)
			e.resolver = f
			return judgeMX(context.Background(), e, mxExpectation()), f.asked
		}
		want, asked := judge(rrs)
		if asked > 1+maxProbes {
			t.Errorf("%d questions", asked)
		}
		shuffled := rapid.Permutation(rrs).Draw(t, "order")
		shuffled = slices.Clone(shuffled)
		for i := range shuffled {
			if rapid.Bool().Draw(t, "upper") {
				shuffled[i].Host = strings.ToUpper(shuffled[i].Host)
			}
		}
		got, _ := judge(shuffled)
		if got.Verdict != want.Verdict || got.Code != want.Code || !slices.Equal(got.Observed, want.Observed) {
			t.Errorf("%v: %s %s, shuffled %s %s", rrs, want.Verdict, want.Code, got.Verdict, got.Code)
		}
	})
}

// fixed answers the first question with an answer and all others with NODATA.
type fixed struct {
	answer resolve.Answer
	asked  int
}

func (f *fixed) Lookup(_ context.Context, name string, _ resolve.Type) (resolve.Answer, error) {
	f.asked++
	if f.asked == 1 {
		return f.answer, nil
	}
	return resolve.Answer{Name: name}, nil
}

// A provider appends its zone, and that may be any above the domain.
func TestJudgeMXTargetWithTheZoneAppended(t *testing.T) {
	const at = "in.team.shop.lab.example"
	for zone, code := range map[string]string{
		at: "mx_target_doubled", "team.shop.lab.example": "mx_target_doubled", "shop.lab.example": "mx_target_doubled",
		"lab.example": "mx_target_doubled", "example": "mx_not_ours", "other.shop.lab.example": "mx_not_ours",
	} {
		e := testEnv(newZone(t, at+". 5 MX 10 mx.lab.example."+zone+"."))
		e.domain = at
		r := judgeMX(context.Background(), e, Expectation{Purpose: PurposeMX, Name: at, Value: testMX, Priority: 10})
		if r.Code != code {
			t.Errorf("appended %s: %s, want %s", zone, r.Code, code)
		}
	}
}
