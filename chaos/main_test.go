package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/domaind/domaind/chaos/process"
)

// binary is the program as a user runs it; TestMain builds it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "domaind")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var flags []string
	if os.Getenv("CHAOS_RACE") != "" {
		flags = []string{"-race"}
	}
	if binary, err = process.Build(dir, flags...); err != nil {
		return failed(err)
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		return failed(err)
	}
	return 0
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

const defaultTime = 2 * time.Second

// loadTime is how long a part keeps its load up.
func loadTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("CHAOS_TIME")
	if text == "" {
		return defaultTime
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("CHAOS_TIME: %q is not a time such as 10m", text)
	}
	return d
}

// seed returns the seed of this run, which a failed test shows.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano()) //nolint:gosec // any bits will do
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %q is not a number", text)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("CHAOS_SEED=%d", n)
		}
	})
	return n
}

// random returns the choices of one worker.
func random(seed uint64, worker int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(worker))) //nolint:gosec // to be repeated, not to be secret
}

// figure prints what a part has found, in one line that `make chaos` shows.
func figure(format string, args ...any) {
	fmt.Printf("chaos: "+format+"\n", args...)
}

// bound says what n cases without a fault prove: by the rule of three, the rate
// of faults is below 3/n with a confidence of 95 %. It proves no more, and only
// of cases such as were tried. A case is a kill, not a write: one kill may lose
// many.
func bound(n int) string {
	if n <= 3 {
		return "not bounded"
	}
	return fmt.Sprintf("below %.2g at 95 %%", 3/float64(n))
}
