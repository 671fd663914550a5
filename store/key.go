package store

import "time"

// Scope is what an API key may do; each includes the ones before it.
type Scope string

// The scopes.
const (
	ScopeRead  Scope = "read"
	ScopeWrite Scope = "write"
	ScopeAdmin Scope = "admin"
)

// Key is an API key as it is stored: never its secret.
type Key struct {
	ID             string
	Name           string
	Scope          Scope
	UserID         string // "" when it is not bound to a user
	OrganizationID string // "" when it is not bound to an organization
	CreatedAt      time.Time
	ExpiresAt      time.Time // zero: never
	RevokedAt      time.Time // zero: not
	LastUsedAt     time.Time // zero: never; coarse
}
