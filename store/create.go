package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
)

// errNeedKey: the write turned out to need a key.
var errNeedKey = errors.New("key needed")

// CreateDomain makes a user's claim on a name, due for its first check at once,
// and returns it with created true. When the user has the name already, it
// returns what stands, with created false: a retry is safe. A claim deleted
// less than 30 days ago comes back with the same records and keys. Claims of
// other users never matter. ErrConflict when the user has the name in an
// organization that the tenant does not reach.
func (s *Store) CreateDomain(ctx context.Context, t Tenant, n NewDomain) (Details, bool, error) {
	if n.OrganizationID == "" {
		n.OrganizationID = t.OrganizationID
	}
	key, err := s.keyFor(ctx, t, n)
	for {
		if err != nil {
			return Details{}, false, err
		}
		c := creation{t: t, n: n, key: key}
		err = s.write(ctx, c.run)
		if errors.Is(err, errNeedKey) {
			key, err = s.c.NewKey(ctx)
			continue
		}
		if err != nil {
			return Details{}, false, fmt.Errorf("store: create domain: %w", err)
		}
		return c.out, c.created, nil
	}
}

// keyFor takes a fresh key unless the user has the name already: keys are dear.
func (s *Store) keyFor(ctx context.Context, t Tenant, n NewDomain) (dkim.Key, error) {
	var one int
	err := s.read.queryRow(ctx, `SELECT 1 FROM domain WHERE user_id = ? AND name = ?`,
		t.UserID, n.Name).Scan(&one)
	if err == nil {
		return dkim.Key{}, nil
	}
	if err = wrap("read domain", err); !errors.Is(err, ErrNotFound) {
		return dkim.Key{}, err
	}
	key, err := s.c.NewKey(ctx)
	if err != nil {
		return dkim.Key{}, fmt.Errorf("store: get DKIM key: %w", err)
	}
	return key, nil
}

// creation is one create inside the writer.
type creation struct {
	t       Tenant
	n       NewDomain
	key     dkim.Key
	out     Details
	created bool
}

func (c *creation) run(x *tx) error {
	c.created = false // it may be done again
	// Not lockName: a create must not wait for the claims of others.
	if err := x.lock(x.s.dialect.lockClaim, c.t.UserID, c.n.Name); err != nil {
		return err
	}
	old, err := scanClaim(x.queryRow(context.Background(), `SELECT `+claimColumns+` FROM domain
		WHERE user_id = ? AND name = ?`, c.t.UserID, c.n.Name))
	switch err = wrap("read domain", err); {
	case errors.Is(err, ErrNotFound):
		return c.insert(x)
	case err != nil:
		return err
	}
	foreign := c.t.OrganizationID != "" && c.t.OrganizationID != old.OrganizationID
	switch {
	case old.DeletedAt.IsZero() && foreign:
		return ErrConflict
	case old.DeletedAt.IsZero():
		c.out, err = details(context.Background(), x, c.t, c.n.Name)
		return err
	case foreign:
		// The tombstone of another organization is nothing to this caller.
		if err := x.purge(old.ID); err != nil {
			return err
		}
		return c.insert(x)
	default:
		return c.revive(x, old)
	}
}

func (c *creation) insert(x *tx) error {
	if c.key.Selector == "" {
		return errNeedKey
	}
	first, bulk, err := x.firstCheck(c.t.UserID)
	if err != nil {
		return err
	}
	row := claim{
		Domain: Domain{
			ID: x.s.domainIDs.next(x.now), Name: c.n.Name, Unicode: c.n.Unicode, UserID: c.t.UserID,
			OrganizationID: c.n.OrganizationID, Status: DomainStatusPending,
			CreatedAt: at(ms(x.now)), UpdatedAt: at(ms(x.now)), NextCheckAt: first,
		},
		PendingSince: at(ms(x.now)), Bulk: bulk,
	}
	if bulk {
		row.Lane = laneBulk
	}
	_, err = x.exec(`INSERT INTO domain (id, user_id, name, unicode, organization_id, status, created_at,
		updated_at, lane, next_check_at, pending_since, bulk, route_updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		row.ID, row.UserID, row.Name, row.Unicode, row.OrganizationID, row.Status, ms(row.CreatedAt),
		ms(row.UpdatedAt), row.Lane, ms(row.NextCheckAt), ms(row.PendingSince), row.Bulk, ms(x.now))
	if err != nil {
		return wrap("insert domain", err)
	}
	list, err := x.insertPlan(row, c.key)
	if err != nil {
		return err
	}
	if err := x.releaseMail(c.t, row); err != nil {
		return err
	}
	c.out = Details{
		Domain: row.Domain, Records: list,
		Route: Route{Mode: ForwardModeStore, Version: 1, UpdatedAt: row.CreatedAt},
	}
	c.created = true
	return x.event(row, Event{Type: EventDomainCreated, Actor: c.t.Actor, To: string(row.Status)})
}

// insertPlan writes the records that a new domain must publish, and its key.
func (x *tx) insertPlan(c claim, key dkim.Key) ([]Record, error) {
	taken := make(map[int64]bool, 4)
	var list []Record
	var lines []line
	for i, p := range x.s.c.Service.Plan(c.Name, key) {
		r := planned(p, recordID(taken))
		l := line{Record: r, Seq: i + 1, PendingSince: c.PendingSince}
		if p.Purpose == dnscheck.PurposeDKIM {
			l.KeyState = keyActive
		}
		if err := x.insertLine(c, l); err != nil {
			return nil, err
		}
		list, lines = append(list, r), append(lines, l)
	}
	if err := x.expect(c, lines); err != nil {
		return nil, err
	}
	return list, x.insertKey(c, key, keyActive)
}

func planned(p dnscheck.PlannedRecord, id int64) Record {
	return Record{
		ID: id, Type: p.Type, Purpose: p.Purpose, Host: p.Host, Name: p.Name, Value: p.Value,
		Priority: p.Priority, TTL: p.TTL, Required: p.Required, Status: RecordStatusPending,
	}
}

// revive brings a deleted claim back: the same records and keys, so that what
// the customer still publishes is right, and nothing else of its past.
func (c *creation) revive(x *tx, old claim) error {
	first, bulk, err := x.firstCheck(c.t.UserID)
	if err != nil {
		return err
	}
	now := at(ms(x.now))
	row := claim{Domain: old.Domain, PendingSince: now, Epoch: old.Epoch + 1, Bulk: bulk}
	row.OrganizationID, row.Status = c.n.OrganizationID, DomainStatusPending
	row.InboundReady, row.SendingReady, row.Degraded, row.HeldByOther = false, false, false, false
	row.CreatedAt, row.UpdatedAt, row.NextCheckAt = now, now, first
	row.VerifiedAt, row.LastCheckedAt = time.Time{}, time.Time{}
	if bulk {
		row.Lane = laneBulk
	}
	if err := x.putClaim(row); err != nil {
		return err
	}
	if err := x.resetLines(row); err != nil {
		return err
	}
	if err := x.resetRoute(row); err != nil {
		return err
	}
	if err := x.releaseMail(c.t, row); err != nil {
		return err
	}
	err = x.event(row, Event{
		Type: EventDomainCreated, Actor: c.t.Actor, To: string(row.Status), Detail: "taken back after its deletion",
	})
	if err != nil {
		return err
	}
	c.created = true
	c.out, err = details(context.Background(), x, c.t, c.n.Name)
	return err
}

func (x *tx) resetLines(c claim) error {
	lines, err := x.lines(c)
	if err != nil {
		return err
	}
	for i, r := range lines {
		fresh := line{Record: r.Record, Seq: r.Seq, PendingSince: c.PendingSince, KeyState: r.KeyState, Retired: r.Retired}
		fresh.Status, fresh.Override, fresh.Degraded = RecordStatusPending, false, false
		fresh.Code, fresh.Detail, fresh.Hint, fresh.Suggested = "", "", "", ""
		fresh.Observed, fresh.Warnings = nil, nil
		fresh.LastCheckedAt, fresh.VerifiedAt = time.Time{}, time.Time{}
		if err := x.putLine(c, fresh); err != nil {
			return err
		}
		lines[i] = fresh
	}
	return x.expect(c, lines)
}

// The pace of one user's creates. Up to paceBurst at once, and one in
// unit/paceSteps, are ordinary; what goes beyond is a mass import: its checks
// have a lane of their own, spread out, so that nobody else waits for them.
const (
	paceBurst  = 200
	paceSteps  = 300 // five a second
	paceSpread = 10  // an import's first checks: fifty a second
)

// firstCheck says when a claim made now is first checked, and whether it is
// part of a mass import.
func (x *tx) firstCheck(userID string) (first time.Time, bulk bool, err error) {
	step := max(1, (x.s.schedule.Unit / paceSteps).Milliseconds())
	now := ms(x.now)
	var free int64
	err = x.queryRow(context.Background(), `INSERT INTO pace (user_id, free_at) VALUES (?, ?)
		ON CONFLICT (user_id) DO UPDATE SET free_at = CASE WHEN pace.free_at > ? THEN pace.free_at + ?
		ELSE excluded.free_at END RETURNING free_at`, userID, now+step, now, step).Scan(&free)
	if err != nil {
		return time.Time{}, false, wrap("pace creates", err)
	}
	ahead := free - now - paceBurst*step
	if ahead <= 0 {
		return at(now), false, nil
	}
	return at(now + ahead/paceSpread), true, nil
}
