package store

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// The types of events.
const (
	EventDomainCreated   = "domain.created"
	EventDomainActivated = "domain.activated"
	EventDomainFailed    = "domain.failed"
	EventDomainSuspended = "domain.suspended" // active before, and pending now
	EventDomainContested = "domain.contested" // another claim proved the name
	EventDomainLost      = "domain.lost"      // another claim took the name
	EventDomainHeld      = "domain.held"      // the sweep guard held a demotion
	EventDomainDeleted   = "domain.deleted"
	EventRecordVerified  = "record.verified"
	EventRecordFailed    = "record.failed" // never seen right
	EventRecordDegraded  = "record.degraded"
	EventRecordLost      = "record.lost"
	EventRecordRestored  = "record.restored"
	EventRecordMarked    = "record.marked"
	EventRotationStarted = "dkim.published" // a second key waits to be seen
	EventDKIMRotated     = "dkim.rotated"   // it was seen and signs from now on
	EventRouteUpdated    = "route.updated"
)

// Who acts when no caller does.
const (
	actorDNS    = "dns"
	actorSystem = "system"
)

// Event is one entry of a domain's history: who changed what, from what, to
// what, and when. Types are noun.past_participle.
type Event struct {
	ID       int64  // positive, below 2^53; grows within a domain
	Type     string // domain.created, record.verified, route.updated, …
	Actor    string
	RecordID int64 // 0 when it is not about one record
	From, To string
	Detail   string
	At       time.Time
}

// event writes an event of a claim, in the transaction of the change itself;
// where events are sent, to the outbox too.
func (x *tx) event(c claim, e Event) error {
	if e.Actor == "" {
		e.Actor = actorSystem
	}
	id := x.s.eventIDs.next(x.now)
	_, err := x.exec(`INSERT INTO event (domain_id, id, user_id, type, actor, record_id, from_value,
		to_value, detail, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ID, id, c.UserID, e.Type, e.Actor, e.RecordID, e.From, e.To, e.Detail, ms(x.now))
	if err != nil || !x.s.c.SendEvents || !e.sent() {
		return wrap("insert event", err)
	}
	return x.enqueue(c, id, e)
}

// Events returns one page of a domain's history, the newest first, and the
// cursor of the next page. ErrNotFound as for Domain; ErrCursor.
func (s *Store) Events(ctx context.Context, t Tenant, name string, limit int, cursor string) ([]Event, string, error) {
	before := int64(math.MaxInt64)
	position, err := openCursor(cursorEvent, cursor)
	if err != nil {
		return nil, "", err
	}
	if position != "" {
		if before, err = strconv.ParseInt(position, 10, 64); err != nil {
			return nil, "", fmt.Errorf("store: open cursor: %w", ErrCursor)
		}
	}
	id, err := s.DomainID(ctx, t, name)
	if err != nil {
		return nil, "", err
	}
	limit = limited(limit)
	rows, err := s.read.query(ctx, `SELECT id, type, actor, record_id, from_value, to_value, detail, at
		FROM event WHERE domain_id = ? AND user_id = ? AND id < ? ORDER BY id DESC LIMIT ?`,
		id, t.UserID, before, limit+1)
	if err != nil {
		return nil, "", wrap("list events", err)
	}
	defer rows.Close()
	list := make([]Event, 0, limit)
	for rows.Next() {
		var e Event
		var when int64
		err := rows.Scan(&e.ID, &e.Type, &e.Actor, &e.RecordID, &e.From, &e.To, &e.Detail, &when)
		if err != nil {
			return nil, "", wrap("list events", err)
		}
		e.At = at(when)
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, "", wrap("list events", err)
	}
	if len(list) <= limit {
		return list, "", nil
	}
	list = list[:limit]
	return list, sealCursor(cursorEvent, strconv.FormatInt(list[limit-1].ID, 10)), nil
}
