package resolve

import (
	"fmt"
	"slices"
	"strings"
)

// merge returns the look that speaks for all: the RRset of most servers, and
// any RRset before none. There is at least one look.
func merge(looks []look) look {
	type group struct {
		look
		votes int
	}
	var groups []group
	byKey := make(map[string]int)
	for _, l := range looks {
		key := l.key()
		i, ok := byKey[key]
		if !ok {
			i = len(groups)
			byKey[key] = i
			groups = append(groups, group{look: l})
		}
		groups[i].votes++
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		if a.no() != b.no() {
			if a.no() {
				return 1
			}
			return -1
		}
		return b.votes - a.votes
	})
	for i := range groups {
		groups[i].answer.Asked, groups[i].answer.Agree = len(looks), groups[i].votes
	}
	best := groups[0].look
	for _, g := range groups[1:] {
		if !g.again {
			best.answer.Variants = append(best.answer.Variants, g.answer)
		}
	}
	return best
}

// no says that the server has no RRset.
func (l look) no() bool { return !l.again && l.answer.Empty() }

// key is equal for two looks that show the same RRset. Order and TTL are free,
// and so is the kind of a no: servers differ about empty names.
func (l look) key() string {
	if l.again {
		return "alias " + l.chase.name
	}
	a := l.answer
	var parts []string
	for _, t := range a.TXT {
		parts = append(parts, fmt.Sprintf("%q", t.Join()))
	}
	for _, mx := range a.MX {
		parts = append(parts, fmt.Sprint(mx.Preference, " ", mx.Host))
	}
	for _, ip := range a.Addrs {
		parts = append(parts, ip.String())
	}
	parts = append(parts, a.Hosts...)
	for _, soa := range a.SOA {
		parts = append(parts, soa.Zone)
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}
