// Package dnscheck knows what a managed domain must publish, asks DNS what it
// does publish, and says for each record whether the two agree.
package dnscheck

import "time"

// Purpose names what a record is for.
type Purpose string

// The four records of a managed domain.
const (
	PurposeMX    Purpose = "mx"
	PurposeSPF   Purpose = "spf"
	PurposeDKIM  Purpose = "dkim"
	PurposeDMARC Purpose = "dmarc"
)

// Verdict is what one check of one record showed. It is not a status: a status
// is state over time, and the store derives it from verdicts.
type Verdict string

const (
	// VerdictMatch says that what is published does what the expectation is for.
	VerdictMatch Verdict = "match"
	// VerdictMismatch says that something is published that does not.
	VerdictMismatch Verdict = "mismatch"
	// VerdictMissing says that by DNS nothing is published.
	VerdictMissing Verdict = "missing"
	// VerdictConflict says that ours is published, and something beside it defeats it.
	VerdictConflict Verdict = "conflict"
	// VerdictUnknown says that nothing was learned. It never moves a status.
	VerdictUnknown Verdict = "unknown"
)

// Bad reports whether the verdict speaks against the record.
func (v Verdict) Bad() bool {
	return v == VerdictMismatch || v == VerdictMissing || v == VerdictConflict
}

// Expectation is one record that a domain must publish.
type Expectation struct {
	// ID is the caller's own name for the record; results carry it back.
	ID      int64
	Purpose Purpose
	// Name is the owner name, an FQDN in lower-case A-labels without final dot.
	Name string
	// Value is the TXT text, or the MX host without final dot.
	Value string
	// Priority is the MX preference we ask for; only its order means anything.
	Priority uint16
	// Retired holds values that stood here or at an older selector before a
	// rotation, so that the old key is told from a foreign one.
	Retired []string
	// Verified says that the record counts as verified today: before a bad
	// look may count against it, it is confirmed from a second vantage.
	Verified bool
	// Failures counts the bad looks in a row so far, unknown ones left aside and
	// those that prove nothing new included; it decides when a scheduled check
	// may spend extra probes on a diagnosis.
	Failures int
	// Situation is that of the Result that is known so far, zero for none: what
	// looks different now is diagnosed again.
	Situation int64
}

// Target is one domain with the records to check. Disabled records are not in
// it: nobody asks DNS about them.
type Target struct {
	Domain  string // lower-case A-label, no final dot
	Records []Expectation
}

// Options say how thoroughly to look.
type Options struct {
	// OnDemand also asks the zone's own servers (see resolve.Direct), and
	// diagnoses whatever does not match.
	OnDemand bool
}

// Warning is a remark on a record that does not change its verdict.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Result is what one look at one expectation showed. All text in it is
// printable and cut: DNS content is data from strangers.
type Result struct {
	ID      int64
	Purpose Purpose
	Name    string
	Verdict Verdict
	// Code is stable and machine-readable; empty on a plain match.
	Code string
	// Detail says what is wrong; Hint what to change at the DNS provider.
	Detail, Hint string
	// Observed holds what was found, one entry a record, escaped and cut.
	Observed []string
	// Suggested is the customer's own SPF record with ours merged in.
	Suggested string
	Warnings  []Warning
	// TTL is how long the answer, positive or negative, may be cached.
	TTL time.Duration
	// Confirmed says that a bad verdict was seen from a second vantage too.
	Confirmed bool
	// Diagnosed says that what does not match was looked into with extra
	// questions. Where it was not, and Situation is above zero and still that
	// of an earlier Result, the earlier Detail, Hint, Code and Warnings say more.
	Diagnosed bool
	// Situation stands for what the look showed without those questions.
	Situation int64
	CheckedAt time.Time

	// weak says that a denial without its SOA record took part in the verdict.
	weak bool
}

// Report is the outcome of one check of one domain: always a report, never an
// error, with one Result for each Expectation in the Target's order.
type Report struct {
	Domain    string
	StartedAt time.Time
	CheckedAt time.Time
	Queries   int // questions sent, retries included
	Results   []Result
}
