package store

import (
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// RecordStatus is a record's state over time.
type RecordStatus string

// The four states of a record; frozen.
const (
	RecordStatusPending  RecordStatus = "pending"
	RecordStatusVerified RecordStatus = "verified"
	RecordStatusFailed   RecordStatus = "failed"
	RecordStatusDisabled RecordStatus = "disabled"
)

// Record is one DNS record that a domain must publish, with what is known of it.
type Record struct {
	ID       int64 // positive, below 2^53, unique within the domain
	Type     string
	Purpose  dnscheck.Purpose
	Host     string // relative: "@", "_dmarc", "<selector>._domainkey"
	Name     string // FQDN, no final dot
	Value    string
	Priority uint16 // MX only
	TTL      int    // seconds
	Required bool

	Status    RecordStatus
	Override  bool // set by an admin's mark, until a mark "pending"
	Degraded  bool // verified, but last seen bad
	Code      string
	Detail    string
	Hint      string
	Observed  []string
	Suggested string
	Warnings  []dnscheck.Warning

	LastCheckedAt time.Time // zero: never yet
	VerifiedAt    time.Time // zero: never yet
}

// Mark is an admin's override of one record.
type Mark struct {
	RecordID int64
	Status   RecordStatus
	Observed *string // what the admin saw; nil keeps what is there
}
