package dnscheck

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/dnscheck/spf"
)

// What a record and a whole TXT answer should not exceed: an answer above 512
// octets needs TCP or EDNS, and RFC 7208 section 3.4 asks for 450.
const (
	maxRecordOctets = 450
	maxSetOctets    = 512
)

// warnings adds the remarks that the record's own text gives rise to.
func (j *spfJudge) warnings(r *Result, record spf.Record) {
	all := record.All()
	switch {
	case all < 0 && record.Redirect() < 0:
		r.warn("spf_no_all", "The record has no all at its end: mail from servers that it does not name gets no result. End it with ~all or -all.")
	case all >= 0 && record.Terms[all].Qualifier == spf.QualifierNeutral:
		r.warn("spf_neutral_all", "The record ends in ?all, which says nothing about other servers. End it with ~all or -all.")
	case all >= 0 && record.Terms[all].Qualifier == spf.QualifierPass && r.Code != codeSPFPassAll:
		r.warn(codeSPFPassAll, "The record ends in +all: it authorises the whole Internet. End it with ~all or -all.")
	}
	seen := map[string]bool{}
	for _, t := range record.Terms {
		switch {
		case t.Kind == spf.KindPTR:
			r.warnOnce("spf_ptr", "The ptr mechanism is slow and unreliable, and RFC 7208 says not to use it; some receivers ignore records with it.")
		case t.Kind == spf.KindInclude:
			key := termKey(j.x.Name, t)
			if seen[key] {
				r.warnOnce("spf_duplicate_include", fmt.Sprintf("%s stands more than once, and each time costs lookups.", shown(t.Text)))
			}
			seen[key] = true
		case t.Kind == spf.KindUnknown && isMechanismName(t.Name):
			r.warnOnce("spf_unknown_modifier", fmt.Sprintf("%s has an equals sign where a colon must stand: receivers ignore it.", shown(t.Text)))
		}
	}
	j.length(r)
	j.senderID(r)
	j.split(r)
}

// warnOnce adds a warning unless there is one with its code: a record may have
// thousands of terms.
func (r *Result) warnOnce(code, detail string) {
	if !slices.ContainsFunc(r.Warnings, func(w Warning) bool { return w.Code == code }) {
		r.warn(code, detail)
	}
}

func (j *spfJudge) length(r *Result) {
	set := 0
	for _, t := range j.answer.TXT {
		for _, s := range t.Strings {
			set += len(s) + 1
		}
	}
	if n := len(j.found[0]); n > maxRecordOctets {
		r.warn("spf_too_long", fmt.Sprintf("The record has %d octets; above %d some receivers fail to read it.", n, maxRecordOctets))
	} else if set > maxSetOctets {
		r.warn("spf_too_long", fmt.Sprintf("The TXT records at %s have %d octets together; above %d some receivers fail to read them.", j.x.Name, set, maxSetOctets))
	}
}

func (j *spfJudge) senderID(r *Result) {
	for _, text := range joined(j.answer.TXT) {
		if strings.HasPrefix(strings.ToLower(text), "spf2.0/") {
			r.warn("spf_sender_id", "A Sender ID record (spf2.0) is published beside. Nobody uses it any more; it can be deleted.")
			return
		}
	}
}

// termStart is text that begins like a term of its own.
var termStart = regexp.MustCompile(`(?i)^[-+~?]?((all|a|mx|ptr)( |$)|(include|a|mx|ptr|ip4|ip6|exists):|(a|mx)/|(redirect|exp)=)`)

// spaced joins a record's strings with a space wherever one that looks like a
// new term follows without it, and says whether there was such a place. RFC
// 7208 section 3.3 joins with nothing between.
func spaced(t resolve.Text) (string, bool) {
	var b strings.Builder
	found := false
	for i, s := range t.Strings {
		if i > 0 && s != "" && termStart.MatchString(s) {
			if before := b.String(); before != "" && !strings.HasSuffix(before, " ") {
				b.WriteByte(' ')
				found = true
			}
		}
		b.WriteString(s)
	}
	return b.String(), found
}

// split warns of strings that run into each other.
func (j *spfJudge) split(r *Result) {
	for _, t := range j.answer.TXT {
		if _, found := spaced(t); found && spf.Is(t.Join()) {
			r.warn(codeSPFSplit, "The record is split into several strings without a space between two terms: receivers join the strings, and the terms become one.")
			return
		}
	}
}

// blameSplit reports whether the missing space is all that is wrong, and then
// says so.
func (j *spfJudge) blameSplit(ctx context.Context, r *Result) bool {
	for _, t := range j.answer.TXT {
		text, found := spaced(t)
		if !found || !spf.Is(t.Join()) {
			continue
		}
		record, err := spf.Parse(text)
		if err != nil || !j.passes(ctx, record) {
			return false
		}
		r.Code, r.Verdict = codeSPFSplit, VerdictConflict
		r.Detail = "The record is split into several strings without a space between two terms. Receivers join the strings, and the two terms become one. " + r.Detail
		r.Hint = "Enter the value as one text, with a space between all terms. " + j.set(r.Suggested)
		return true
	}
	return false
}

// costs warns of what the record does to mail that does not match early: the
// whole tree of includes is walked, and what DNS does not answer is left out.
func (j *spfJudge) costs(ctx context.Context, r *Result, record spf.Record) {
	tree := spf.Measure(ctx, j.e.resolver, j.x.Name, record)
	if tree.Lookups > spf.MaxLookups {
		r.warn("spf_lookups", fmt.Sprintf("The whole record needs more than %d DNS lookups. Our mail passes before that, but receivers give up on the mail of other senders.", spf.MaxLookups))
	}
	for _, p := range tree.Problems {
		r.warn(problemCodes[p.Kind], "Our mail passes, but receivers that come further give up. "+j.broken(cause{problem: p, term: p.Term}))
	}
}

// surroundings looks at what else DNS serves: the obsolete record type, and
// wildcards. Only a diagnosis asks.
func (j *spfJudge) surroundings(ctx context.Context, r *Result) {
	if !j.e.diagnose {
		return
	}
	p := j.e.prober()
	for _, t := range p.ask(ctx, j.x.Name, resolve.TypeSPF).TXT {
		if spf.Is(t.Join()) {
			r.warn("spf_type99", "A record of the obsolete type SPF (99) is published too. Receivers read only TXT; it can be deleted.")
			break
		}
	}
	if name, ok := p.text(ctx, spf.Is, j.strangers()...); ok {
		_, above, _ := strings.Cut(name, ".")
		r.warn("spf_wildcard", fmt.Sprintf("A wildcard serves an SPF record for any name below %s, which RFC 7208 advises against.", above))
	}
}

// strangers are names that nobody published: only a wildcard answers for them.
func (j *spfJudge) strangers() []string {
	names := []string{randomLabel() + "." + j.x.Name}
	if _, parent, ok := strings.Cut(j.x.Name, "."); ok && j.e.suffix.registered(j.x.Name) != j.x.Name {
		names = append(names, randomLabel()+"."+parent)
	}
	return names
}
