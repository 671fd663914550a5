package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/domaind/domaind/dnscheck"
)

var _ dnscheck.Queue = (*Store)(nil)

// maxClaim bounds one batch of due domains.
const maxClaim = 256

// claimed is a job before its records are read.
type claimed struct {
	job    dnscheck.Job
	userID string
	full   bool
	// holder keeps Expectation.Verified true for its DKIM record, so that what
	// could cost it the name is confirmed first.
	holder bool
}

// Due claims at most n due domains, the most urgent first: each stays claimed
// for 90 s, until it is recorded or released. Of a backlog, mostly domains
// that are not verified come first, yet no lane ever starves.
func (s *Store) Due(ctx context.Context, n int) ([]dnscheck.Job, error) {
	n = min(n, maxClaim)
	if n <= 0 {
		return nil, nil
	}
	var list []claimed
	err := s.write(ctx, func(x *tx) (err error) {
		list, err = x.claimDue(n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: claim due domains: %w", err)
	}
	return s.jobs(ctx, list)
}

// The turns of the lanes in a batch: one of the second comes after four of the
// first, one of the third after eight.
const dueQuery = `UPDATE domain SET epoch = epoch + 1, due_at = next_check_at, next_check_at = ?
	WHERE id IN (SELECT id FROM (
		SELECT id, row_number() OVER (ORDER BY next_check_at) * 2 AS turn FROM (SELECT id, next_check_at FROM domain
			WHERE lane = 0 AND next_check_at <= ? ORDER BY next_check_at LIMIT ?) AS a
		UNION ALL
		SELECT id, row_number() OVER (ORDER BY next_check_at) * 8 + 1 AS turn FROM (SELECT id, next_check_at FROM domain
			WHERE lane = 2 AND next_check_at <= ? ORDER BY next_check_at LIMIT ?) AS b
		UNION ALL
		SELECT id, row_number() OVER (ORDER BY next_check_at) * 16 + 1 AS turn FROM (SELECT id, next_check_at FROM domain
			WHERE lane = 1 AND next_check_at <= ? ORDER BY next_check_at LIMIT ?) AS c
		ORDER BY turn LIMIT ?) AS due)
	RETURNING id, epoch, name, user_id, due_at, lane, holder, verified_at, full_check_at`

func (x *tx) claimDue(n int) ([]claimed, error) {
	now := ms(x.now)
	rows, err := x.query(context.Background(), dueQuery, ms(x.now.Add(lease)), now, n, now, n, now, n, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make([]claimed, 0, n)
	for rows.Next() {
		var c claimed
		var due, lane, verified, fullAt int64
		err := rows.Scan(&c.job.DomainID, &c.job.Epoch, &c.job.Target.Domain, &c.userID, &due, &lane,
			&c.holder, &verified, &fullAt)
		if err != nil {
			return nil, err
		}
		c.job.DueAt = at(due)
		c.full = lane != laneVerified || x.s.schedule.full(plan{
			Status: DomainStatusActive, VerifiedAt: at(verified), FullAt: at(fullAt),
		}, x.now)
		list = append(list, c)
	}
	return list, rows.Err()
}

// jobs reads the records of claimed domains, outside the writer.
func (s *Store) jobs(ctx context.Context, list []claimed) ([]dnscheck.Job, error) {
	if len(list) == 0 {
		return nil, nil
	}
	byID := make(map[int64]*claimed, len(list))
	args := make([]any, len(list))
	for i := range list {
		byID[list[i].job.DomainID] = &list[i]
		args[i] = list[i].job.DomainID
	}
	marks := strings.Repeat(", ?", len(list))[2:]
	rows, err := s.read.query(ctx, `SELECT domain_id, user_id, id, purpose, name, value, priority, status,
		bad_count, suspect_at, retired FROM record WHERE domain_id IN (`+marks+`)
		AND status <> 'disabled' AND key_state <> 'retired' ORDER BY domain_id, seq`, args...)
	if err != nil {
		return nil, wrap("read expectations", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := expect(rows, byID); err != nil {
			return nil, wrap("read expectations", err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, wrap("read expectations", err)
	}
	jobs := make([]dnscheck.Job, 0, len(list))
	for i := range list {
		jobs = append(jobs, list[i].job)
	}
	return jobs, nil
}

func expect(row scanner, byID map[int64]*claimed) error {
	var x dnscheck.Expectation
	var domainID, suspect int64
	var userID, retired string
	var status RecordStatus
	err := row.Scan(&domainID, &userID, &x.ID, &x.Purpose, &x.Name, &x.Value, &x.Priority, &status,
		&x.Failures, &suspect, &retired)
	if err != nil {
		return err
	}
	c := byID[domainID]
	if c == nil || c.userID != userID || !c.full && x.Purpose != dnscheck.PurposeMX {
		return nil
	}
	x.Verified = status == RecordStatusVerified || c.holder && x.Purpose == dnscheck.PurposeDKIM
	if suspect != 0 {
		x.Failures++
	}
	if err := fromText(retired, &x.Retired); err != nil {
		return err
	}
	c.job.Target.Records = append(c.job.Target.Records, x)
	return nil
}

// ClaimDomain claims one domain for a check now, whatever its schedule says,
// as Due does: a check that runs already becomes stale. ErrNotFound as for
// Domain.
func (s *Store) ClaimDomain(ctx context.Context, t Tenant, name string) (dnscheck.Job, error) {
	var c claimed
	err := s.write(ctx, func(x *tx) error {
		c = claimed{full: true}
		c.job.Target.Domain, c.job.OnDemand, c.userID = name, true, t.UserID
		err := x.queryRow(context.Background(), `UPDATE domain SET epoch = epoch + 1, next_check_at = ?
			WHERE user_id = ? AND name = ? AND deleted_at = 0 AND (? = '' OR organization_id = ?)
			RETURNING id, epoch, holder`, ms(x.now.Add(lease)), t.UserID, name,
			t.OrganizationID, t.OrganizationID).Scan(&c.job.DomainID, &c.job.Epoch, &c.holder)
		return err
	})
	if err != nil {
		return dnscheck.Job{}, fmt.Errorf("store: claim domain: %w", err)
	}
	jobs, err := s.jobs(ctx, []claimed{c})
	if err != nil {
		return dnscheck.Job{}, err
	}
	return jobs[0], nil
}

// Target returns what a domain must publish, for a check that is not recorded.
// ErrNotFound as for Domain.
func (s *Store) Target(ctx context.Context, t Tenant, name string) (dnscheck.Target, error) {
	id, err := s.DomainID(ctx, t, name)
	if err != nil {
		return dnscheck.Target{}, err
	}
	c := claimed{full: true, userID: t.UserID}
	c.job.DomainID, c.job.Target.Domain = id, name
	jobs, err := s.jobs(ctx, []claimed{c})
	if err != nil {
		return dnscheck.Target{}, err
	}
	return jobs[0].Target, nil
}

// Release gives claimed domains back unchecked, due at once. Those that
// somebody else has claimed since are left alone.
func (s *Store) Release(ctx context.Context, jobs []dnscheck.Job) error {
	err := s.write(ctx, func(x *tx) error {
		for _, j := range jobs {
			_, err := x.exec(`UPDATE domain SET next_check_at = ? WHERE id = ? AND epoch = ? AND deleted_at = 0`,
				ms(x.now), j.DomainID, j.Epoch)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: release domains: %w", err)
	}
	return nil
}
