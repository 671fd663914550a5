package resolve_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestIll(t *testing.T) {
	zones := map[string]bool{resolve.CodeBogus: true, resolve.CodeCNAMELoop: true, resolve.CodeLame: true}
	for _, c := range []string{
		resolve.CodeServFail, resolve.CodeRefused, resolve.CodeTimeout, resolve.CodeMalformed, resolve.CodeLame,
		resolve.CodeTruncated, resolve.CodeBogus, resolve.CodeCNAMELoop, resolve.CodeResolverDown,
	} {
		if got := resolve.Ill(&resolve.Error{Code: c}); got == zones[c] {
			t.Errorf("%s: ill is %v", c, got)
		}
	}
	if resolve.Ill(nil) || resolve.Ill(errors.New("other")) {
		t.Error("what is no Error of ours counts against the resolver")
	}
}

// An operator must see that a resolver blocks names, whatever it says beside.
func TestBlockedAnswersAreObserved(t *testing.T) {
	s := startServer(t)
	s.Fault("name.example", dnstest.EDE15)
	for transport, config := range transports {
		var mu sync.Mutex
		seen := map[string]int{}
		config.OnQuery = func(rcode, _ string) {
			mu.Lock()
			defer mu.Unlock()
			seen[rcode]++
		}
		_, err := newClient(t, config, s.Addr()).Lookup(t.Context(), "name.example", resolve.TypeTXT)
		var e *resolve.Error
		if !errors.As(err, &e) || !strings.Contains(e.Detail, "extended error 15") || seen["BLOCKED"] != 1 {
			t.Errorf("%s: %v, observed %v", transport, err, seen)
		}
	}
}
