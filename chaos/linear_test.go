package chaos

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// judgeIn is how long the search for an order may take.
const judgeIn = time.Minute

// part is what one entry of a history tells of. Most calls happen at one moment.
// A read is two, each at one moment of its own: of the claim, and then of its
// records. A rotation that is under way already is such a read.
type part int

const (
	whole part = iota
	effect
	ofClaim
	ofRecords
)

type entry struct {
	request
	part part
}

// lifecycle is the model for porcupine: names do not depend on each other.
func lifecycle() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byName := make(map[string][]porcupine.Operation)
			for _, op := range ops {
				n := op.Input.(entry).name
				byName[n] = append(byName[n], op)
			}
			return slices.Collect(maps.Values(byName))
		},
		Init: func() any { return name{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(name).take(input.(entry), output)
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

// take reports whether an entry fits at this moment, and what follows. Without
// an answer anything does.
func (n name) take(e entry, output any) (bool, name) {
	next, want := n.apply(e.request)
	if output == nil {
		return true, next
	}
	got := output.(answer)
	switch e.part {
	case effect:
		return want.code == got.code, next
	case ofClaim:
		return n.claims[e.user].alive && n.row(e.user) == got.row, n
	case ofRecords: // those of a deleted domain are still there
		c := &n.claims[e.user]
		c.learn(got.records.keys)
		return c.records == got.records, n
	}
	next, ok := n.expect(e.request, got)
	return ok, next
}

// parted makes the entries of a history from its calls.
func parted(ops []porcupine.Operation) (out []porcupine.Operation) {
	for _, op := range ops {
		r := op.Input.(request)
		parts := []part{whole}
		switch got, answered := op.Output.(answer); {
		case r.kind == info && !answered:
			continue
		case answered && got.code == 404:
		case r.kind == info:
			parts = []part{ofClaim, ofRecords}
		case r.kind == rotate && answered:
			parts = []part{effect, ofClaim, ofRecords}
		}
		for _, p := range parts {
			op.Input = entry{r, p}
			out = append(out, op)
		}
	}
	return out
}

// judge fails the test unless there is an order of the calls, each at a moment
// between question and answer, in which a single thread would have answered so.
func judge(t *testing.T, ops []porcupine.Operation) {
	t.Helper()
	model, entries := lifecycle(), parted(ops)
	result := porcupine.CheckOperationsTimeout(model, entries, judgeIn)
	if result == porcupine.Ok {
		return
	}
	t.Errorf("the history of %d calls: %s", len(ops), result)
	_, details := porcupine.CheckOperationsVerbose(model, entries, judgeIn)
	if file, err := os.CreateTemp("", "history-*.html"); err == nil {
		defer file.Close()
		t.Logf("see %s: %v", file.Name(), porcupine.Visualize(model, details, file))
	}
}
