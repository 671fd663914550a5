package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

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
	HeldByOther    bool // entitled, but another claim holds the name
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

// Domain returns a domain with its records and route, as they were at one
// moment, or ErrNotFound. It only reads.
func (s *Store) Domain(ctx context.Context, t Tenant, name string) (Details, error) {
	for range tries {
		d, err := details(ctx, s.read, t, name)
		if !errors.Is(err, errTorn) {
			return d, err
		}
	}
	return Details{}, fmt.Errorf("store: read domain: %w: %w", ErrUnavailable, errTorn)
}

// errTorn: the domain was written between the two statements of a read. A write
// has it locked. It is no errConflict: that would undo the writes beside it.
var errTorn = errors.New("torn read")

// details is two point queries, which cost less than one with a join, or than a
// transaction.
func details(ctx context.Context, q queryer, t Tenant, name string) (Details, error) {
	var d Details
	row := q.queryRow(ctx, `SELECT `+domainColumns+`, `+routeColumns+`, revision FROM domain
		WHERE user_id = ? AND name = ? AND deleted_at = 0 AND (? = '' OR organization_id = ?)`,
		t.UserID, name, t.OrganizationID, t.OrganizationID)
	var ds domainScan
	var rs routeScan
	var revision int64
	if err := row.Scan(append(append(ds.dest(&d.Domain), rs.dest(&d.Route)...), &revision)...); err != nil {
		return Details{}, wrap("read domain", err)
	}
	ds.put(&d.Domain)
	rs.put(&d.Route)
	list, of, err := records(ctx, q, d.Domain)
	if err == nil && of != revision {
		err = errTorn
	}
	d.Records = list
	return d, err
}

const domainColumns = `id, name, unicode, user_id, organization_id, status, inbound_ready, sending_ready,
	degraded, held_by_other, created_at, updated_at, verified_at, last_checked_at, next_check_at`

// domainScan takes what the columns hold in another form.
type domainScan struct{ created, updated, verified, checked, next int64 }

func (c *domainScan) dest(d *Domain) []any {
	return []any{&d.ID, &d.Name, &d.Unicode, &d.UserID, &d.OrganizationID, &d.Status, &d.InboundReady,
		&d.SendingReady, &d.Degraded, &d.HeldByOther, &c.created, &c.updated, &c.verified, &c.checked, &c.next}
}

func (c *domainScan) put(d *Domain) {
	d.CreatedAt, d.UpdatedAt, d.VerifiedAt = at(c.created), at(c.updated), at(c.verified)
	d.LastCheckedAt, d.NextCheckAt = at(c.checked), at(c.next)
}

// claim is a whole domain row, as a write sees it.
type claim struct {
	Domain
	Holder, Proven          bool
	ContestedAt             time.Time
	AbsentFirst, AbsentLast time.Time // when the own DKIM key was last seen absent
	Lane                    int
	FullAt                  time.Time
	PendingSince            time.Time
	Bulk                    bool
	Unknowns                int
	Epoch                   int64
	DegradedAt              time.Time
	Held                    bool
	DeletedAt               time.Time
}

const claimColumns = domainColumns + `, holder, proven, contested_at, absent_first_at, absent_last_at, lane,
	full_check_at, pending_since, bulk, unknowns, epoch, degraded_at, held, deleted_at`

type scanner interface{ Scan(dest ...any) error }

// scanClaim takes claimColumns, and what a statement has after them.
func scanClaim(row scanner, more ...any) (claim, error) {
	var c claim
	var ds domainScan
	var contested, first, last, full, pending, degraded, deleted int64
	err := row.Scan(append(append(ds.dest(&c.Domain), &c.Holder, &c.Proven, &contested, &first, &last, &c.Lane,
		&full, &pending, &c.Bulk, &c.Unknowns, &c.Epoch, &degraded, &c.Held, &deleted), more...)...)
	if err != nil {
		return claim{}, err
	}
	ds.put(&c.Domain)
	c.ContestedAt, c.AbsentFirst, c.AbsentLast = at(contested), at(first), at(last)
	c.FullAt, c.PendingSince, c.DegradedAt, c.DeletedAt = at(full), at(pending), at(degraded), at(deleted)
	return c, nil
}

// claimByName returns the tenant's live claim on a name, or ErrNotFound.
func (x *tx) claimByName(t Tenant, name string) (claim, error) {
	if err := x.lockName(name); err != nil {
		return claim{}, err
	}
	c, err := scanClaim(x.queryRow(context.Background(), `SELECT `+claimColumns+` FROM domain
		WHERE user_id = ? AND name = ? AND deleted_at = 0 AND (? = '' OR organization_id = ?)`,
		t.UserID, name, t.OrganizationID, t.OrganizationID))
	return c, wrap("read domain", err)
}

// putClaim writes all of a claim that changes after its creation.
func (x *tx) putClaim(c claim) error {
	_, err := x.exec(`UPDATE domain SET organization_id = ?, status = ?, inbound_ready = ?, sending_ready = ?,
		degraded = ?, held_by_other = ?, created_at = ?, updated_at = ?, verified_at = ?, last_checked_at = ?,
		next_check_at = ?, holder = ?, proven = ?, contested_at = ?, absent_first_at = ?, absent_last_at = ?,
		lane = ?, full_check_at = ?, pending_since = ?, bulk = ?, unknowns = ?, epoch = ?, degraded_at = ?,
		held = ?, deleted_at = ?, revision = revision + 1 WHERE id = ? AND user_id = ?`,
		c.OrganizationID, c.Status, c.InboundReady, c.SendingReady, c.Degraded, c.HeldByOther, ms(c.CreatedAt),
		ms(c.UpdatedAt), ms(c.VerifiedAt), ms(c.LastCheckedAt), ms(c.NextCheckAt), c.Holder, c.Proven,
		ms(c.ContestedAt), ms(c.AbsentFirst), ms(c.AbsentLast), c.Lane, ms(c.FullAt), ms(c.PendingSince), c.Bulk,
		c.Unknowns, c.Epoch, ms(c.DegradedAt), c.Held, ms(c.DeletedAt), c.ID, c.UserID)
	return wrap("write domain", err)
}

// DomainID returns the store's own number of a domain, for package-internal
// joins of other stores; it is never shown. ErrNotFound as for Domain.
func (s *Store) DomainID(ctx context.Context, t Tenant, name string) (int64, error) {
	var id int64
	err := s.read.queryRow(ctx, `SELECT id FROM domain
		WHERE user_id = ? AND name = ? AND deleted_at = 0 AND (? = '' OR organization_id = ?)`,
		t.UserID, name, t.OrganizationID, t.OrganizationID).Scan(&id)
	return id, wrap("read domain", err)
}
