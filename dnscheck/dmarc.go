package dnscheck

import (
	"context"
	"errors"
	"fmt"

	"github.com/domaind/domaind/dnscheck/dmarc"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// judgeDMARC looks at the policy record of the domain, or at the one it
// inherits (RFC 9989 section 4.10.1).
//
// Strict alignment is no fault here: the domain itself is both our d= and our
// return-path.
func judgeDMARC(ctx context.Context, e *env, x Expectation) Result {
	answer, err := e.resolver.Lookup(ctx, x.Name, resolve.TypeTXT)
	if err != nil {
		return x.unknown(err)
	}
	j := &dmarcJudge{e: e, x: x, answer: answer}
	j.want, _ = dmarc.Parse(x.Value) // an unreadable expectation asks for nothing
	j.kept, j.others = dmarc.Select(answer.TXT)
	var r Result
	switch len(j.kept) {
	case 0:
		r = j.absent(ctx)
	case 1:
		r = j.own(ctx)
	default:
		r = j.multiple()
	}
	r.TTL = answer.TTL
	if r.Observed == nil {
		r.Observed = observed(joined(answer.TXT))
	}
	if len(j.others) > 0 && r.Code != "dmarc_syntax" {
		r.warn("dmarc_unrelated_txt", "A text that is no DMARC policy record stands at "+x.Name+": "+j.othersShown()+".")
	}
	return r
}

// dmarcJudge is one look at the policy of a domain.
type dmarcJudge struct {
	e      *env
	x      Expectation
	want   dmarc.Record
	answer resolve.Answer
	// kept are the texts that start with v=DMARC1, others the rest.
	kept, others []string
}

func (j *dmarcJudge) othersShown() string {
	shown := observed(j.others)
	for i, text := range j.others {
		if miss := dmarc.NearMiss(text); miss != "" && i < len(shown) && i < maxShown {
			shown[i] += " (" + miss + ")"
		}
	}
	return list(shown)
}

func (j *dmarcJudge) multiple() Result {
	r := j.x.result(VerdictConflict, "dmarc_multiple")
	r.Detail = fmt.Sprintf("%d DMARC records stand at %s: receivers discard all of them (RFC 9989 section 4.10).", len(j.kept), j.x.Name)
	r.Hint = "Keep one of them and remove the others, for example keep: " + j.x.Value
	return r
}

// own judges the domain's own policy record.
func (j *dmarcJudge) own(ctx context.Context) Result {
	rec, err := dmarc.Parse(j.kept[0])
	if err != nil {
		return j.syntax(err)
	}
	if rec.Policy() < j.want.Policy() {
		return j.weaker(rec)
	}
	r := j.x.result(VerdictMatch, "")
	j.remark(rec, &r)
	j.reports(ctx, rec, j.e.domain, &r)
	return r
}

func (j *dmarcJudge) syntax(err error) Result {
	r := j.x.result(VerdictMismatch, "dmarc_syntax")
	var se *dmarc.SyntaxError
	detail := "it is unreadable"
	if errors.As(err, &se) {
		detail = se.Detail
	}
	r.Detail = "No receiver can use the DMARC record: " + printable(detail, maxOctets) + "."
	r.Hint = "Replace the record. " + j.x.publish(j.e)
	return r
}

func (j *dmarcJudge) weaker(rec dmarc.Record) Result {
	r := j.x.result(VerdictMismatch, "dmarc_weaker")
	r.Detail = fmt.Sprintf("The record asks receivers for p=%s; at least p=%s is needed.", rec.Policy(), j.want.Policy())
	if rec.Testing && rec.P > rec.Policy() {
		r.Detail = fmt.Sprintf("t=y lowers p=%s to %s; at least p=%s is needed.", rec.P, rec.Policy(), j.want.Policy())
	}
	if len(rec.Invalid) > 0 && rec.P != dmarc.PolicyNone && rec.Policy() == dmarc.PolicyNone && !rec.Testing {
		r.Detail += " A tag that is not valid makes receivers read it so: " + printable(rec.Invalid[0], maxOctets) + "."
	}
	r.Hint = "Change the policy. " + j.x.publish(j.e)
	if !rec.HasP {
		j.remark(rec, &r) // p=none is what receivers read, not what was written
	}
	return r
}

// remark warns of what receivers read in another way than it was meant. What
// our own value does too is no cause to warn.
func (j *dmarcJudge) remark(rec dmarc.Record, r *Result) {
	ours := map[string]bool{}
	for _, w := range remarks(j.want) {
		ours[w.Code] = true
	}
	for _, w := range remarks(rec) {
		if !ours[w.Code] {
			r.warn(w.Code, w.Detail)
		}
	}
}

func remarks(rec dmarc.Record) []Warning {
	var all []Warning
	add := func(code, format string, args ...any) {
		all = append(all, Warning{code, fmt.Sprintf(format, args...)})
	}
	switch {
	case !rec.HasP:
		add("dmarc_p_missing", "The record has no p=. Receivers of RFC 9989 read it as p=none, older ones ignore the record.")
	case !rec.PSecond:
		add("dmarc_p_order", "p= does not stand right behind v=DMARC1; older receivers ignore such a record.")
	}
	if len(rec.Invalid) > 0 {
		add("dmarc_invalid_tag", "Receivers ignore a part of the record that is not valid: %s.", list(observed(rec.Invalid)))
	}
	if rec.SP != dmarc.PolicyAbsent && rec.SP < rec.P {
		add("dmarc_sp_weaker", "sp=%s protects subdomains less than p=%s protects the domain.", rec.SP, rec.P)
	}
	if rec.NP != dmarc.PolicyAbsent && rec.NP < rec.P {
		add("dmarc_np_weaker", "np=%s protects names that do not exist less than p=%s protects the domain.", rec.NP, rec.P)
	}
	if rec.Testing && rec.P > dmarc.PolicyNone {
		add("dmarc_testing", "t=y lowers p=%s to %s.", rec.P, rec.Policy())
	}
	if rec.Percent < 100 {
		add("dmarc_pct", "pct=%d makes older receivers apply the policy to a part of the mail only; RFC 9989 dropped the tag.", rec.Percent)
	}
	if rec.PSD == 'y' {
		add("dmarc_psd", "psd=y says that the domain is a public suffix, such as a top-level domain.")
	}
	for _, u := range rec.RUA {
		if u.HasSize {
			add("dmarc_rua_size", "RFC 9989 dropped the size limit of a report address (!10m and the like).")
			break
		}
	}
	return all
}
