package dnscheck

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/dnscheck/spf"
)

// missing explains that no text at the domain is an SPF record: one that was
// meant to be, one at the parent, one at a doubled name, or none at all.
func (j *spfJudge) missing(ctx context.Context) Result {
	r := j.x.result(VerdictMissing, codeSPFMissing)
	j.senderID(&r)
	for _, t := range j.answer.TXT {
		if near, ok := nearSPF(t); ok {
			j.near(ctx, &r, near)
			return r
		}
	}
	r.Suggested = j.x.Value
	r.Hint = fmt.Sprintf("Publish exactly one TXT record at %s with the value: %s", j.place(), j.x.Value)
	switch n := len(j.answer.TXT); {
	case j.answer.NXDomain:
		r.Detail = fmt.Sprintf("%s does not exist in DNS, so it has no SPF record.", j.x.Name)
	case n == 0:
		r.Detail = fmt.Sprintf("%s has no TXT record, so it has no SPF record.", j.x.Name)
	default:
		r.Detail = fmt.Sprintf("%s has TXT records, but none of them is an SPF record: one that begins with v=spf1.", j.x.Name)
	}
	j.parent(ctx, &r)
	if j.e.diagnose {
		j.elsewhere(ctx, &r)
	}
	return r
}

// near says what keeps a text from being an SPF record.
func (j *spfJudge) near(ctx context.Context, r *Result, near nearMiss) {
	r.Detail = fmt.Sprintf("A TXT record at %s looks like SPF, but receivers do not see it as one: %s.", j.x.Name, near.why)
	r.Suggested = j.suggest(ctx, []string{"v=spf1 " + near.rest}, nil)
	r.Hint = "Enter the value without quotes and with nothing before it. " + j.set(r.Suggested)
	if near.split {
		r.warn(codeSPFSplit, near.why)
	}
}

// maxParents bounds how many names above the domain are asked.
const maxParents = 2

// parent looks for an SPF record above a domain that has none: SPF, unlike
// DMARC, is not inherited.
func (j *spfJudge) parent(ctx context.Context, r *Result) {
	top := j.e.suffix.registered(j.x.Name)
	for name, n := j.x.Name, 0; name != top && n < maxParents; n++ {
		_, name, _ = strings.Cut(name, ".")
		record, why := spf.Lookup(ctx, j.e.resolver, name)
		if why != nil && (why.Kind == spf.ProblemNone || why.Kind == spf.ProblemTemp) {
			continue
		}
		said := fmt.Sprintf("There is an SPF record at %s, but SPF is not inherited: %s needs its own.", name, j.x.Name)
		if why == nil && j.covers(ctx, name, record) {
			r.Code, r.Detail = codeSPFAtParent, said
		} else {
			r.warn(codeSPFAtParent, said)
		}
		return
	}
}

// covers reports whether a record of another name was written for our mail.
func (j *spfJudge) covers(ctx context.Context, name string, record spf.Record) bool {
	for _, t := range record.Terms {
		for _, w := range j.want {
			if t.Bare() == w.Bare() {
				return true
			}
		}
	}
	for _, q := range j.queries() {
		q.Domain = name
		out := spf.CheckRecord(ctx, j.e.resolver, q, record)
		if leaf, _ := out.Leaf(); out.Result == spf.ResultPass && !leaf.Everyone() {
			return true
		}
	}
	return false
}

// elsewhere spends extra questions on where the record went.
func (j *spfJudge) elsewhere(ctx context.Context, r *Result) {
	p := j.e.prober()
	if at, ok := p.text(ctx, spf.Is, j.e.doubled(j.x.Name)...); ok {
		j.x.sayDoubled(j.e, r, at)
		return
	}
	for _, t := range p.ask(ctx, j.x.Name, resolve.TypeSPF).TXT {
		if spf.Is(t.Join()) {
			r.warn("spf_type99", "The record has the obsolete type SPF (99). Receivers read only TXT.")
			r.Detail = fmt.Sprintf("The SPF record of %s has the obsolete type SPF; receivers read only the type TXT.", j.x.Name)
			return
		}
	}
	r.Detail += p.servedBy(ctx, j.e.domain)
}

// nearMiss is a text that was meant to be an SPF record.
type nearMiss struct {
	why   string // what is wrong with its start, without full stop
	rest  string // what follows the version
	split bool   // only a space between two strings is missing
}

var (
	spfAnywhere = regexp.MustCompile(`[vV]=[sS][pP][fF]1`)
	// spfVersion is what people write for v=spf1.
	spfVersion = regexp.MustCompile(`(?i)^\s*(v|version)?\s*[=:-]*\s*(spf|sfp|psf)\s*[=:v]*\s*[0-9.]*[\s;,:]*`)
	// spfTerms is text that nothing but an SPF record has.
	spfTerms = regexp.MustCompile(`(?i)(^|\s|[-+~?])(include|ip4|ip6|ipv4|ipv6|redirect|exists)[:=]|[-+~?]all\b|\b(a|mx)\s+[-~?]all`)
)

// nearSPF reports whether a text that is no SPF record was meant to be one.
func nearSPF(t resolve.Text) (nearMiss, bool) {
	text := t.Join()
	if joined, found := spaced(t); found && spf.Is(joined) {
		return nearMiss{"it is split into several strings without a space between two terms", joined[len("v=spf1"):], true}, true
	}
	if at := spfAnywhere.FindStringIndex(text); at != nil {
		rest := text[at[1]:]
		if at[0] == 0 {
			return nearMiss{why: wrongAfter(rest), rest: rest}, true
		}
		return nearMiss{why: wrongBefore(text[:at[0]]), rest: rest}, true
	}
	if strings.HasPrefix(strings.ToLower(text), "spf2.0/") {
		return nearMiss{}, false
	}
	clean := plain(text)
	if m := spfVersion.FindString(clean); m != "" && (spfTerms.MatchString(clean) || strings.TrimSpace(clean) == strings.TrimSpace(m)) {
		return nearMiss{why: fmt.Sprintf("it must begin with exactly v=spf1 and a space, but begins with %s", printable(strings.TrimSpace(m), maxTerm)), rest: clean[len(m):]}, true
	}
	if loc := spfTerms.FindStringIndex(clean); loc != nil && loc[0] == 0 {
		return nearMiss{why: "v=spf1 and a space are missing at its start", rest: clean}, true
	}
	return nearMiss{}, false
}

// wrongAfter explains what stands behind a version that no space ends.
func wrongAfter(rest string) string {
	return fmt.Sprintf("v=spf1 must be followed by a space, but is followed by %s", printable(rest, 20))
}

// wrongBefore explains what stands before the version.
func wrongBefore(before string) string {
	switch visible := plain(before); {
	case strings.TrimSpace(before) == "":
		return "a space stands before v=spf1"
	case strings.ContainsAny(before, quotes) && strings.TrimSpace(visible) == "":
		return "the value is wrapped in quotes, which became part of it"
	case strings.TrimSpace(visible) == "":
		return fmt.Sprintf("an invisible character (%s) stands before v=spf1", printable(before, 20))
	case strings.Contains(before, `"`):
		return fmt.Sprintf("the record's name or type (%s) was entered as part of the value", printable(strings.TrimSpace(visible), maxTerm))
	}
	return fmt.Sprintf("there is text (%s) before v=spf1", printable(strings.TrimSpace(before), maxTerm))
}
