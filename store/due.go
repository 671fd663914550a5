package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
	lane   int
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

// claimQuery claims the oldest of one lane. The old time stays for the lag.
const claimQuery = `UPDATE domain SET epoch = epoch + 1, due_at = next_check_at, next_check_at = ?
	WHERE id IN (SELECT id FROM domain WHERE lane = ? AND next_check_at <= ? ORDER BY next_check_at LIMIT ? ` + skipLockedHere + `)
	RETURNING id, epoch, name, user_id, due_at, lane, holder, verified_at, full_check_at`

// claimDue gives mass imports an eighth of a backlog, verified domains another,
// and the first lane all the rest; what one does not use is for the others.
func (x *tx) claimDue(n int) ([]claimed, error) {
	share := (n + 7) / 8
	if n < 3 {
		share = 0
	}
	list := make([]claimed, 0, n)
	var err error
	for _, turn := range []struct{ lane, most int }{
		{laneBulk, share}, {laneVerified, share}, {lanePending, n}, {laneBulk, n}, {laneVerified, n},
	} {
		if most := min(turn.most, n-len(list)); most > 0 {
			if list, err = x.claim(list, turn.lane, most); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(list, func(a, b claimed) int {
		return cmp.Or(cmp.Compare(urgency(a.lane), urgency(b.lane)), a.job.DueAt.Compare(b.job.DueAt))
	})
	return list, nil
}

// urgency orders the lanes within a batch.
func urgency(lane int) int {
	if lane == laneVerified {
		return laneBulk + 1
	}
	return lane
}

func (x *tx) claim(list []claimed, lane, most int) ([]claimed, error) {
	rows, err := x.query(context.Background(), claimQuery, ms(x.now.Add(lease)), lane, ms(x.now), most)
	if err != nil {
		return list, err
	}
	defer rows.Close()
	for rows.Next() {
		var c claimed
		var due, verified, fullAt int64
		err := rows.Scan(&c.job.DomainID, &c.job.Epoch, &c.job.Target.Domain, &c.userID, &due, &c.lane,
			&c.holder, &verified, &fullAt)
		if err != nil {
			return list, err
		}
		c.job.DueAt = at(due)
		c.full = c.lane != laneVerified || x.s.schedule.full(plan{
			Status: DomainStatusActive, VerifiedAt: at(verified), FullAt: at(fullAt),
		}, x.now)
		list = append(list, c)
	}
	return list, rows.Err()
}

// jobs reads the records of claimed domains, outside the writer.
func (s *Store) jobs(ctx context.Context, list []claimed) ([]dnscheck.Job, error) {
	full, mx := make(map[int64]*claimed, len(list)), make(map[int64]*claimed)
	for i := range list {
		if list[i].full {
			full[list[i].job.DomainID] = &list[i]
		} else {
			mx[list[i].job.DomainID] = &list[i]
		}
	}
	if err := s.expectations(ctx, full, ""); err != nil {
		return nil, err
	}
	if err := s.expectations(ctx, mx, `AND purpose = 'mx' `); err != nil {
		return nil, err
	}
	jobs := make([]dnscheck.Job, len(list))
	for i := range list {
		jobs[i] = list[i].job
	}
	return jobs, nil
}

// expectations fills the targets of claimed domains with those of their records
// that a check looks at: neither disabled ones nor those of a retired key.
func (s *Store) expectations(ctx context.Context, byID map[int64]*claimed, narrow string) error {
	if len(byID) == 0 {
		return nil
	}
	args := make([]any, 0, len(byID))
	for id := range byID {
		args = append(args, id)
	}
	marks := strings.Repeat(", ?", len(byID))[2:]
	rows, err := s.read.query(ctx, expectQuery+marks+`) `+narrow+`ORDER BY domain_id, seq`, args...)
	if err != nil {
		return wrap("read expectations", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := expect(rows, byID); err != nil {
			return wrap("read expectations", err)
		}
	}
	return wrap("read expectations", rows.Err())
}

const expectQuery = `SELECT domain_id, id, purpose, name, value, priority,
	CASE WHEN status = 'verified' THEN 1 ELSE 0 END, bad_looks, situation, retired
	FROM record WHERE status <> 'disabled' AND key_state <> 'retired' AND domain_id IN (`

func expect(row scanner, byID map[int64]*claimed) error {
	var x dnscheck.Expectation
	var domainID int64
	var retired string
	err := row.Scan(&domainID, &x.ID, &x.Purpose, &x.Name, &x.Value, &x.Priority, &x.Verified, &x.Failures, &x.Situation,
		&retired)
	if err != nil {
		return err
	}
	c := byID[domainID]
	x.Verified = x.Verified || c.holder && x.Purpose == dnscheck.PurposeDKIM
	if err := fromText(retired, &x.Retired); err != nil {
		return err
	}
	if c.job.Target.Records == nil {
		c.job.Target.Records = make([]dnscheck.Expectation, 0, 4)
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
