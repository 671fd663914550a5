package dnscheck

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/dnscheck/spf"
)

// How many queries one look at a domain may send, retries included. SPF is
// bounded by RFC 7208 section 4.6.4 and needs its answers; a probe only makes
// the explanation better, so probes stop first.
const (
	softQueries = 10  // from here on no more probes in a scheduled check
	moreQueries = 18  // the same on demand: somebody waits for the explanation
	hardQueries = 120 // from here on nothing: 10 terms of 10 hosts are 100
)

type question struct {
	name  string
	qtype resolve.Type
}

// fail is the error of a question that nobody asked.
func (q question) fail(why string, cause error) error {
	return &resolve.Error{Code: resolve.CodeTimeout, Name: q.name, Type: q.qtype, Detail: why, Err: cause}
}

// reply is the answer to one question; done is closed when it is there.
type reply struct {
	done   chan struct{}
	answer resolve.Answer
	err    error
}

// settled returns a reply that needs no question.
func settled(a resolve.Answer) *reply {
	r := &reply{done: make(chan struct{}), answer: a}
	close(r.done)
	return r
}

// look is one pass over one domain from one vantage. Every question is asked
// once, so that all judges see the same DNS; questions at or below the domain
// go to inside, all others to outside.
type look struct {
	domain          string
	inside, outside resolve.Resolver
	// soft is the number of queries from which on nobody may probe.
	soft int
	// settle lets one NXDOMAIN for the domain answer for all names below it.
	settle bool
	budget *resolve.Budget

	mu      sync.Mutex
	replies map[question]*reply
	gone    *resolve.Answer
}

func newLook(domain string, inside, outside resolve.Resolver) *look {
	l := &look{
		domain: domain, inside: inside, outside: outside, soft: softQueries,
		replies: map[question]*reply{},
	}
	l.budget = resolve.WithBudget(router{l}, hardQueries)
	return l
}

// covers reports whether a name is the domain or below it.
func (l *look) covers(owner string) bool { return name.Under(owner, l.domain) }

// router sends each question where it belongs.
type router struct{ *look }

// Lookup implements resolve.Resolver.
func (r router) Lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	if r.covers(name) {
		return r.inside.Lookup(ctx, name, qtype)
	}
	return r.outside.Lookup(ctx, name, qtype)
}

// ask answers q, from what this look already knows where it can, but nothing
// once ctx has ended: a judge that needs no new answers must come to its end
// too. The answer is shared: it must not be changed.
func (l *look) ask(ctx context.Context, q question, probe bool) (resolve.Answer, error) {
	if err := ctx.Err(); err != nil {
		return resolve.Answer{}, q.fail("No time is left for this check.", err)
	}
	r, mine := l.reply(q, probe)
	if mine {
		// A panic below must neither leave the others waiting nor look like a no.
		defer close(r.done)
		r.err = &resolve.Error{Code: resolve.CodeMalformed, Name: q.name, Type: q.qtype, Detail: "The question was not asked to its end."}
		r.answer, r.err = l.budget.Lookup(ctx, q.name, q.qtype)
		l.learn(q, r)
		return r.answer, r.err
	}
	<-r.done // no longer than ctx lets the one who asks
	return r.answer, r.err
}

// reply finds the reply to q; with true it is new, and the caller must ask.
func (l *look) reply(q question, probe bool) (*reply, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.replies[q]; r != nil {
		return r, false
	}
	if probe && l.budget.Queries() >= l.soft {
		r := settled(resolve.Answer{})
		r.err = q.fail("This check has asked enough questions.", nil)
		return r, false // and not kept: it may yet be asked as more than a probe
	}
	if l.gone != nil && l.covers(q.name) {
		a := *l.gone
		a.Name = q.name
		l.replies[q] = settled(a)
		return l.replies[q], false
	}
	r := &reply{done: make(chan struct{})}
	l.replies[q] = r
	return r, true
}

// with returns a look that sees the same DNS but for one answer, and asks on
// the same budget.
func (l *look) with(q question, a resolve.Answer) *look {
	fork := &look{domain: l.domain, inside: l.inside, outside: l.outside, soft: l.soft, budget: l.budget}
	l.mu.Lock()
	defer l.mu.Unlock()
	fork.replies = maps.Clone(l.replies)
	fork.replies[q] = settled(a)
	return fork
}

// learn notes that the domain does not exist: then nothing below it does
// either (RFC 8020 section 2). A CNAME at the domain proves that it exists,
// and a denial without an SOA record proves nothing (RFC 2308 section 5).
func (l *look) learn(q question, r *reply) {
	a := r.answer
	if !l.settle || q.name != l.domain || r.err != nil {
		return
	}
	if a.NXDomain && !a.Weak && len(a.Chain) == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.gone = &a
	}
}

// known returns what was answered to q; false when it was not asked, or has no
// answer.
func (l *look) known(q question) (resolve.Answer, bool) {
	l.mu.Lock()
	r := l.replies[q]
	l.mu.Unlock()
	if r == nil {
		return resolve.Answer{}, false
	}
	<-r.done
	return r.answer, r.err == nil
}

// own is the question that a record stands or falls with.
func (x Expectation) own() question {
	if x.Purpose == PurposeMX {
		return question{x.Name, resolve.TypeMX}
	}
	return question{x.Name, resolve.TypeTXT}
}

// asker is a look as the judge of one record sees it, from one goroutine.
type asker struct {
	look *look
	x    Expectation
	weak bool // an answer that may decide was a denial without its SOA record
}

// Lookup implements resolve.Resolver.
func (a *asker) Lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	q := question{name, qtype}
	probe := a.probe(q)
	answer, err := a.look.ask(ctx, q, probe)
	a.weak = a.weak || answer.Weak && !probe
	return answer, err
}

// probe tells questions that only explain from those that decide: all that an
// SPF record asks may decide, and so may the policies above a DMARC record
// (RFC 9989 section 4.10).
func (a *asker) probe(q question) bool {
	switch {
	case q == a.x.own():
		return false
	case a.x.Purpose == PurposeSPF:
		own, _ := a.look.known(a.x.own())
		return !slices.ContainsFunc(own.TXT, func(t resolve.Text) bool { return spf.Is(t.Join()) })
	case a.x.Purpose == PurposeDMARC && !a.look.covers(q.name):
		return !strings.HasPrefix(q.name, "_dmarc.")
	}
	return true
}
