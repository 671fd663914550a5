package dnscheck

import (
	"context"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/spf"
)

// maxSuggested is the longest record that is suggested; above it the customer
// has to cut it down first.
const maxSuggested = 4096

// suggest merges what the customer publishes with our terms into one valid
// record that passes our mail. Ours stand before all, where a person would put
// them; where they have no effect there, they stand first. The terms whose
// keys are useless are left out; words that make no sense are noted as lost.
func (j *spfJudge) suggest(ctx context.Context, texts []string, useless []string) string {
	m := merger{domain: j.x.Name, ours: j.oursToAdd(), useless: useless, all: j.defaultAll()}
	for _, text := range texts {
		terms, lost := repair(j.respaced(text)[len("v=spf1"):])
		m.add(terms)
		j.lost = append(j.lost, lost...)
	}
	last := m.record(false)
	parsed, err := spf.Parse(last)
	if err != nil || !j.passes(ctx, parsed) {
		last = m.record(true)
	}
	if len(last) > maxSuggested {
		return ""
	}
	return last
}

// respaced returns a published text with the missing spaces between its
// strings put in.
func (j *spfJudge) respaced(text string) string {
	for _, t := range j.answer.TXT {
		if t.Join() == text {
			text, _ = spaced(t)
			return text
		}
	}
	return text
}

// oursToAdd returns the terms that we ask for as mechanisms.
func (j *spfJudge) oursToAdd() []spf.Term {
	var terms []spf.Term
	for _, t := range j.want {
		if t.Kind == spf.KindRedirect {
			t = asInclude(t)
		}
		terms = append(terms, t)
	}
	return terms
}

// defaultAll is the all of the expectation, for a record that has none.
func (j *spfJudge) defaultAll() string {
	want, err := spf.Parse(j.x.Value)
	if err != nil || want.All() < 0 || want.Terms[want.All()].Qualifier == spf.QualifierPass {
		return "~all"
	}
	return want.Terms[want.All()].Text
}

// asInclude makes an include of a redirect: the mechanism that passes the same
// senders.
func asInclude(t spf.Term) spf.Term {
	include, err := spf.ParseTerm("include:" + t.Domain.String())
	if err != nil {
		return t
	}
	return include
}

// merger collects the terms of one or more records.
type merger struct {
	domain  string
	ours    []spf.Term
	useless []string
	all     string // for a record without one

	keys       map[string]bool // of the terms met so far, and of ours
	mechanisms []spf.Term
	alls       []spf.Qualifier
	redirects  []spf.Term
	modifiers  []spf.Term
}

// add takes in the terms of one record. Those behind its all have no effect
// today; their author wanted them, so they are kept.
func (m *merger) add(terms []spf.Term) {
	for _, t := range terms {
		switch {
		case t.Kind == spf.KindAll:
			m.alls = append(m.alls, t.Qualifier)
		case t.Everyone() && t.Qualifier == spf.QualifierPass:
			// It authorises the whole Internet, as +all does.
		case m.known(t), slices.Contains(m.useless, termKey(m.domain, t)):
		case t.Kind == spf.KindRedirect:
			m.redirects = append(m.redirects, t)
		case t.Kind.Mechanism():
			m.mechanisms = append(m.mechanisms, t)
		case t.Kind == spf.KindExp && slices.ContainsFunc(m.modifiers, func(o spf.Term) bool { return o.Kind == spf.KindExp }):
		default:
			m.modifiers = append(m.modifiers, t)
		}
	}
}

// known reports whether a term was met before, or is one of ours, or points
// back to the domain itself.
func (m *merger) known(t spf.Term) bool {
	if name, ok := t.Target(); ok && name == m.domain {
		return true
	}
	key := termKey(m.domain, t)
	if m.keys == nil {
		m.keys = map[string]bool{}
		for _, o := range m.ours {
			m.keys[termKey(m.domain, o)] = true
		}
	}
	met := m.keys[key]
	m.keys[key] = true
	return met
}

// record writes the merged record, with our terms first or before all.
func (m *merger) record(first bool) string {
	var terms []string
	write := func(list []spf.Term) {
		for _, t := range list {
			terms = append(terms, t.Text)
		}
	}
	if first {
		write(m.ours)
	}
	write(m.mechanisms)
	end := m.strictest()
	// One redirect can stay as it is, as long as nothing ends the record
	// before it. Otherwise it authorises its senders as an include.
	if len(m.redirects) == 1 && end == "" {
		end = m.redirects[0].Text
	} else {
		for _, t := range m.redirects {
			terms = append(terms, asInclude(t).Text)
		}
	}
	if !first {
		write(m.ours)
	}
	if end == "" {
		end = m.all
	}
	terms = append(terms, end)
	write(m.modifiers)
	return "v=spf1 " + strings.Join(terms, " ")
}

// strictest returns the strictest all of the records, or "" when there is
// none; +all counts as ~all.
func (m *merger) strictest() string {
	for _, q := range []spf.Qualifier{spf.QualifierFail, spf.QualifierSoftFail, spf.QualifierNeutral} {
		if slices.Contains(m.alls, q) {
			return string(q) + "all"
		}
	}
	if len(m.alls) > 0 {
		return "~all"
	}
	return ""
}
