package dnscheck

import "context"

// Job is one domain whose check somebody claimed.
type Job struct {
	DomainID int64
	// Epoch fences: a report for an older one is dropped by the queue.
	Epoch    int64
	Target   Target
	OnDemand bool
}

// Queue hands out due domains and takes their reports.
type Queue interface {
	// Due claims at most n due domains, the most urgent first; each stays
	// claimed until it is recorded, released, or its lease ends.
	Due(ctx context.Context, n int) ([]Job, error)
	// Record takes the report of a claimed domain, in one transaction.
	Record(ctx context.Context, job Job, report Report) error
	// Release gives claimed domains back unchecked, due at once.
	Release(ctx context.Context, jobs []Job) error
}
