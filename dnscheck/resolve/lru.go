package resolve

import (
	"container/list"
	"time"
)

// entry is one answer, or error, that is kept.
type entry struct {
	key          key
	answer       Answer
	err          error
	since, until time.Time
}

// entryOverhead estimates what an entry takes beside its strings: the Answer,
// the list element, the map slot.
const entryOverhead = 400

// size estimates the bytes of an entry.
func (e *entry) size() int {
	n := entryOverhead + len(e.key.name)
	for _, t := range e.answer.TXT {
		for _, s := range t.Strings {
			n += 16 + len(s)
		}
	}
	for _, mx := range e.answer.MX {
		n += 24 + len(mx.Host)
	}
	for _, hosts := range [][]string{e.answer.Hosts, e.answer.Chain} {
		for _, h := range hosts {
			n += 16 + len(h)
		}
	}
	return n + 24*len(e.answer.Addrs) + 64*len(e.answer.SOA)
}

// lru keeps the entries that were used last, within bounds. Its user locks.
type lru struct {
	entries, bytes int // bounds
	used           int // bytes
	order          *list.List
	byKey          map[key]*list.Element
}

func newLRU(entries, bytes int) *lru {
	return &lru{entries: entries, bytes: bytes, order: list.New(), byKey: make(map[key]*list.Element)}
}

func (l *lru) get(k key) *entry {
	el := l.byKey[k]
	if el == nil {
		return nil
	}
	l.order.MoveToFront(el)
	return el.Value.(*entry)
}

func (l *lru) put(e *entry) {
	if el := l.byKey[e.key]; el != nil {
		l.drop(el)
	}
	l.byKey[e.key] = l.order.PushFront(e)
	l.used += e.size()
	for l.order.Len() > l.entries || l.used > l.bytes {
		l.drop(l.order.Back())
	}
}

func (l *lru) drop(el *list.Element) {
	e := l.order.Remove(el).(*entry)
	delete(l.byKey, e.key)
	l.used -= e.size()
}
