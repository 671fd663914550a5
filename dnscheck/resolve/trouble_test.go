package resolve_test

import (
	"errors"
	"testing"

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
