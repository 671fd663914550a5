package dnscheck

import (
	"context"
	"errors"
	"net/netip"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// env is what one look may use: the way to ask, and what is ours.
type env struct {
	// resolver asks; it counts and bounds the questions of one check.
	resolver resolve.Resolver
	domain   string
	// mxHosts are our inbound hosts, lower case, no final dot.
	mxHosts []string
	// ours gives the addresses that our mail leaves from: the configured ones,
	// else those of our MX hosts; none and no error when there are none.
	ours func(context.Context) ([]netip.Addr, error)
	// hostAddrs gives the addresses of our MX hosts.
	hostAddrs func(context.Context) ([]netip.Addr, error)
	// suffix tells registered names from the suffixes above them.
	suffix suffixes
	// diagnose allows extra probes for a record that does not match, at most
	// maxProbes a record.
	diagnose bool
}

// maxProbes bounds the extra questions that a diagnosis of one record may ask.
const maxProbes = 6

// judge looks at one record: it asks, compares, and says what it saw.
type judge func(context.Context, *env, Expectation) Result

// judges has one judge for each purpose.
var judges = map[Purpose]judge{
	PurposeMX:    judgeMX,
	PurposeSPF:   judgeSPF,
	PurposeDKIM:  judgeDKIM,
	PurposeDMARC: judgeDMARC,
}

// result starts a Result for an expectation.
func (x Expectation) result(v Verdict, code string) Result {
	return Result{ID: x.ID, Purpose: x.Purpose, Name: x.Name, Verdict: v, Code: code}
}

// unknown turns a failed lookup into a Result that moves nothing.
func (x Expectation) unknown(err error) Result {
	r := x.result(VerdictUnknown, resolve.CodeServFail)
	r.Situation = otherSituation
	r.Detail = "DNS gave no answer to judge by."
	r.Hint = "Nothing to change yet; we keep asking."
	var e *resolve.Error
	if errors.As(err, &e) {
		r.Code, r.Detail = e.Code, e.Detail
	}
	return r
}

func (r *Result) warn(code, detail string) {
	r.Warnings = append(r.Warnings, Warning{Code: code, Detail: detail})
}
