package spf

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// Query is the input of check_host() (RFC 7208 section 4.1).
type Query struct {
	// IP is the sender's address. Without one, no mechanism but all matches,
	// save those that Match accepts.
	IP netip.Addr
	// Domain is the name whose policy is asked, in lower-case A-labels without
	// final dot.
	Domain string
	// Sender is the whole MAIL FROM address; postmaster@Domain when empty.
	Sender string
	// HELO is the name that the sender gave; Domain when empty.
	HELO string
	// Match, where set, is asked first for each mechanism but all and for each
	// redirect, with the domain in whose record it stands; a mechanism that it
	// accepts matches, and a redirect passes.
	Match func(domain string, t Term) bool
}

// Check evaluates the policy of q.Domain: check_host() of RFC 7208 section 4.
// It reads no explanation text.
func Check(ctx context.Context, r resolve.Resolver, q Query) Outcome {
	e := newEvaluation(ctx, r, q)
	return e.outcome(e.host(q.Domain))
}

// CheckRecord is Check with the domain's own record already at hand.
func CheckRecord(ctx context.Context, r resolve.Resolver, q Query, own Record) Outcome {
	e := newEvaluation(ctx, r, q)
	e.names = append(e.names, q.Domain)
	return e.outcome(e.record(q.Domain, own))
}

// evaluation is one run of check_host() with its includes.
type evaluation struct {
	context  context.Context
	resolver resolve.Resolver
	query    Query
	names    []string // the domains whose records are being evaluated
	lookups  int
	void     int
	// validated holds the PTR names that lead back to the address.
	validated []string
	asked     bool // validated is filled
}

func newEvaluation(ctx context.Context, r resolve.Resolver, q Query) *evaluation {
	if q.Sender == "" {
		q.Sender = "postmaster@" + q.Domain
	}
	if strings.IndexByte(q.Sender, '@') <= 0 {
		q.Sender = "postmaster@" + strings.TrimPrefix(q.Sender, "@")
	}
	if q.HELO == "" {
		q.HELO = q.Domain
	}
	q.IP = q.IP.Unmap()
	return &evaluation{context: ctx, resolver: r, query: q}
}

// verdict is the outcome of one record.
type verdict struct {
	result  Result
	path    []Step
	problem *Problem
}

func (e *evaluation) outcome(v verdict) Outcome {
	return Outcome{Result: v.result, Path: v.path, Problem: v.problem, Lookups: e.lookups, Void: e.void}
}

func failed(p *Problem) verdict {
	if p.Kind == ProblemTemp {
		return verdict{result: ResultTempError, problem: p}
	}
	return verdict{result: ResultPermError, problem: p}
}

// host finds and evaluates the record of a domain (sections 4.3 to 4.6).
func (e *evaluation) host(domain string) verdict {
	if !validName(domain) || !strings.Contains(domain, ".") {
		return verdict{result: ResultNone}
	}
	own, why := Lookup(e.context, e.resolver, domain)
	if why != nil {
		if why.Kind == ProblemNone {
			return verdict{result: ResultNone}
		}
		return failed(why)
	}
	e.names = append(e.names, domain)
	v := e.record(domain, own)
	e.names = e.names[:len(e.names)-1]
	return v
}

// Lookup asks for the record of a domain and parses it. The problem, where
// there is one, is of kind none, multiple, syntax or temp.
func Lookup(ctx context.Context, r resolve.Resolver, domain string) (Record, *Problem) {
	a, err := r.Lookup(ctx, domain, resolve.TypeTXT)
	if err != nil {
		return Record{}, &Problem{Kind: ProblemTemp, Name: domain, Err: err}
	}
	texts := records(a)
	switch len(texts) {
	case 0:
		return Record{}, &Problem{Kind: ProblemNone, Name: domain}
	case 1:
	default:
		return Record{}, &Problem{Kind: ProblemMultiple, Name: domain}
	}
	own, err := Parse(texts[0])
	if err != nil {
		return Record{}, &Problem{Kind: ProblemSyntax, Name: domain, Err: err}
	}
	return own, nil
}

// record evaluates the terms of one record, left to right, and its redirect
// when nothing matched (sections 4.6.2, 4.7, 6.1).
func (e *evaluation) record(domain string, own Record) verdict {
	for i, t := range own.Terms {
		if !t.Kind.Mechanism() {
			continue
		}
		here := Step{domain, i, t}
		matched, inner, why := e.mechanism(domain, t)
		if why != nil {
			v := failed(why)
			v.path = append([]Step{here}, inner...)
			return v
		}
		if matched {
			return verdict{result: t.Qualifier.result(), path: append([]Step{here}, inner...)}
		}
	}
	i := own.Redirect()
	if i < 0 || own.All() >= 0 {
		return verdict{result: ResultNeutral}
	}
	return e.redirect(domain, i, own.Terms[i])
}

func (e *evaluation) redirect(domain string, index int, t Term) verdict {
	here := Step{domain, index, t}
	if e.accepts(domain, t) {
		if why := e.count(domain, t); why != nil {
			return failed(why)
		}
		return verdict{result: ResultPass, path: []Step{here}}
	}
	v, name := e.target(domain, t)
	if v.result == ResultNone {
		v = failed(&Problem{Kind: ProblemNone, Name: name, Term: t})
	}
	v.path = append([]Step{here}, v.path...)
	return v
}

// target evaluates the record that an include or redirect names.
func (e *evaluation) target(domain string, t Term) (verdict, string) {
	if why := e.count(domain, t); why != nil {
		return failed(why), domain
	}
	name := e.expand(domain, t)
	if slices.Contains(e.names, name) {
		return failed(&Problem{Kind: ProblemLoop, Name: name, Term: t}), name
	}
	v := e.host(name)
	if v.problem != nil && v.problem.Term.Kind == "" {
		v.problem.Term = t
	}
	return v, name
}

// count counts a term that asks DNS.
func (e *evaluation) count(domain string, t Term) *Problem {
	if e.lookups >= MaxLookups {
		return &Problem{Kind: ProblemLookups, Name: domain, Term: t}
	}
	e.lookups++
	return nil
}

// mechanism reports whether a mechanism matches; for include it returns the
// way to the term inside that decided.
func (e *evaluation) mechanism(domain string, t Term) (bool, []Step, *Problem) {
	switch t.Kind {
	case KindAll:
		return true, nil, nil
	case KindIP4, KindIP6:
		return e.accepts(domain, t) || t.Prefix.Contains(e.query.IP), nil, nil
	case KindInclude:
		return e.include(domain, t)
	}
	if why := e.count(domain, t); why != nil {
		return false, nil, why
	}
	if e.accepts(domain, t) {
		return true, nil, nil
	}
	if t.Kind == KindPTR {
		return e.ptr(domain, t), nil, nil
	}
	name := e.expand(domain, t)
	if !validName(name) {
		return false, nil, nil
	}
	var matched bool
	var why *Problem
	switch t.Kind {
	case KindA:
		matched, why = e.address(name, t)
	case KindMX:
		matched, why = e.mx(name, t)
	case KindExists:
		matched, why = e.exists(name, t)
	}
	return matched, nil, why
}

func (e *evaluation) accepts(domain string, t Term) bool {
	return e.query.Match != nil && e.query.Match(domain, t)
}

// include is the table of RFC 7208 section 5.2.
func (e *evaluation) include(domain string, t Term) (bool, []Step, *Problem) {
	if e.accepts(domain, t) {
		return true, nil, e.count(domain, t)
	}
	v, name := e.target(domain, t)
	switch {
	case v.problem != nil:
		return false, v.path, v.problem
	case v.result == ResultNone:
		return false, nil, &Problem{Kind: ProblemNone, Name: name, Term: t}
	}
	return v.result == ResultPass, v.path, nil
}
