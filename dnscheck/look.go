package dnscheck

import (
	"context"
	"strings"
	"sync"

	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// What one look at a domain may ask. SPF is bounded by RFC 7208 section 4.6.4
// and needs its answers; whatever else is not a record's own question is a
// probe that makes the explanation better, and stops first.
const (
	softQuestions = 18  // from here on no more probes
	hardQuestions = 120 // from here on nothing: 10 terms of 10 hosts is 100
)

type question struct {
	name  string
	qtype resolve.Type
}

type reply struct {
	once   sync.Once
	answer resolve.Answer
	err    error
}

// look is one pass over one domain from one vantage. Every question is asked
// once, so that all judges see the same DNS; questions at or below the domain
// go to inside, all others to outside.
type look struct {
	domain          string
	inside, outside resolve.Resolver
	// settle lets one NXDOMAIN for the domain answer for all names below it.
	settle bool

	mu      sync.Mutex
	replies map[question]*reply
	sent    int
	gone    *resolve.Answer
}

func newLook(domain string, inside, outside resolve.Resolver) *look {
	return &look{
		domain: domain, inside: inside, outside: outside,
		replies: map[question]*reply{},
	}
}

// covers reports whether a name is the domain or below it.
func (l *look) covers(owner string) bool { return name.Under(owner, l.domain) }

// ask answers q, from what this look already knows where it can. The answer
// is shared: it must not be changed.
func (l *look) ask(ctx context.Context, q question, probe bool) (resolve.Answer, error) {
	r, err := l.reply(q, probe)
	if err != nil {
		return resolve.Answer{}, err
	}
	r.once.Do(func() {
		resolver := l.outside
		if l.covers(q.name) {
			resolver = l.inside
		}
		r.answer, r.err = resolver.Lookup(ctx, q.name, q.qtype)
		l.learn(q, r)
	})
	return r.answer, r.err
}

// reply finds or makes the place for q's answer.
func (l *look) reply(q question, probe bool) (*reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.replies[q]; r != nil {
		return r, nil
	}
	r := &reply{}
	switch {
	case l.gone != nil && l.covers(q.name):
		r.once.Do(func() {})
		r.answer = *l.gone
		r.answer.Name = q.name
	case l.sent >= hardQuestions, probe && l.sent >= softQuestions:
		return nil, &resolve.Error{
			Code: resolve.CodeTimeout, Name: q.name, Type: q.qtype,
			Detail: "This check has already asked as many questions as one check may.",
		}
	default:
		l.sent++
	}
	l.replies[q] = r
	return r, nil
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

// known returns what was answered to q, where it was asked.
func (l *look) known(q question) (resolve.Answer, error, bool) {
	l.mu.Lock()
	r := l.replies[q]
	l.mu.Unlock()
	if r == nil {
		return resolve.Answer{}, nil, false
	}
	// An answer that is still on its way is waited for.
	r.once.Do(func() {})
	return r.answer, r.err, true
}

func (l *look) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// own is the question that a record stands or falls with.
func (x Expectation) own() question {
	if x.Purpose == PurposeMX {
		return question{x.Name, resolve.TypeMX}
	}
	return question{x.Name, resolve.TypeTXT}
}

// asker is a look as the judge of one record sees it.
type asker struct {
	look *look
	x    Expectation
}

// Lookup implements resolve.Resolver.
func (a asker) Lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	q := question{name, qtype}
	return a.look.ask(ctx, q, a.probe(q))
}

// probe tells questions that only explain from those that decide: all that SPF
// asks may decide, and so may the policies above a DMARC record (RFC 9989
// section 4.10).
func (a asker) probe(q question) bool {
	switch {
	case q == a.x.own(), a.x.Purpose == PurposeSPF:
		return false
	case a.x.Purpose == PurposeDMARC && !a.look.covers(q.name):
		return !strings.HasPrefix(q.name, "_dmarc.")
	}
	return true
}
