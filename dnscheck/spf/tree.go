package spf

import (
	"context"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// Tree is what a record costs a receiver that has to evaluate all of it.
type Tree struct {
	// Lookups counts the terms that ask DNS in the record and in all that it
	// includes (RFC 7208 section 4.6.4). Counting ends once it is above
	// MaxLookups, so a larger number means "at least".
	Lookups int
	// Problems are those targets whose record is missing, multiple, broken or
	// on its own path: each ends the evaluation that comes to it.
	Problems []*Problem
}

// node is one record whose terms are to be counted.
type node struct {
	domain string
	record Record
	path   []string
}

// Measure walks the whole tree of a domain's record, breadth first, and asks
// for no more targets than it needs to find the limit broken. Targets that
// depend on the sender, and those that DNS gave no answer for, count as one.
func Measure(ctx context.Context, r resolve.Resolver, domain string, own Record) Tree {
	var tree Tree
	queue := []node{{domain, own, []string{domain}}}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		live := n.record.live()
		for _, t := range live {
			if t.Kind.Looks() {
				tree.Lookups++
			}
		}
		if tree.Lookups > MaxLookups {
			return tree
		}
		for _, t := range live {
			if next, ok := tree.follow(ctx, r, n, t); ok {
				queue = append(queue, next)
			}
		}
	}
	return tree
}

// live returns the terms that a receiver may come to: those before all, and
// the redirect of a record without all.
func (r Record) live() []Term {
	all := r.All()
	var terms []Term
	for i, t := range r.Terms {
		if t.Kind.Mechanism() && (all < 0 || i <= all) || t.Kind == KindRedirect && all < 0 {
			terms = append(terms, t)
		}
	}
	return terms
}

// Target returns the name that an include or redirect points to, unless it
// depends on the sender.
func (t Term) Target() (string, bool) {
	if t.Kind != KindInclude && t.Kind != KindRedirect {
		return "", false
	}
	name, ok := t.Domain.Literal()
	return strings.TrimSuffix(strings.ToLower(name), "."), ok
}

func (tree *Tree) follow(ctx context.Context, r resolve.Resolver, n node, t Term) (node, bool) {
	name, ok := t.Target()
	if !ok {
		return node{}, false
	}
	if slices.Contains(n.path, name) {
		tree.Problems = append(tree.Problems, &Problem{Kind: ProblemLoop, Name: name, Term: t})
		return node{}, false
	}
	if !validName(name) {
		tree.Problems = append(tree.Problems, &Problem{Kind: ProblemNone, Name: name, Term: t})
		return node{}, false
	}
	own, why := Lookup(ctx, r, name)
	if why != nil {
		if why.Kind != ProblemTemp {
			why.Term = t
			tree.Problems = append(tree.Problems, why)
		}
		return node{}, false
	}
	return node{name, own, append(slices.Clip(n.path), name)}, true
}
