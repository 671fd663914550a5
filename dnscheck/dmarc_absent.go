package dnscheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/dmarc"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// absent judges a domain without a policy record of its own: it may inherit
// one, have one that nobody can read, or have none.
func (j *dmarcJudge) absent(ctx context.Context) Result {
	found, seen, err := dmarc.Inherited(ctx, j.e.resolver, j.e.domain, j.e.suffix.registry)
	if err != nil && j.x.Verified {
		// The policy that verified it may be the parent's.
		return j.x.unknown(err)
	}
	policy := dmarc.PolicyAbsent
	if found.Domain != "" {
		policy = found.Record.SubdomainPolicy(j.exists(ctx, found.Record))
		if policy >= j.want.Policy() {
			return j.inherited(ctx, found, policy)
		}
	}
	if r, ok := j.unreadable(); ok {
		return r
	}
	r := j.missing()
	switch {
	case err != nil:
		r.Detail += " Whether a parent has one could not be looked up."
	case found.Domain != "":
		r.Detail += fmt.Sprintf(" A policy exists at %s: %s; for this domain that is %s, and at least %s is needed.",
			found.Domain, tags(found.Record), policy, j.want.Policy())
	case len(seen) > 0:
		last := seen[len(seen)-1]
		r.Detail += fmt.Sprintf(" A policy exists at %s, with psd=y: that of a public suffix does not count.", last.Domain)
	}
	if j.e.diagnose {
		j.misplaced(ctx, &r)
	}
	return r
}

// exists reports whether the domain is in DNS, where the record has np=. A
// failed lookup is no evidence that it is not.
func (j *dmarcJudge) exists(ctx context.Context, rec dmarc.Record) bool {
	if rec.NP == dmarc.PolicyAbsent {
		return true
	}
	answer, err := j.e.resolver.Lookup(ctx, j.e.domain, resolve.TypeMX)
	return err != nil || !answer.NXDomain
}

func tags(rec dmarc.Record) string {
	s := []string{"p=" + rec.P.String()}
	if rec.SP != dmarc.PolicyAbsent {
		s = append(s, "sp="+rec.SP.String())
	}
	if rec.NP != dmarc.PolicyAbsent {
		s = append(s, "np="+rec.NP.String())
	}
	if rec.Testing {
		s = append(s, "t=y")
	}
	return strings.Join(s, ", ")
}

func (j *dmarcJudge) inherited(ctx context.Context, f dmarc.Found, policy dmarc.Policy) Result {
	r := j.x.result(VerdictMatch, "")
	r.warn("dmarc_inherited", fmt.Sprintf("%s has no record of its own; the one at %s applies, with the policy %s.", j.x.Name, f.Domain, policy))
	r.Observed = observed([]string{f.Text})
	j.reports(ctx, f.Record, f.Domain, &r)
	return r
}

// unreadable judges a text that was meant as a policy record.
func (j *dmarcJudge) unreadable() (Result, bool) {
	for _, text := range j.others {
		if miss := dmarc.NearMiss(text); miss != "" {
			return j.syntax(&dmarc.SyntaxError{Detail: miss}), true
		}
	}
	return Result{}, false
}

func (j *dmarcJudge) missing() Result {
	r := j.x.result(VerdictMissing, "dmarc_missing")
	r.Detail, r.Hint = "No DMARC record stands at "+j.x.Name+".", j.x.publish(j.e)
	if j.answer.Empty() && len(j.answer.Chain) > 0 {
		r.Detail = fmt.Sprintf("%s is a CNAME to %s, where no TXT record stands.", j.x.Name, printable(j.answer.Name, maxName))
		r.Hint = "Remove the CNAME. " + r.Hint
		for _, name := range j.answer.Chain {
			r.Observed = append(r.Observed, "CNAME "+name)
		}
		r.Observed = observed(r.Observed)
	}
	return r
}

// misplaced looks for a policy record where it is entered by mistake.
func (j *dmarcJudge) misplaced(ctx context.Context, r *Result) {
	p := j.e.prober()
	policy := func(s string) bool {
		first, _, _ := strings.Cut(s, ";")
		return strings.EqualFold(strings.ReplaceAll(first, " ", ""), "v=dmarc1")
	}
	if name, ok := p.text(ctx, policy, j.e.doubled(j.x.Name)...); ok {
		j.x.sayDoubled(j.e, r, name)
		return
	}
	name, ok := p.text(ctx, policy, j.e.domain, "dmarc."+j.e.domain)
	switch {
	case ok && name == j.e.domain:
		r.Code = "dmarc_at_apex"
		r.Detail = fmt.Sprintf("The DMARC record stands at %s itself; receivers look for it at %s only.", j.e.domain, j.x.Name)
	case ok:
		r.Detail = fmt.Sprintf("The DMARC record stands at %s: the underscore in _dmarc is missing.", name)
	default:
		if len(j.others) > 0 {
			j.x.wildcardText(ctx, j.e, j.answer.TXT, r)
		}
		return
	}
	r.Hint = fmt.Sprintf("Move the record: its host must be %s. The value: %s", j.x.host(j.e.domain), j.x.Value)
}

// maxReportHosts bounds the foreign report hosts that are asked.
const maxReportHosts = 2

// reports warns when our report address is missing from the record of a
// policy domain, and, on a thorough look, when a foreign one never agreed to
// take its reports (RFC 9990 section 4).
func (j *dmarcJudge) reports(ctx context.Context, rec dmarc.Record, domain string, r *Result) {
	var gone []string
	for _, want := range j.want.RUA {
		if !slices.ContainsFunc(rec.RUA, want.Same) {
			gone = append(gone, printable(want.Text, maxOctets))
		}
	}
	if len(gone) > 0 {
		r.warn("dmarc_no_rua", fmt.Sprintf("rua= does not name %s: reports do not reach us.", list(gone)))
	}
	if !j.e.diagnose {
		return
	}
	var asked []string
	for _, u := range rec.RUA {
		foreign := j.e.suffix.registered(u.Host) != j.e.suffix.registered(domain) && !slices.ContainsFunc(j.want.RUA, u.Same)
		if !foreign || slices.Contains(asked, u.Host) || len(asked) == maxReportHosts {
			continue
		}
		asked = append(asked, u.Host)
		if j.refuses(ctx, domain, u.Host) {
			r.warn("dmarc_rua_unauthorised", fmt.Sprintf("%s does not say that it takes reports for %s, so receivers send it none.", u.Host, domain))
		}
	}
}

// refuses reports whether a report host definitely has no record that lets
// the policy domain send reports there.
func (j *dmarcJudge) refuses(ctx context.Context, domain, host string) bool {
	answer, err := j.e.resolver.Lookup(ctx, domain+"._report._dmarc."+host, resolve.TypeTXT)
	if err != nil {
		return false
	}
	kept, _ := dmarc.Select(answer.TXT)
	return len(kept) == 0
}
