package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/domaind/domaind/gen/client"
)

// writer is one client that keeps names of its own, so that it knows what must
// be there: what it was told, and perhaps its last call without an answer.
type writer struct {
	*caller
	t      *testing.T
	id     int
	random *rand.Rand
	names  []*owned
	count  int // of what it has asked for
	tally
}

// tally counts what one client was told; others may look.
type tally struct {
	acked   atomic.Int64
	full    atomic.Int64 // refused because there is no room: 507, 452
	refused atomic.Int64 // for any other reason
	open    atomic.Int64 // without an answer
}

// owned is a name of one writer.
type owned struct {
	name  string
	state name
	maybe *request // without an answer
}

const (
	firstNames = 2
	mostNames  = 40 // a new name costs a new key
)

func newWriter(t *testing.T, s *service, id int, random *rand.Rand) *writer {
	return &writer{
		caller: &caller{service: s, users: [2]string{fmt.Sprintf("writer_%d", id)}},
		t:      t, id: id, random: random,
	}
}

// step makes one call, and reports whether it was answered. The answer must be
// what the writer's own calls lead to.
func (w *writer) step() bool { return w.ask(w.pick()) }

// live is step for a service that lives on: refused, it looks what became of
// the call, and goes on. It reports whether it was answered at all.
func (w *writer) live() bool {
	o, open := w.pick(), w.open.Load()
	if w.ask(o) {
		return true
	}
	if w.open.Load() > open {
		return false
	}
	missing, err := w.look(o)
	if missing != "" {
		w.t.Error(missing)
	}
	return err == nil
}

func (w *writer) ask(o *owned) bool {
	r := w.choose(o)
	o.maybe = &r
	got, err := w.call(r)
	var wrong fault
	var code status
	switch {
	case errors.As(err, &wrong):
		w.t.Error(wrong)
		return false
	case errors.As(err, &code) && code == http.StatusInsufficientStorage:
		o.maybe = nil // it says that nothing was stored
		w.full.Add(1)
		return false
	case errors.As(err, &code):
		w.refused.Add(1)
		return false
	case err != nil:
		w.open.Add(1)
		return false
	}
	next, ok := o.state.expect(r, got)
	if !ok {
		w.t.Errorf("%+v on %+v was answered with %+v", r, o.state, got)
	}
	if r.kind != info && got.code != 404 {
		w.acked.Add(1)
	}
	o.state, o.maybe = next, nil
	return true
}

func (w *writer) pick() *owned {
	if n := len(w.names); n < firstNames || n < mostNames && w.random.IntN(400) == 0 {
		w.names = append(w.names, &owned{name: fmt.Sprintf("w%d-%d.example", w.id, n)})
		return w.names[n]
	}
	return w.names[w.random.IntN(len(w.names))]
}

// choose makes a request that mostly does something.
func (w *writer) choose(o *owned) request {
	w.count++
	r := request{name: o.name, kind: create}
	if !o.state.claims[0].alive {
		if w.random.IntN(20) == 0 {
			r.kind = info
		}
		return r
	}
	switch n := w.random.IntN(200); {
	case n < 80:
		r.kind, r.to = route, fmt.Sprintf("n%d@elsewhere.example", w.count)
	case n < 170:
		r.kind, r.purpose = mark, purposes[w.random.IntN(len(purposes))]
		r.status = [...]client.RecordStatus{
			client.RecordStatusVerified, client.RecordStatusDisabled, client.RecordStatusPending,
		}[w.random.IntN(3)]
	case n < 185:
		r.kind = remove
	case n < 186:
		r.kind = rotate
	case n < 195:
		r.kind = info
	}
	return r
}

// check reads all names, and returns what is missing or was made up.
func (w *writer) check() (missing []string) {
	for _, o := range w.names {
		text, err := w.look(o)
		if err != nil {
			text = fmt.Sprintf("%s: %v", o.name, err)
		}
		if text != "" {
			missing = append(missing, text)
		}
	}
	return missing
}

// look reads a name: it must be as its last acknowledged call left it, or as
// the one without answer did.
func (w *writer) look(o *owned) (missing string, err error) {
	r := request{kind: info, name: o.name}
	got, err := w.call(r)
	if err != nil {
		return "", err
	}
	state, ok := o.state.expect(r, got)
	if o.maybe != nil && !ok {
		state, _ = o.state.apply(*o.maybe)
		state, ok = state.expect(r, got)
	}
	if !ok {
		return fmt.Sprintf("%s was left as %+v (open: %+v) and is %+v", o.name, o.state, o.maybe, got), nil
	}
	o.state, o.maybe = state, nil
	return "", nil
}
