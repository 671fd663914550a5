package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/dnscheck/spf"
)

// The codes of an SPF record.
const (
	codeSPFMissing       = "spf_missing"
	codeSPFAtParent      = "spf_at_parent"
	codeSPFMultiple      = "spf_multiple"
	codeSPFSyntax        = "spf_syntax"
	codeSPFSplit         = "spf_split_no_space"
	codeSPFAfterAll      = "spf_after_all"
	codeSPFQualifier     = "spf_qualifier"
	codeSPFPassAll       = "spf_pass_all"
	codeSPFShadowed      = "spf_shadowed"
	codeSPFLookupLimit   = "spf_lookup_limit"
	codeSPFVoidLimit     = "spf_void_limit"
	codeSPFMXLimit       = "spf_mx_limit"
	codeSPFBrokenInclude = "spf_broken_include"
	codeSPFIncludeLoop   = "spf_include_loop"
	codeSPFNotAuthorised = "spf_not_authorised"
)

// judgeSPF looks at the SPF record of the domain (RFC 7208): it is right when
// a receiver that evaluates it for each of our addresses ends in pass, and not
// because the record passes everybody.
func judgeSPF(ctx context.Context, e *env, x Expectation) Result {
	answer, err := e.resolver.Lookup(ctx, x.Name, resolve.TypeTXT)
	if err != nil {
		return x.unknown(err)
	}
	j := newSPFJudge(e, x, answer)
	r := j.judge(ctx)
	r.TTL = answer.TTL
	r.Observed = observed(j.found)
	if len(j.found) == 0 {
		r.Observed = observed(joined(answer.TXT))
	}
	return r
}

// spfJudge is one look at one SPF record.
type spfJudge struct {
	e      *env
	x      Expectation
	answer resolve.Answer
	found  []string // the SPF records among the texts
	// want is the expectation's record, without what matches everybody.
	want []spf.Term
	// addrs are the addresses that must pass; none means that the terms of
	// want must be in force, whatever they match.
	addrs []netip.Addr
	// lost are the words of the customer's records that the suggestion had to
	// leave out.
	lost []string
	// blamed counts the nested records in which blame was looked for.
	blamed int
}

func newSPFJudge(e *env, x Expectation, answer resolve.Answer) *spfJudge {
	j := &spfJudge{e: e, x: x, answer: answer}
	for _, text := range joined(answer.TXT) {
		if spf.Is(text) {
			j.found = append(j.found, text)
		}
	}
	// The expectation is ours; one that does not parse asks for nothing.
	want, err := spf.Parse(x.Value)
	if err != nil {
		return j
	}
	for _, t := range want.Terms {
		if t.Kind.Mechanism() && !t.Everyone() || t.Kind == spf.KindRedirect {
			j.want = append(j.want, t)
		}
	}
	return j
}

func (j *spfJudge) judge(ctx context.Context) Result {
	var oursErr error
	j.addrs, oursErr = j.e.ours(ctx)
	switch len(j.found) {
	case 0:
		return j.missing(ctx)
	case 1:
	default:
		return j.multiple(ctx)
	}
	record, err := spf.Parse(j.found[0])
	if err != nil {
		return j.syntax(ctx, err)
	}
	if oursErr != nil {
		r := j.x.unknown(oursErr)
		r.Detail = "We could not look up the addresses of our own servers. " + r.Detail
		return r
	}
	c := j.blame(ctx, record)
	if c.code == "" {
		r := j.x.result(VerdictMatch, "")
		j.warnings(&r, record)
		j.costs(ctx, &r, record)
		j.surroundings(ctx, &r)
		return r
	}
	if c.code == codeTemporary {
		return j.temporary(c)
	}
	return j.explain(ctx, record, c)
}

// temporary is a record that cannot be judged, because DNS gave no answer for
// a name that stands in it before what authorises us.
func (j *spfJudge) temporary(c cause) Result {
	r := j.x.unknown(c.problem)
	r.Detail = fmt.Sprintf("The record needs %s (%s), and DNS gave no answer for it. %s",
		shown(c.problem.Name), shown(c.problem.Term.Text), r.Detail)
	return r
}

// queries are the evaluations that must all end in pass.
func (j *spfJudge) queries() []spf.Query {
	q := spf.Query{Domain: j.x.Name, Sender: "postmaster@" + j.x.Name}
	if len(j.e.mxHosts) > 0 {
		q.HELO = j.e.mxHosts[0]
	}
	var all []spf.Query
	for _, ip := range j.addrs {
		one := q
		one.IP = ip
		all = append(all, one)
	}
	if len(all) > 0 {
		return all
	}
	for _, want := range j.want {
		one := q
		key := termKey(j.x.Name, want)
		one.Match = func(domain string, t spf.Term) bool { return termKey(domain, t) == key }
		all = append(all, one)
	}
	return all
}

// passes reports whether a record passes our mail for a reason of its own.
func (j *spfJudge) passes(ctx context.Context, record spf.Record) bool {
	for _, q := range j.queries() {
		out := spf.CheckRecord(ctx, j.e.resolver, q, record)
		leaf, _ := out.Leaf()
		if out.Result != spf.ResultPass || leaf.Everyone() {
			return false
		}
	}
	return true
}

// has reports whether a term is one of those that we ask for, whatever its
// qualifier.
func (j *spfJudge) has(domain string, t spf.Term) bool {
	return slices.ContainsFunc(j.want, func(w spf.Term) bool {
		return termKey(j.x.Name, w) == termKey(domain, t)
	})
}

func (j *spfJudge) hasAny(terms []spf.Term) bool {
	return slices.ContainsFunc(terms, func(t spf.Term) bool { return j.has(j.x.Name, t) })
}

// termKey is the same for two terms that match the same senders, as far as the
// text can tell. A redirect and an include of one name are the same here.
func termKey(domain string, t spf.Term) string {
	name, ok := t.Domain.Literal()
	switch {
	case t.Domain.Empty():
		name = domain
	case !ok:
		name = t.Domain.String()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch t.Kind {
	case spf.KindIP4, spf.KindIP6:
		return t.Prefix.String()
	case spf.KindA, spf.KindMX:
		return fmt.Sprintf("%s:%s/%d//%d", t.Kind, name, t.Len4, t.Len6)
	case spf.KindRedirect:
		return "include:" + name
	case spf.KindUnknown, spf.KindExp, spf.KindAll:
		return t.Bare()
	}
	return string(t.Kind) + ":" + name
}

// shown is text out of a record, as a sentence may hold it.
func shown(s string) string { return printable(s, maxTerm) }

// maxTerm is how much of one term a sentence shows.
const maxTerm = 100

// syntaxError returns the *spf.SyntaxError in err.
func syntaxError(err error) *spf.SyntaxError {
	var bad *spf.SyntaxError
	if errors.As(err, &bad) {
		return bad
	}
	return &spf.SyntaxError{Column: 1, Reason: "it is no SPF record"}
}
