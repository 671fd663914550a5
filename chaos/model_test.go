package chaos

import (
	"slices"

	"github.com/domaind/domaind/gen/client"
)

// The model of what the calls do to one name, on which nothing is known from
// DNS: all that happens is somebody's call.

type kind string

const (
	create kind = "create"
	info   kind = "info"
	remove kind = "delete"
	route  kind = "route"
	mark   kind = "mark"
	rotate kind = "rotate"
)

// request is one call about one name.
type request struct {
	kind    kind
	user    int
	name    string
	to      string // route: where to forward; "" for no address
	purpose client.DNSRecordPurpose
	status  client.RecordStatus
}

// purposes is the order of the records in marks.
var purposes = [...]client.DNSRecordPurpose{
	client.DNSRecordPurposeMX, client.DNSRecordPurposeSPF, client.DNSRecordPurposeDMARC, client.DNSRecordPurposeDKIM,
}

// marks has the status of each record; all but pending are set by hand.
type marks [len(purposes)]client.RecordStatus

var unmarked = marks{
	client.RecordStatusPending, client.RecordStatusPending, client.RecordStatusPending, client.RecordStatusPending,
}

// row is what an answer says of the claim itself.
type row struct {
	status client.DomainStatus
	held   bool // by another
	to     string
}

// records is what an answer says of the records.
type records struct {
	marks marks
	keys  [2]string // the selectors: the first, and that of a rotation
}

// answer is what a call was told; it is zero but for its code where there is no
// domain in it.
type answer struct {
	code    int
	row     row
	records records
}

// claim is one user's claim on the name.
type claim struct {
	made    bool // ever: its records and keys outlive its end
	alive   bool
	held    bool
	to      string
	records records
}

// name is the state of one name: at most one of two users holds it.
type name struct {
	claims [2]claim
	holder int // 1 or 2; 0 is nobody
}

// The keys of a model are not known before an answer shows them.
const unseen = "?"

// apply does what the service does, and returns what it answers.
func (n name) apply(r request) (name, answer) {
	c := &n.claims[r.user]
	code := 200
	switch {
	case r.kind == create:
		code = n.create(r.user)
	case !c.alive:
		return n, answer{code: 404}
	case r.kind == remove:
		c.alive, c.held = false, false
		if n.holder == r.user+1 {
			n.holder = 0
		}
		return n, answer{code: 200}
	case r.kind == route:
		c.to = r.to
	case r.kind == mark:
		n.mark(r)
	case r.kind == rotate:
		code = 202
		if c.records.keys[1] == "" {
			c.records.keys[1] = unseen
		}
	}
	return n, answer{code, n.row(r.user), c.records}
}

func (n *name) create(user int) int {
	c := &n.claims[user]
	switch {
	case c.alive:
		return 200
	case !c.made:
		c.records.keys[0] = unseen
	}
	c.made, c.alive, c.held, c.to, c.records.marks = true, true, false, "", unmarked
	return 201
}

// mark sets a record, and then who holds the name: a mark takes a free one for
// a claim of which all is marked, and lets go without a mark on the key.
func (n *name) mark(r request) {
	c, i := &n.claims[r.user], slices.Index(purposes[:], r.purpose)
	if c.records.marks[i] == r.status {
		return
	}
	c.records.marks[i] = r.status
	switch mine := n.holder == r.user+1; {
	case mine && !stands(c.records.marks[len(purposes)-1]):
		n.holder = 0
	case mine:
	case !c.entitled():
		c.held = false
	case n.holder == 0:
		n.holder, c.held = r.user+1, false
	default:
		c.held = true
	}
}

func stands(s client.RecordStatus) bool {
	return s == client.RecordStatusVerified || s == client.RecordStatusDisabled
}

// entitled reports whether the marks alone would make the domain active.
func (c claim) entitled() bool {
	for _, s := range c.records.marks {
		if !stands(s) {
			return false
		}
	}
	return slices.Contains(c.records.marks[:], client.RecordStatusVerified)
}

func (n name) row(user int) row {
	c := n.claims[user]
	out := row{status: client.DomainStatusPending, held: c.held, to: c.to}
	switch {
	case c.entitled() && n.holder == user+1:
		out.status = client.DomainStatusActive
	case slices.Contains(c.records.marks[:], client.RecordStatusFailed):
		out.status = client.DomainStatusFailed
	}
	return out
}

// learn takes the keys that an answer shows for those of the claim, where they
// were not known.
func (c *claim) learn(shown [2]string) {
	for i, k := range shown {
		if c.records.keys[i] == unseen && k != "" {
			c.records.keys[i] = k
		}
	}
}

// expect applies a request and compares the answer with what the model says.
func (n name) expect(r request, got answer) (name, bool) {
	next, want := n.apply(r)
	if want.code != 404 && r.kind != remove {
		c := &next.claims[r.user]
		c.learn(got.records.keys)
		want.records.keys = c.records.keys
	}
	return next, want == got
}
