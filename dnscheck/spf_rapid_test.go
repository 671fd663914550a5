package dnscheck

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/dnscheck/spf"
)

// spfWords are terms, right and wrong, that customers publish.
var spfWords = []string{
	"include:spf.lab.example", "~include:spf.lab.example", "-include:spf.lab.example", "include:_spf.google.lab.example", "include:v1.lab.example",
	"include:v2.lab.example", "include:gone.lab.example", "include:shop.lab.example", "include:two.lab.example", "include:everyone.lab.example",
	"a", "mx", "ptr", "a:mx.lab.example", "-a:mx.lab.example", "mx:gone.lab.example", "a:n1.lab.example", "a:n2.lab.example", "exists:%{i}.x.example", "exists:%{l,}.x.example",
	"ip4:192.0.2.25", "-ip4:192.0.2.0/24", "?ip4:192.0.2.25", "ip4:0.0.0.0/0", "ip4:203.0.113.5", "ip6:2001:db8::/32",
	"-all", "~all", "?all", "+all", "redirect=spf.lab.example", "redirect=v3.lab.example", "redirect=gone.lab.example", "exp=why.example", "moo=x",
	"ipv4:192.0.2.1", "include:", ":v4.lab.example", "a:198.51.100.1", "include:v5.lab.example,", "include=v6.lab.example", `\"`, "–all", "ip4", "198.51.100.9", "nonsense", "v=spf1",
}

var spfRecords = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(append([]string{"v=spf1"}, rapid.SliceOfN(rapid.SampledFrom(spfWords), 0, 8).Draw(t, "terms")...), " ")
})

// with adds TXT records at the test domain, each in its strings as octets.
func (z *zoneMap) with(texts [][]string) *zoneMap {
	for _, s := range texts {
		rr := &dns.TXT{Hdr: dns.RR_Header{Name: testDomain + ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}}
		for _, one := range s {
			rr.Txt = append(rr.Txt, strings.ReplaceAll(one, `\`, `\\`))
		}
		z.records[testDomain] = append(z.records[testDomain], rr)
	}
	return z
}

// TestSuggestion: whatever the customer publishes, the suggested record is
// valid, passes our mail, keeps every sender, and is judged a match.
func TestSuggestion(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var published [][]string
		for _, r := range rapid.SliceOfN(spfRecords, 0, 3).Draw(rt, "records") {
			published = append(published, []string{r})
		}
		z := newZone(t, spfCommon...).with(published)
		e := spfEnv(z, "192.0.2.25")
		r := spfResult(e, include)
		if !r.Verdict.Bad() {
			return
		}
		checkSuggestion(t, z, e, r.Suggested)
		if t.Failed() {
			rt.Fatalf("published %q", published)
		}
		suggested, _ := spf.Parse(r.Suggested)
		for _, p := range published {
			keepsSenders(rt, p[0], suggested)
		}
		after := newZone(t, spfCommon...).with([][]string{{r.Suggested}})
		if r := spfResult(spfEnv(after, "192.0.2.25"), include); r.Verdict != VerdictMatch {
			rt.Fatalf("the suggestion for %q is judged %s %s: %s", published, r.Verdict, r.Code, r.Detail)
		}
	})
}

// keepsSenders requires every valid mechanism of a record to be in the
// suggested one, but for those that match everybody, nobody or us.
func keepsSenders(t *rapid.T, text string, suggested spf.Record) {
	for _, word := range strings.Fields(text)[1:] {
		term, err := spf.ParseTerm(word)
		if err != nil || !term.Kind.Mechanism() || term.Everyone() {
			continue
		}
		switch target, _ := term.Target(); target {
		case testDomain, "gone.lab.example":
			continue
		}
		key := termKey(testDomain, term)
		if !slices.ContainsFunc(suggested.Terms, func(s spf.Term) bool { return termKey(testDomain, s) == key }) {
			t.Fatalf("%s of %q is lost in %q", word, text, suggested)
		}
	}
}

// TestSPFInvariance: how a text is split into strings, the order of the
// records, and the case of what is published change nothing.
func TestSPFInvariance(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var plain, varied [][]string
		for _, text := range append(rapid.SliceOfN(spfRecords, 1, 2).Draw(rt, "records"), "MS=ms1") {
			plain = append(plain, []string{text})
			varied = append(varied, divide(rt, text))
		}
		varied = rapid.Permutation(varied).Draw(rt, "order")
		a, b := newZone(t, spfCommon...).with(plain), newZone(t, spfCommon...).with(varied)
		x, y := spfResult(spfEnv(a, "192.0.2.25"), include), spfResult(spfEnv(b, "192.0.2.25"), include)
		if x.Verdict != y.Verdict || x.Code != y.Code || !slices.Equal(warned(x), warned(y)) {
			rt.Fatalf("%q: %s %s %v; %q: %s %s %v", plain, x.Verdict, x.Code, warned(x), varied, y.Verdict, y.Code, warned(y))
		}
	})
}

// divide cuts a text into strings, each but the last ending in a space, and
// changes the case of names.
func divide(t *rapid.T, text string) []string {
	if rapid.Bool().Draw(t, "upper") && !strings.Contains(text, "%{") {
		text = strings.ToUpper(text)
	}
	var all []string
	for _, word := range strings.SplitAfter(text, " ") {
		if len(all) > 0 && rapid.Bool().Draw(t, "join") {
			all[len(all)-1] += word
		} else {
			all = append(all, word)
		}
	}
	return all
}

func warned(r Result) []string {
	var all []string
	for _, w := range r.Warnings {
		all = append(all, w.Code)
	}
	return all
}

// TestSPFHostile: no text makes the judge panic or show what is unprintable.
func TestSPFHostile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), spfRecords, rapid.Map(rapid.String(), func(s string) string { return "v=spf1 " + s })).Draw(rt, "text")
		answer := resolve.Answer{TTL: 1, TXT: []resolve.Text{{Strings: []string{text}}}}
		e := spfEnv(newZone(t, spfCommon...), "192.0.2.25")
		j := newSPFJudge(e, Expectation{Name: testDomain, Value: include}, answer)
		r := j.judge(context.Background())
		for _, s := range append([]string{r.Detail, r.Hint, r.Suggested}, r.Observed...) {
			if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				rt.Fatalf("unprintable: %q", s)
			}
		}
	})
}

// FuzzJudgeSPF: a TXT text gets a verdict, and a suggestion for it is valid
// and passes our mail.
func FuzzJudgeSPF(f *testing.F) {
	for _, c := range []string{include, "v=spf1 include: a.example, ~all", "\ufeffv=spf1 -all", "spf1 a", `"v=spf1 mx"`, "v=spf1 -ip4:192.0.2.0/24 a/0"} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, text string) {
		answer := resolve.Answer{TTL: 1, TXT: []resolve.Text{{Strings: []string{text}}}}
		z := newZone(t, spfCommon...)
		e := spfEnv(z, "192.0.2.25")
		r := newSPFJudge(e, Expectation{Name: testDomain, Value: include}, answer).judge(context.Background())
		if r.Verdict.Bad() && r.Suggested != "" {
			checkSuggestion(t, z, e, r.Suggested)
		}
	})
}

// TestSPFHuge: the largest records that DNS can carry cost neither time nor
// questions, and nothing too long to be of use is suggested.
func TestSPFHuge(t *testing.T) {
	for name, word := range map[string]func(i int) string{
		"includes":  func(i int) string { return fmt.Sprintf("include:n%d.lab.example", i) },
		"addresses": func(i int) string { return fmt.Sprintf("ip4:198.51.%d.%d", i/256%256, i%256) },
		"ptr":       func(int) string { return "ptr" },
		"redirects": func(i int) string { return fmt.Sprintf("redirect=n%d.lab.example", i) },
		"nonsense":  func(i int) string { return fmt.Sprintf("x%d", i) },
		"modifiers": func(i int) string { return fmt.Sprintf("include=n%d.lab.example", i) },
	} {
		var b strings.Builder
		b.WriteString("v=spf1")
		for i := 0; b.Len() < 64<<10; i++ {
			b.WriteString(" " + word(i))
		}
		z := newZone(t, spfCommon...).with([][]string{{b.String()}})
		started := time.Now()
		r := spfResult(spfEnv(z, "192.0.2.25"), include)
		if spent := time.Since(started); spent > 5*time.Second {
			t.Errorf("%s: %s", name, spent)
		}
		if len(z.asked) > 80 || len(r.Suggested) > maxSuggested || len(r.Warnings) > 20 || len(r.Hint)+len(r.Detail) > 3*maxSuggested {
			t.Errorf("%s: %d questions, %d octets suggested, %d warnings, %s", name, len(z.asked), len(r.Suggested), len(r.Warnings), r.Code)
		}
	}
}
