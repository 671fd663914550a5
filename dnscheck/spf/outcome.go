package spf

import (
	"fmt"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// Result is what check_host() returns (RFC 7208 section 2.6).
type Result string

// The results of RFC 7208 section 2.6.
const (
	ResultNone      Result = "none"
	ResultNeutral   Result = "neutral"
	ResultPass      Result = "pass"
	ResultFail      Result = "fail"
	ResultSoftFail  Result = "softfail"
	ResultTempError Result = "temperror"
	ResultPermError Result = "permerror"
)

// result is what a mechanism with this qualifier gives when it matches.
func (q Qualifier) result() Result {
	switch q {
	case QualifierFail:
		return ResultFail
	case QualifierSoftFail:
		return ResultSoftFail
	case QualifierNeutral:
		return ResultNeutral
	}
	return ResultPass
}

// Limits of RFC 7208 section 4.6.4.
const (
	MaxLookups = 10 // terms that ask DNS
	MaxVoid    = 2  // lookups without an answer
	MaxMX      = 10 // hosts of one mx
	maxPTR     = 10 // names of one ptr; more are not looked at
)

// ProblemKind is why an evaluation ended in permerror or temperror.
type ProblemKind string

// The kinds of a Problem.
const (
	ProblemSyntax   ProblemKind = "syntax"   // a record breaks the grammar
	ProblemMultiple ProblemKind = "multiple" // a name has several records
	ProblemNone     ProblemKind = "none"     // a target has no record
	ProblemLoop     ProblemKind = "loop"     // a target is on the path already
	ProblemLookups  ProblemKind = "lookups"  // the 11th term that asks DNS
	ProblemVoid     ProblemKind = "void"     // the third void lookup
	ProblemMX       ProblemKind = "mx"       // an mx with more than ten hosts
	ProblemTemp     ProblemKind = "temp"     // DNS gave no answer
)

// Problem says what ended an evaluation early.
type Problem struct {
	Kind ProblemKind
	// Name is the domain name that the problem is about: the target without a
	// record, the name that was asked when a limit was hit.
	Name string
	// Term is the term that was being evaluated; zero for the first lookup.
	Term Term
	// Err is the cause: a *SyntaxError or a *resolve.Error.
	Err error
}

func (p *Problem) Error() string {
	s := fmt.Sprintf("spf: %s: %s", p.Name, p.Kind)
	if p.Err != nil {
		s += ": " + p.Err.Error()
	}
	return s
}

func (p *Problem) Unwrap() error { return p.Err }

// Step is one term on the way from the domain's own record to the term that
// decided.
type Step struct {
	Domain string // whose record it stands in
	Index  int    // in that record's Terms
	Term   Term
}

// Outcome is a result with its explanation.
type Outcome struct {
	Result Result
	// Path leads from the domain's own record through include and redirect to
	// the term that matched or failed. It is empty when nothing matched and
	// there is no redirect.
	Path []Step
	// Problem is set exactly when Result is temperror or permerror.
	Problem *Problem
	// Lookups and Void count against MaxLookups and MaxVoid.
	Lookups, Void int
}

// Top returns the index of the deciding term in the domain's own record, or -1.
func (o Outcome) Top() int {
	if len(o.Path) == 0 {
		return -1
	}
	return o.Path[0].Index
}

// Leaf returns the term that decided, at the end of the path, and whether
// there is one.
func (o Outcome) Leaf() (Term, bool) {
	if len(o.Path) == 0 {
		return Term{}, false
	}
	return o.Path[len(o.Path)-1].Term, true
}

// records returns the SPF records among the answer's texts.
func records(a resolve.Answer) []string {
	var found []string
	for _, t := range a.TXT {
		if s := t.Join(); Is(s) {
			found = append(found, s)
		}
	}
	return found
}
