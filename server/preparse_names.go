package server

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// nameSet holds the member names of all open objects, folded, one object's
// behind its parent's. A few names are compared one by one, many by a map, so
// that an object with thousands of members costs no square.
type nameSet struct {
	folded []byte // all names, one after another
	ends   []int  // where each name ends in folded
	index  map[nameKey]struct{}

	scratch   []byte
	foldedBuf [256]byte
	endsBuf   [24]int
}

// nameKey is a folded name of the object whose names begin at object.
type nameKey struct {
	object int
	name   string
}

// nameMark is where an object's names begin.
type nameMark struct{ folded, ends int }

// fewNames is up to how many names of one object are compared one by one.
const fewNames = 16

func (n *nameSet) init() {
	n.folded, n.ends = n.foldedBuf[:0], n.endsBuf[:0]
}

func (n *nameSet) mark() nameMark { return nameMark{len(n.folded), len(n.ends)} }

// release forgets the names of an object that has ended.
func (n *nameSet) release(m nameMark) {
	if len(n.ends)-m.ends > fewNames {
		start := m.folded
		for _, end := range n.ends[m.ends:] {
			delete(n.index, nameKey{m.ends, string(n.folded[start:end])})
			start = end
		}
	}
	n.folded, n.ends = n.folded[:m.folded], n.ends[:m.ends]
}

// add folds the name, escapes undone, and reports whether the object that
// begins at m had no such name yet.
func (n *nameSet) add(m nameMark, raw []byte, plain bool) bool {
	if !plain {
		n.scratch = decodeString(n.scratch[:0], raw)
		raw = n.scratch
	}
	start := len(n.folded)
	n.folded = appendFolded(n.folded, raw)
	name := n.folded[start:]
	count := len(n.ends) - m.ends
	n.ends = append(n.ends, len(n.folded))
	if count < fewNames {
		return !n.has(m, name, count)
	}
	if count == fewNames {
		n.indexAll(m, count)
	}
	key := nameKey{m.ends, string(name)}
	if _, dup := n.index[key]; dup {
		return false
	}
	n.index[key] = struct{}{}
	return true
}

// has compares name with the first count names of the object.
func (n *nameSet) has(m nameMark, name []byte, count int) bool {
	start := m.folded
	for _, end := range n.ends[m.ends : m.ends+count] {
		if bytes.Equal(n.folded[start:end], name) {
			return true
		}
		start = end
	}
	return false
}

// indexAll puts the first count names of the object into the map.
func (n *nameSet) indexAll(m nameMark, count int) {
	if n.index == nil {
		n.index = make(map[nameKey]struct{})
	}
	start := m.folded
	for _, end := range n.ends[m.ends : m.ends+count] {
		n.index[nameKey{m.ends, string(n.folded[start:end])}] = struct{}{}
		start = end
	}
}

// appendFolded folds as encoding/json does when it looks for a field: names
// are the same when bytes.EqualFold says so.
func appendFolded(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		if c := name[i]; c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(name[i:])
		dst = utf8.AppendRune(dst, foldRune(r))
		i += size
	}
	return dst
}

// foldRune returns the least of the characters that fold to each other.
func foldRune(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
