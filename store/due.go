package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

var _ dnscheck.Queue = (*Store)(nil)

// maxClaim bounds one batch of due domains.
const maxClaim = 256

// Due claims at most n due domains, the most urgent first: each stays claimed
// for 90 s, until it is recorded or released. Of a backlog, mostly domains
// that are not verified come first, yet no lane ever starves.
func (s *Store) Due(ctx context.Context, n int) ([]dnscheck.Job, error) {
	n = min(n, maxClaim)
	if n <= 0 {
		return nil, nil
	}
	var list []claimed
	turn := s.turn() // not in the transaction, which may be done again
	err := s.write(ctx, func(x *tx) (err error) {
		list, err = x.claimDue(turn, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: claim due domains: %w", err)
	}
	slices.SortFunc(list, claimed.compare)
	now := s.now()
	jobs := make([]dnscheck.Job, len(list))
	for i, c := range list {
		if jobs[i], err = c.job(); err != nil { // one must not stop all others
			s.log.Error("a domain is not checked", "domain_id", c.DomainID, "error", err)
		}
		if c.onlyMX(s.schedule, now) {
			narrow(&jobs[i].Target)
		}
	}
	return jobs, nil
}

// turns are the lanes that batches are filled from, the first lane first. Of a
// backlog, mass imports get one batch in eight, verified domains another, and
// the first lane all the rest; what one does not use is for the others.
var turns = [...][3]int{
	{laneBulk, lanePending, laneVerified},
	{laneVerified, lanePending, laneBulk},
	{lanePending, laneBulk, laneVerified},
}

// turn is the one for the next batch.
func (s *Store) turn() [3]int {
	return turns[min(s.batches.Add(1)%8, uint32(len(turns)-1))]
}

// claimQuery claims the oldest of one lane. The old time stays for the lag.
const claimQuery = `UPDATE domain SET epoch = epoch + 1, due_at = next_check_at, next_check_at = ?
	WHERE id IN (SELECT id FROM domain WHERE lane = ? AND next_check_at <= ? ORDER BY next_check_at LIMIT ? ` + skipLockedHere + `)
	RETURNING ` + jobColumns

func (x *tx) claimDue(turn [3]int, n int) ([]claimed, error) {
	list := make([]claimed, 0, n)
	for _, lane := range turn {
		if len(list) >= n {
			break
		}
		var err error
		if list, err = x.claim(list, lane, n-len(list)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (x *tx) claim(list []claimed, lane, most int) ([]claimed, error) {
	rows, err := x.query(context.Background(), claimQuery, ms(x.now.Add(lease)), lane, ms(x.now), most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanClaimed(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// compare puts the more urgent first: bulk imports before verified domains, and
// in a lane the one that was due first.
func (c claimed) compare(d claimed) int {
	return cmp.Or(cmp.Compare(urgency(c.lane), urgency(d.lane)), c.DueAt.Compare(d.DueAt))
}

func urgency(lane int) int {
	if lane == laneVerified {
		return laneBulk + 1
	}
	return lane
}

// onlyMX reports whether a check now looks at the MX alone.
func (c claimed) onlyMX(s Schedule, now time.Time) bool {
	return c.lane == laneVerified &&
		!s.full(plan{Status: DomainStatusActive, VerifiedAt: c.verifiedAt, FullAt: c.fullAt}, now)
}

func narrow(t *dnscheck.Target) {
	t.Records = slices.DeleteFunc(t.Records, func(x dnscheck.Expectation) bool {
		return x.Purpose != dnscheck.PurposeMX
	})
}

// ClaimDomain claims one domain for a check now, whatever its schedule says,
// as Due does: a check that runs already becomes stale. ErrNotFound as for
// Domain.
func (s *Store) ClaimDomain(ctx context.Context, t Tenant, name string) (dnscheck.Job, error) {
	var c claimed
	err := s.write(ctx, func(x *tx) (err error) {
		c, err = scanClaimed(x.queryRow(context.Background(), `UPDATE domain SET epoch = epoch + 1, next_check_at = ?
			WHERE user_id = ? AND name = ? AND deleted_at = 0 AND (? = '' OR organization_id = ?)
			RETURNING `+jobColumns, ms(x.now.Add(lease)), t.UserID, name, t.OrganizationID, t.OrganizationID))
		return err
	})
	if err != nil {
		return dnscheck.Job{}, fmt.Errorf("store: claim domain: %w", err)
	}
	c.OnDemand, c.DueAt = true, time.Time{}
	return c.job()
}

// Target returns what a domain must publish, for a check that is not recorded.
// ErrNotFound as for Domain.
func (s *Store) Target(ctx context.Context, t Tenant, name string) (dnscheck.Target, error) {
	id, err := s.DomainID(ctx, t, name)
	if err != nil {
		return dnscheck.Target{}, err
	}
	c, err := scanClaimed(s.read.queryRow(ctx, `SELECT `+jobColumns+` FROM domain WHERE id = ? AND user_id = ?`,
		id, t.UserID))
	if err != nil {
		return dnscheck.Target{}, wrap("read domain", err)
	}
	j, err := c.job()
	return j.Target, err
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
