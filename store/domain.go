package store

import "time"

// DomainStatus is a domain's state over time.
type DomainStatus string

// The three states of a domain; frozen.
const (
	DomainStatusPending DomainStatus = "pending"
	DomainStatusActive  DomainStatus = "active"
	DomainStatusFailed  DomainStatus = "failed"
)

// Domain is one claim of one user on one name.
type Domain struct {
	ID             int64
	Name           string // lower-case A-label, no final dot
	Unicode        string // the same name in U-labels, for people
	UserID         string
	OrganizationID string // "" when none
	Status         DomainStatus
	InboundReady   bool // MX and DKIM stand
	SendingReady   bool // SPF and DKIM stand
	Degraded       bool // a verified record was last seen bad
	HeldByOther    bool // proven, but another claim holds the name
	CreatedAt      time.Time
	UpdatedAt      time.Time
	VerifiedAt     time.Time // zero: never yet
	LastCheckedAt  time.Time // zero: never yet
	NextCheckAt    time.Time // zero: no check is due
}

// Details is a domain with all that belongs to it.
type Details struct {
	Domain  Domain
	Records []Record
	Route   Route
}

// NewDomain is what a create asks for.
type NewDomain struct {
	Name           string
	Unicode        string
	OrganizationID string
}

// DomainFilter narrows a list. Zero fields do not narrow.
type DomainFilter struct {
	OrganizationID string
	Status         DomainStatus
	Limit          int    // 1 to 100
	Cursor         string // as the page before gave it; "" for the first
}
