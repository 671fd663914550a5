package dnscheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/spf"
)

// explain turns the cause into words, and into a record that would pass.
func (j *spfJudge) explain(ctx context.Context, record spf.Record, c cause) Result {
	r := j.x.result(VerdictMismatch, c.code)
	if j.hasAny(record.Terms) {
		r.Verdict = VerdictConflict
	}
	r.Detail = j.detail(record, c)
	r.Suggested = j.suggest(ctx, j.found, j.useless(c))
	j.warnings(&r, record)
	if j.blameSplit(ctx, &r) {
		return r
	}
	r.Hint = j.hint(record, c, r.Suggested)
	j.surroundings(ctx, &r)
	return r
}

// detail says what is wrong, in words for the customer's DNS admin.
func (j *spfJudge) detail(record spf.Record, c cause) string {
	where := ""
	if c.domain != j.x.Name {
		where = fmt.Sprintf(" in the record of %s", shown(c.domain))
	}
	term := shown(c.term.Text)
	switch c.code {
	case codeSPFPassAll:
		return fmt.Sprintf("Our mail passes only because %s%s authorises the whole Internet: anybody may send as %s.", term, where, j.x.Name)
	case codeSPFAfterAll:
		return fmt.Sprintf("What authorises our servers%s has no effect, because %s ends the record: receivers ignore every term behind it, and a redirect anywhere.", where, term)
	case codeSPFQualifier:
		return fmt.Sprintf("The term %s%s names our servers, but its qualifier %q keeps their mail from passing.", term, where, string(c.term.Qualifier))
	case codeSPFShadowed:
		return fmt.Sprintf("The term %s%s catches our servers%s before the term that authorises them.", term, where, address(c))
	case codeSPFNotAuthorised:
		return j.unauthorised(record, c)
	}
	return j.broken(c)
}

// address names the address that was judged.
func address(c cause) string {
	if !c.query.IP.IsValid() {
		return ""
	}
	return " (" + c.query.IP.String() + ")"
}

// unauthorised explains a valid record that just does not pass us.
func (j *spfJudge) unauthorised(record spf.Record, c cause) string {
	for _, t := range record.Terms {
		if t.Kind == spf.KindUnknown && isMechanismName(t.Name) {
			return fmt.Sprintf("The record does not authorise our servers: in %s an equals sign stands where a colon must stand, so receivers ignore the term.", shown(t.Text))
		}
		if j.has(j.x.Name, t) {
			return j.empty(t, c)
		}
	}
	if c.term.Kind.Mechanism() && c.term.Kind != "" && !c.term.Everyone() {
		return fmt.Sprintf("The term %s refuses our servers%s, and no term authorises them.", shown(c.term.Text), address(c))
	}
	if !slices.ContainsFunc(record.Terms, authorises) {
		return fmt.Sprintf("The record authorises nobody to send mail for %s.", j.x.Name)
	}
	return fmt.Sprintf("The record authorises other senders, but not our servers%s.", address(c))
}

// authorises reports whether a term can make anybody's mail pass.
func authorises(t spf.Term) bool {
	return t.Qualifier == spf.QualifierPass || t.Kind == spf.KindRedirect
}

// empty explains our own term standing where it must and matching nothing.
func (j *spfJudge) empty(t spf.Term, c cause) string {
	if t.Kind == spf.KindMX || t.Kind == spf.KindA {
		return fmt.Sprintf("The record has %s, but DNS does not lead from it to our servers%s yet.", shown(t.Text), address(c))
	}
	return fmt.Sprintf("The record has %s, but that does not authorise our server%s.", shown(t.Text), address(c))
}

// broken explains an evaluation that ends in permerror.
func (j *spfJudge) broken(c cause) string {
	name, term := shown(c.problem.Name), shown(c.term.Text)
	switch c.problem.Kind {
	case spf.ProblemNone:
		return fmt.Sprintf("%s points to %s, which has no SPF record. Receivers then treat the whole record as broken.", term, name)
	case spf.ProblemMultiple:
		return fmt.Sprintf("%s points to %s, which has more than one SPF record. Receivers then treat the whole record as broken.", term, name)
	case spf.ProblemSyntax:
		bad := syntaxError(c.problem)
		return fmt.Sprintf("%s points to %s, whose record is not valid: at column %d, in %q, %s. Receivers then treat the whole record as broken.",
			term, name, bad.Column, shown(bad.Term), printable(bad.Reason, maxOctets))
	case spf.ProblemLoop:
		return fmt.Sprintf("%s leads back to %s, which is being evaluated already: the record includes itself without end.", term, name)
	case spf.ProblemVoid:
		return fmt.Sprintf("Three names in the record have no addresses (the third is %s), before what authorises our servers. Receivers allow %d and then give up.", name, spf.MaxVoid)
	case spf.ProblemMX:
		return fmt.Sprintf("%s leads to more than %d mail hosts. Receivers then give up, before they come to what authorises our servers.", term, spf.MaxMX)
	}
	return fmt.Sprintf("The record needs more than %d DNS lookups before receivers come to what authorises our servers; they give up at %s.", spf.MaxLookups, term)
}

// hint says what to change.
func (j *spfJudge) hint(record spf.Record, c cause, suggested string) string {
	set := j.set(suggested)
	switch c.code {
	case codeSPFPassAll:
		if c.domain != j.x.Name {
			return fmt.Sprintf("Remove what leads to %s, unless its owner corrects it. %s", shown(c.domain), set)
		}
	case codeSPFNotAuthorised:
		if suggested == record.String() {
			return j.keep(record)
		}
	case codeSPFBrokenInclude, codeSPFIncludeLoop:
		if c.domain == j.x.Name {
			return fmt.Sprintf("Remove %s or correct the name in it. %s", shown(c.term.Text), set)
		}
		return fmt.Sprintf("Tell whoever runs %s, or remove what includes it. %s", shown(c.domain), set)
	case codeSPFLookupLimit:
		return "Put our term first, and remove the senders that you no longer use. " + set
	case codeSPFVoidLimit:
		return "Remove the names that no longer exist. " + set
	}
	return set
}

// keep is the hint for a record that is as we ask, while something that it
// points to is not.
func (j *spfJudge) keep(record spf.Record) string {
	for _, t := range record.Terms {
		if t.Kind == spf.KindMX && j.has(j.x.Name, t) {
			return fmt.Sprintf("Keep the record, and publish the MX record of %s as given: the SPF record points to it.", j.x.Name)
		}
	}
	return "Keep the record; the names that it points to must lead to our servers."
}

// set is the sentence with the very value to enter.
func (j *spfJudge) set(value string) string {
	if value == "" {
		return fmt.Sprintf("The record is too long to be of use: keep the senders that you need, and put the terms of %s first.", j.x.Value)
	}
	return j.without() + fmt.Sprintf("Set the SPF record, one TXT record at %s, to: %s", j.place(), value)
}

// place is where the TXT record has to stand: a CNAME leaves no room beside it
// (RFC 1034 section 3.6.2).
func (j *spfJudge) place() string {
	if len(j.answer.Chain) > 0 {
		return fmt.Sprintf("%s (of which %s is an alias)", shown(j.answer.Name), j.x.Name)
	}
	return fmt.Sprintf("%s (host %s)", j.x.Name, j.x.host(j.e.domain))
}

// without is the sentence that names what the suggested value leaves out.
func (j *spfJudge) without() string {
	if len(j.lost) == 0 {
		return ""
	}
	words := strings.Join(observed(j.lost), ", ")
	return fmt.Sprintf("We could not make sense of %s and left it out: correct it if you still need it. ", words)
}

func (j *spfJudge) multiple(ctx context.Context) Result {
	r := j.x.result(VerdictMismatch, codeSPFMultiple)
	for _, text := range j.found {
		if record, err := spf.Parse(text); err == nil && j.hasAny(record.Terms) {
			r.Verdict = VerdictConflict
		}
	}
	r.Detail = fmt.Sprintf("%d SPF records are published at %s. Receivers allow one and treat several as broken.", len(j.found), j.x.Name)
	r.Suggested = j.suggest(ctx, j.found, nil)
	r.Hint = fmt.Sprintf("Delete all %d and merge them. %s", len(j.found), j.set(r.Suggested))
	j.senderID(&r)
	return r
}

func (j *spfJudge) syntax(ctx context.Context, err error) Result {
	bad := syntaxError(err)
	r := j.x.result(VerdictMismatch, codeSPFSyntax)
	r.Detail = fmt.Sprintf("The record is not valid: at column %d, in %q, %s. Receivers then ignore all of it.",
		bad.Column, shown(bad.Term), printable(bad.Reason, maxOctets))
	r.Suggested = j.suggest(ctx, j.found, nil)
	j.length(&r)
	j.senderID(&r)
	j.split(&r)
	if !j.blameSplit(ctx, &r) {
		r.Hint = j.set(r.Suggested)
	}
	return r
}

// useless lists the customer's terms that a corrected record does without:
// those that point to nothing or to themselves, and cannot ever match.
func (j *spfJudge) useless(c cause) []string {
	if c.problem == nil || c.domain != j.x.Name {
		return nil
	}
	if c.problem.Kind == spf.ProblemNone || c.problem.Kind == spf.ProblemLoop {
		return []string{termKey(j.x.Name, c.term)}
	}
	return nil
}

func isMechanismName(s string) bool {
	return slices.Contains([]string{"include", "a", "mx", "ptr", "ip4", "ip6", "exists"}, strings.ToLower(s))
}
