package dnscheck

import (
	"context"
	"slices"

	"github.com/domaind/domaind/dnscheck/spf"
)

// codeTemporary stands for "no verdict" inside this file; it is never shown.
const codeTemporary = "temporary"

// cause is why a record does not pass our mail; its code is empty when it does.
type cause struct {
	code string
	// term is the one to blame, and domain the name in whose record it stands;
	// term is zero where nothing in particular is to blame.
	term   spf.Term
	domain string
	// problem is what ended the evaluation early, or nil.
	problem *spf.Problem
	query   spf.Query
}

var problemCodes = map[spf.ProblemKind]string{
	spf.ProblemSyntax:   codeSPFBrokenInclude,
	spf.ProblemMultiple: codeSPFBrokenInclude,
	spf.ProblemNone:     codeSPFBrokenInclude,
	spf.ProblemLoop:     codeSPFIncludeLoop,
	spf.ProblemLookups:  codeSPFLookupLimit,
	spf.ProblemVoid:     codeSPFVoidLimit,
	spf.ProblemMX:       codeSPFMXLimit,
	spf.ProblemTemp:     codeTemporary,
}

// blame evaluates the domain's record for all of our mail. A definite failure
// for one address counts before a temporary one for another.
func (j *spfJudge) blame(ctx context.Context, record spf.Record) cause {
	var worst cause
	for _, q := range j.queries() {
		c := j.blameOne(ctx, q, record, []string{j.x.Name})
		if c.code != "" && c.code != codeTemporary {
			return c
		}
		if worst.code == "" {
			worst = c
		}
	}
	return worst
}

// blameOne evaluates the record of q.Domain, at the end of a path of includes,
// for one of our addresses.
func (j *spfJudge) blameOne(ctx context.Context, q spf.Query, record spf.Record, path []string) cause {
	out := spf.CheckRecord(ctx, j.e.resolver, q, record)
	c := cause{domain: q.Domain, query: q}
	if out.Problem != nil {
		c.code, c.problem, c.term = problemCodes[out.Problem.Kind], out.Problem, out.Problem.Term
		if n := len(out.Path); n > 0 {
			c.domain = out.Path[n-1].Domain
		}
		return c
	}
	leaf, _ := out.Leaf()
	switch {
	case out.Result == spf.ResultPass && !leaf.Everyone():
		return cause{}
	case out.Result == spf.ResultPass:
		c.code, c.term, c.domain = codeSPFPassAll, leaf, out.Path[len(out.Path)-1].Domain
		return c
	}
	if top := out.Top(); top >= 0 {
		c.term = record.Terms[top]
	}
	switch {
	case c.term.Kind == "":
		return j.inside(ctx, c, record, path)
	case c.term.Everyone():
		if j.inForce(ctx, q, ignored(record, out.Top())) {
			c.code = codeSPFAfterAll
			return c
		}
		return j.inside(ctx, c, record, path)
	case c.term.Kind == spf.KindRedirect:
		return j.inside(ctx, c, record, path)
	}
	return j.caught(ctx, c, record, out)
}

// caught is a term other than all that matches our address and does not pass.
func (j *spfJudge) caught(ctx context.Context, c cause, record spf.Record, out spf.Outcome) cause {
	named := slices.ContainsFunc(out.Path, func(s spf.Step) bool { return j.has(s.Domain, s.Term) })
	leaf, _ := out.Leaf()
	later := spf.Record{Terms: record.Terms[out.Top()+1:]}
	switch {
	case named:
		c.code = codeSPFQualifier
	case j.inForce(ctx, c.query, later):
		c.code = codeSPFShadowed
	case specific(leaf):
		c.code = codeSPFQualifier
	default:
		c.code = codeSPFNotAuthorised
	}
	return c
}

// specific reports whether a term names hosts and not whole networks: then its
// author meant us when it matches us.
func specific(t spf.Term) bool {
	switch t.Kind {
	case spf.KindIP4, spf.KindIP6:
		return t.Prefix.IsSingleIP()
	case spf.KindA, spf.KindMX:
		return t.Len4 == 32 && t.Len6 == 128
	}
	return t.Kind == spf.KindExists
}

// ignored returns what a receiver never comes to, because the term at index
// stop matches everybody; a redirect is ignored wherever it stands (RFC 7208
// sections 5.1 and 6.1).
func ignored(record spf.Record, stop int) spf.Record {
	var rest spf.Record
	for i, t := range record.Terms {
		if i > stop && t.Kind.Mechanism() && !t.Everyone() || t.Kind == spf.KindRedirect {
			rest.Terms = append(rest.Terms, t)
		}
	}
	return rest
}

// inForce reports whether these terms alone would pass our mail, or are those
// that we ask for.
func (j *spfJudge) inForce(ctx context.Context, q spf.Query, rest spf.Record) bool {
	if len(rest.Terms) == 0 {
		return false
	}
	if slices.ContainsFunc(rest.Terms, func(t spf.Term) bool { return j.has(q.Domain, t) }) {
		return true
	}
	out := spf.CheckRecord(ctx, j.e.resolver, q, rest)
	leaf, _ := out.Leaf()
	return out.Result == spf.ResultPass && !leaf.Everyone()
}

// How deep blame is looked for in a customer's includes, and in how many
// records: a tree of includes can be made to have a thousand of them.
const (
	maxNested = 3
	maxBlamed = 20
)

// inside looks for the blame in the records that this one includes: there too
// our term may stand behind all or with the wrong qualifier. Where it is in
// none of them, our mail is just not authorised.
func (j *spfJudge) inside(ctx context.Context, c cause, record spf.Record, path []string) cause {
	c.code = codeSPFNotAuthorised
	if len(path) > maxNested {
		return c
	}
	asked := 0
	for _, t := range record.Terms {
		name, ok := t.Target()
		if !ok || slices.Contains(path, name) {
			continue
		}
		// A receiver comes no further either.
		if asked++; asked > spf.MaxLookups {
			break
		}
		nested, why := spf.Lookup(ctx, j.e.resolver, name)
		if why != nil || !j.mentions(name, nested) {
			continue
		}
		if j.blamed++; j.blamed > maxBlamed {
			break
		}
		q := c.query
		q.Domain = name
		switch inner := j.blameOne(ctx, q, nested, append(slices.Clip(path), name)); inner.code {
		case codeSPFAfterAll, codeSPFQualifier, codeSPFShadowed:
			return inner
		}
	}
	return c
}

// mentions reports whether a nested record holds our term at all.
func (j *spfJudge) mentions(domain string, record spf.Record) bool {
	return slices.ContainsFunc(record.Terms, func(t spf.Term) bool { return j.has(domain, t) })
}
