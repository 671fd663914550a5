package dmarc

import (
	"context"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// maxWalk is how many labels a name may have that the walk asks for
// (RFC 9989 section 4.10 step 4). With the domain itself that makes at most
// eight questions.
const maxWalk = 7

// Found is a policy record at a parent.
type Found struct {
	Domain string
	Record Record
	// Text is the record as published: escape it before it is shown.
	Text string
}

// Inherited walks up from a domain that has no policy record of its own and
// returns that of its organizational domain (RFC 9989 section 4.10.2), and all
// the records on the way, the nearest first. Found is the zero value where
// there is none; a public suffix, marked by psd=y, gives none.
//
// Names that closed reports true for are not asked, nor what is above them:
// what stands at a registry's suffix is no customer's policy, and each question
// less is one that cannot time out. The error is that of the first lookup that
// failed.
func Inherited(ctx context.Context, r resolve.Resolver, domain string, closed func(name string) bool) (Found, []Found, error) {
	var seen []Found
	for _, name := range parents(domain, closed) {
		answer, err := r.Lookup(ctx, "_dmarc."+name, resolve.TypeTXT)
		if err != nil {
			return Found{}, seen, err
		}
		found, ok := only(name, answer.TXT)
		if !ok {
			continue
		}
		seen = append(seen, found)
		switch found.Record.PSD {
		case 'n':
			return found, seen, nil
		case 'y':
			return belowSuffix(name, seen), seen, nil
		}
	}
	if len(seen) == 0 {
		return Found{}, nil, nil
	}
	return seen[len(seen)-1], seen, nil
}

// belowSuffix picks the record one label below a public suffix, where there
// is one: that is the organizational domain.
func belowSuffix(suffix string, seen []Found) Found {
	for _, f := range seen {
		if strings.Count(f.Domain, ".") == strings.Count(suffix, ".")+1 {
			return f
		}
	}
	return Found{}
}

// only returns the single usable policy record of an RRset; several are all
// discarded (section 4.10 step 6).
func only(name string, texts []resolve.Text) (Found, bool) {
	kept, _ := Select(texts)
	if len(kept) != 1 {
		return Found{}, false
	}
	rec, err := Parse(kept[0])
	return Found{name, rec, kept[0]}, err == nil
}

// Select splits an RRset into the texts that start with v=DMARC1, and others.
func Select(texts []resolve.Text) (kept, others []string) {
	for _, t := range texts {
		s := t.Join()
		if isVersionText(s) {
			kept = append(kept, s)
		} else {
			others = append(others, s)
		}
	}
	return kept, others
}

// parents lists the names above a domain that the walk asks, nearest first.
func parents(domain string, closed func(string) bool) []string {
	labels := strings.Split(domain, ".")
	start := max(1, len(labels)-maxWalk)
	var names []string
	for i := start; i < len(labels); i++ {
		name := strings.Join(labels[i:], ".")
		if closed(name) {
			break
		}
		names = append(names, name)
	}
	return names
}
