// Package store keeps managed domains, their records, routes, events and keys
// in a database, and is the only place where a status changes.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
)

// Sentinels. They are all that callers may test for; driver errors never leave
// the package unwrapped by one of them or by a plain "store: …" text.
var (
	// ErrNotFound: no such row for this tenant. A row of another tenant is the
	// same as none.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition: If-Match did not name the present version.
	ErrPrecondition = errors.New("precondition failed")
	// ErrStale: the work was done for an outdated epoch; it was dropped.
	ErrStale = errors.New("stale epoch")
	// ErrUnavailable: the database cannot be reached or written just now.
	ErrUnavailable = errors.New("database unavailable")
	// ErrFull: the disk is full.
	ErrFull = errors.New("storage full")
)

// Config is what a Store needs. The zero value of an optional field is usable.
type Config struct {
	// Database is a file name, or a postgres:// URL.
	Database string
	// MasterKeyFile holds the key that seals secrets; it is created 0600 on
	// the first start where the database is a file. "" means master.key beside it.
	MasterKeyFile string
	// Service is what the operator wants every domain to publish.
	Service dnscheck.Service
	// NewKey gives a fresh DKIM key; it may block for the time of one
	// generation when a pool behind it is empty.
	NewKey func(context.Context) (dkim.Key, error)
	// Schedule holds the times of the status machine and of the checks.
	Schedule Schedule
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Tenant says on whose behalf a call reads or writes. Every statement on
// tenant data carries it.
type Tenant struct {
	UserID string
	// OrganizationID, where it is set, hides every domain of another
	// organization: the key is bound to it.
	OrganizationID string
	// Actor is who acts, for the events: "key:<id>", "dns", "system".
	Actor string
}
