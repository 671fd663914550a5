package chaos

import (
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what concurrent clients asked, and what they were answered, in
// real time.
type history struct {
	start time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func newHistory() *history { return &history{start: time.Now()} }

// do makes one call and writes it down. A call that got no answer may have
// happened at any time since it was made, or never: do keeps it open to the
// end. The model must take the zero output of such a call for "unknown".
func (h *history) do(worker int, input any, call func() (output any, answered bool)) bool {
	op := porcupine.Operation{ClientId: worker, Input: input, Call: h.time()}
	output, answered := call()
	op.Output, op.Return = output, h.time()
	if !answered {
		op.Output, op.Return = nil, math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return answered
}

// time is monotonic, in nanoseconds.
func (h *history) time() int64 { return time.Since(h.start).Nanoseconds() }

// taken returns what was written so far.
func (h *history) taken() []porcupine.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]porcupine.Operation(nil), h.ops...)
}
