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

// lifecycle is the model for porcupine: names do not depend on each other.
func lifecycle() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byName := make(map[string][]porcupine.Operation)
			for _, op := range ops {
				n := op.Input.(request).name
				byName[n] = append(byName[n], op)
			}
			return slices.Collect(maps.Values(byName))
		},
		Init: func() any { return name{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(name).take(input.(request), output)
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

// take reports whether a call fits at this moment, and what follows. Without
// an answer anything does.
func (n name) take(r request, output any) (bool, name) {
	if output == nil {
		next, _ := n.apply(r)
		return true, next
	}
	next, ok := n.expect(r, output.(answer))
	return ok, next
}

// judge fails the test unless there is an order of the calls, each at a moment
// between question and answer, in which a single thread would have answered so.
func judge(t *testing.T, ops []porcupine.Operation) {
	t.Helper()
	model := lifecycle()
	result := porcupine.CheckOperationsTimeout(model, ops, judgeIn)
	if result == porcupine.Ok {
		return
	}
	t.Errorf("the history of %d calls: %s", len(ops), result)
	_, details := porcupine.CheckOperationsVerbose(model, ops, judgeIn)
	if file, err := os.CreateTemp("", "history-*.html"); err == nil {
		defer file.Close()
		t.Logf("see %s: %v", file.Name(), porcupine.Visualize(model, details, file))
	}
}
