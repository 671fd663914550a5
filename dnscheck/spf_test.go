package dnscheck

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/dnscheck/spf"
)

// spfCommon is what the senders of the cases publish.
var spfCommon = []string{
	`mx.lab.example. 5 A 192.0.2.25`,
	`spf.lab.example. 5 TXT "v=spf1 ip4:192.0.2.25 -all"`,
	`_spf.google.lab.example. 5 TXT "v=spf1 include:_n1.google.lab.example include:_n2.google.lab.example include:_n3.google.lab.example ~all"`,
	`_n1.google.lab.example. 5 TXT "v=spf1 ip4:203.0.113.0/28 ~all"`,
	`_n2.google.lab.example. 5 TXT "v=spf1 ip4:203.0.113.16/28 ~all"`,
	`_n3.google.lab.example. 5 TXT "v=spf1 ip4:203.0.113.32/28 ~all"`,
	`v1.lab.example. 5 TXT "v=spf1 ip4:203.0.113.201 ~all"`,
	`v2.lab.example. 5 TXT "v=spf1 ip4:203.0.113.202 ~all"`,
	`v3.lab.example. 5 TXT "v=spf1 ip4:203.0.113.203 ~all"`,
	`v4.lab.example. 5 TXT "v=spf1 ip4:203.0.113.204 ~all"`,
	`v5.lab.example. 5 TXT "v=spf1 ip4:203.0.113.205 ~all"`,
	`v6.lab.example. 5 TXT "v=spf1 ip4:203.0.113.206 ~all"`,
	`v7.lab.example. 5 TXT "v=spf1 ip4:203.0.113.207 ~all"`,
	`v8.lab.example. 5 TXT "v=spf1 ip4:203.0.113.208 ~all"`,
	`v9.lab.example. 5 TXT "v=spf1 ip4:203.0.113.209 ~all"`,
	`v10.lab.example. 5 TXT "v=spf1 ip4:203.0.113.210 ~all"`,
	`txt.lab.example. 5 TXT "hello world"`,
	`two.lab.example. 5 TXT "v=spf1 -all"`,
	`two.lab.example. 5 TXT "v=spf1 ~all"`,
	`bad.lab.example. 5 TXT "v=spf1 ipv4:203.0.113.9 ~all"`,
	`everyone.lab.example. 5 TXT "v=spf1 +all"`,
}

const (
	include   = "v=spf1 include:spf.lab.example ~all"
	tenVendor = "include:v1.lab.example include:v2.lab.example include:v3.lab.example include:v4.lab.example include:v5.lab.example include:v6.lab.example include:v7.lab.example include:v8.lab.example include:v9.lab.example include:v10.lab.example"
)

// own is the TXT record at the test domain, in the strings given.
func own(parts ...string) string {
	line := testDomain + ". 5 TXT"
	for _, s := range parts {
		line += ` "` + s + `"`
	}
	return line
}

// spfEnv is an env whose mail leaves from these addresses.
func spfEnv(z *zoneMap, ips ...string) *env {
	e := testEnv(z)
	e.ours = func(context.Context) ([]netip.Addr, error) {
		var addrs []netip.Addr
		for _, ip := range ips {
			addrs = append(addrs, netip.MustParseAddr(ip))
		}
		return addrs, nil
	}
	return e
}

// spfResult judges the record that the lines publish.
func spfResult(e *env, expected string) Result {
	return judgeSPF(context.Background(), e, Expectation{ID: 7, Purpose: PurposeSPF, Name: testDomain, Value: expected})
}

func TestJudgeSPF(t *testing.T) {
	for _, c := range slices.Concat(spfMatches, spfBad, spfAbsent) {
		t.Run(c.name, func(t *testing.T) {
			z := newZone(t, append(slices.Clone(spfCommon), c.lines...)...)
			z.broken["broken.lab.example"] = resolve.CodeServFail
			if c.expected == "" {
				c.expected = include
			}
			e := spfEnv(z, "192.0.2.25")
			r := spfResult(e, c.expected)
			text := r
			text.Hint += "\n" + r.Suggested
			c.check(t, text)
			if r.Verdict.Bad() {
				checkSuggestion(t, z, e, r.Suggested)
			} else if r.Suggested != "" {
				t.Error("a suggestion without a need:", r.Suggested)
			}
			if n := len(z.asked); n > 40 {
				t.Errorf("%d questions", n)
			}
		})
	}
}

// checkSuggestion requires a suggested record to be valid and to pass our mail.
func checkSuggestion(t *testing.T, z *zoneMap, e *env, text string) {
	t.Helper()
	record, err := spf.Parse(text)
	if err != nil {
		t.Fatalf("suggested %q: %v", text, err)
	}
	addrs, _ := e.ours(context.Background())
	for _, ip := range addrs {
		out := spf.CheckRecord(context.Background(), z, spf.Query{IP: ip, Domain: testDomain}, record)
		leaf, _ := out.Leaf()
		if out.Result != spf.ResultPass || leaf.Everyone() {
			t.Errorf("suggested %q: %s gets %s (%v)", text, ip, out.Result, out.Problem)
		}
	}
	if n := strings.Count(text, "all"); n != 1 && !strings.Contains(text, "redirect=") {
		t.Errorf("suggested %q: %d all", text, n)
	}
}

var spfMatches = []judgeCase{
	{name: "as given", lines: []string{own(include)}, verdict: VerdictMatch},
	{name: "hardfail", lines: []string{own("v=spf1 include:spf.lab.example -all")}, verdict: VerdictMatch},
	{name: "upper case", lines: []string{own("V=SPF1 INCLUDE:SPF.LAB.EXAMPLE ~ALL")}, verdict: VerdictMatch},
	{name: "merged", lines: []string{own("v=spf1 include:_spf.google.lab.example include:spf.lab.example ~all")}, verdict: VerdictMatch},
	{name: "ip4", lines: []string{own("v=spf1 ip4:192.0.2.25 ~all")}, verdict: VerdictMatch},
	{name: "a", lines: []string{own("v=spf1 a:mx.lab.example -all")}, verdict: VerdictMatch},
	{name: "mx", lines: []string{own("v=spf1 mx -all"), testDomain + ". 5 MX 10 mx.lab.example."}, verdict: VerdictMatch, expected: "v=spf1 mx ~all"},
	{name: "redirect", lines: []string{own("v=spf1 redirect=spf.lab.example")}, verdict: VerdictMatch},
	{name: "nested", lines: []string{own("v=spf1 include:_spf.shop.lab.example -all"), `_spf.shop.lab.example. 5 TXT "v=spf1 include:spf.lab.example -all"`}, verdict: VerdictMatch},
	{name: "exists with a macro", lines: []string{own("v=spf1 exists:%{i}._ok.shop.lab.example -all"), "192.0.2.25._ok.shop.lab.example. 5 A 127.0.0.2"}, verdict: VerdictMatch},
	{name: "macro include of a vendor", lines: []string{own("v=spf1 include:%{ir}.%{v}.%{d}.spf.vendor.example -all"),
		`25.2.0.192.in-addr.shop.lab.example.spf.vendor.example. 5 TXT "v=spf1 ip4:192.0.2.25 -all"`}, verdict: VerdictMatch},
	{name: "two strings", lines: []string{own("v=spf1 include:_spf.google.lab.example ", "include:spf.lab.example ~all")}, verdict: VerdictMatch},
	{name: "split in a word", lines: []string{own("v=spf1 include:spf.la", "b.example ~all")}, verdict: VerdictMatch},
	{name: "split without space, harmless", lines: []string{own("v=spf1 include:spf.lab.example include:v1.lab.example", "-all")}, verdict: VerdictMatch,
		warns: []string{"spf_no_all", codeSPFSplit, codeSPFBrokenInclude}},
	{name: "alias", lines: []string{testDomain + ". 5 CNAME home.lab.example.", `home.lab.example. 5 TXT "` + include + `"`}, verdict: VerdictMatch},
	{name: "other texts beside", lines: []string{own(include), own("MS=ms123"), own("v=spf10 x")}, verdict: VerdictMatch},
	{name: "limit after ours", lines: []string{own("v=spf1 include:spf.lab.example ", tenVendor+" ~all")}, verdict: VerdictMatch, warns: []string{"spf_lookups"}, says: []string{"more than 10"}},
	{name: "limit inside, after ours", lines: []string{own("v=spf1 include:spf.lab.example include:_spf.google.lab.example ",
		"include:v1.lab.example include:v2.lab.example include:v3.lab.example include:v4.lab.example include:v5.lab.example include:v6.lab.example ~all")},
		verdict: VerdictMatch, warns: []string{"spf_lookups"}},
	{name: "no all", lines: []string{own("v=spf1 include:spf.lab.example")}, verdict: VerdictMatch, warns: []string{"spf_no_all"}},
	{name: "neutral all", lines: []string{own("v=spf1 include:spf.lab.example ?all")}, verdict: VerdictMatch, warns: []string{"spf_neutral_all"}},
	{name: "+all after ours", lines: []string{own("v=spf1 include:spf.lab.example +all")}, verdict: VerdictMatch, warns: []string{codeSPFPassAll}},
	{name: "ptr", lines: []string{own("v=spf1 include:spf.lab.example ptr ~all")}, verdict: VerdictMatch, warns: []string{"spf_ptr"}},
	{name: "long", lines: []string{own("v=spf1 include:spf.lab.example ", strings.Repeat("ip4:198.51.100.100 ", 12), strings.Repeat("ip4:198.51.100.101 ", 12), "-all")}, verdict: VerdictMatch, warns: []string{"spf_too_long"}},
	{name: "long set", lines: []string{own(include), own(strings.Repeat("x", 250), strings.Repeat("x", 250))}, verdict: VerdictMatch, warns: []string{"spf_too_long"}},
	{name: "duplicate include", lines: []string{own("v=spf1 include:spf.lab.example include:SPF.lab.example. ~all")}, verdict: VerdictMatch, warns: []string{"spf_duplicate_include"}},
	{name: "Sender ID beside", lines: []string{own(include), own("spf2.0/pra include:x.example ~all")}, verdict: VerdictMatch, warns: []string{"spf_sender_id"}},
	{name: "type 99 beside", lines: []string{own(include), testDomain + `. 5 SPF "v=spf1 -all"`}, verdict: VerdictMatch, warns: []string{"spf_type99"}},
	{name: "wildcard below", lines: []string{own(include), `*.shop.lab.example. 5 TXT "v=spf1 -all"`}, verdict: VerdictMatch, warns: []string{"spf_wildcard"}},
	{name: "is a wildcard", lines: []string{`*.lab.example. 5 TXT "` + include + `"`}, verdict: VerdictMatch, warns: []string{"spf_wildcard"}},
	{name: "servfail after ours", lines: []string{own("v=spf1 include:spf.lab.example include:broken.lab.example ~all")}, verdict: VerdictMatch},
	{name: "broken include after ours", lines: []string{own("v=spf1 include:spf.lab.example include:gone.lab.example ~all")}, verdict: VerdictMatch, warns: []string{codeSPFBrokenInclude}, says: []string{"gone.lab.example"}},
	{name: "loop after ours", lines: []string{own("v=spf1 include:spf.lab.example include:shop.lab.example ~all")}, verdict: VerdictMatch, warns: []string{codeSPFIncludeLoop}},
	{name: "servfail before ours", lines: []string{own("v=spf1 include:broken.lab.example include:spf.lab.example ~all")}, verdict: VerdictUnknown, code: resolve.CodeServFail, says: []string{"broken.lab.example"}},
	{name: "servfail of an mx host", lines: []string{own("v=spf1 mx:many.lab.example include:spf.lab.example ~all"), "many.lab.example. 5 MX 10 broken.lab.example."}, verdict: VerdictUnknown, code: resolve.CodeServFail},
}

func TestJudgeSPFUnknown(t *testing.T) {
	z := newZone(t, spfCommon...)
	z.broken[testDomain] = resolve.CodeTimeout
	if r := spfResult(spfEnv(z, "192.0.2.25"), include); r.Verdict != VerdictUnknown || r.Code != resolve.CodeTimeout {
		t.Errorf("the record's own name: %s %s", r.Verdict, r.Code)
	}

	failing := &resolve.Error{Code: resolve.CodeRefused, Detail: "REFUSED"}
	for record, want := range map[string]Verdict{
		include:                  VerdictUnknown,
		"v=spf1 ipv4:192.0.2.25": VerdictMismatch, // whatever our addresses are
	} {
		z := newZone(t, append(slices.Clone(spfCommon), own(record))...)
		e := spfEnv(z)
		e.ours = func(context.Context) ([]netip.Addr, error) { return nil, failing }
		if r := spfResult(e, include); r.Verdict != want {
			t.Errorf("our addresses unknown, %q: %s, want %s", record, r.Verdict, want)
		}
	}
}
