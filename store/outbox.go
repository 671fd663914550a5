package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// leaseEvent is how long a claimed event belongs to whoever claimed it: longer
// than a try may take.
const leaseEvent = 2 * time.Minute

// outboxFor is how long events wait where nothing sends them.
const outboxFor = 8 * 24 * time.Hour

// sent reports whether the operator is told of an event. What becomes of mail
// is none of it: there may be one for each message.
func (e Event) sent() bool {
	noun, _, _ := strings.Cut(e.Type, ".")
	return noun == "domain" || noun == "record" || noun == "dkim" || noun == "route"
}

// enqueue writes an event to the outbox too. An event behind another of its
// domain has no time of its own until that one is done.
func (x *tx) enqueue(c claim, id int64, e Event) error {
	_, err := x.exec(`INSERT INTO outbox (domain_id, event_id, user_id, organization_id, domain, type, actor,
		record_id, record_type, record_purpose, record_name, from_value, to_value, detail, at, next_at)
		SELECT d.id, ?, d.user_id, d.organization_id, d.name, ?, ?, ?, coalesce(r.type, ''), coalesce(r.purpose, ''),
		coalesce(r.name, ''), ?, ?, ?, ?, CASE WHEN EXISTS (SELECT 1 FROM outbox o WHERE o.domain_id = d.id) THEN 0
		ELSE CAST(? AS BIGINT) END
		FROM domain d LEFT JOIN record r ON r.domain_id = d.id AND r.id = ? WHERE d.id = ? AND d.user_id = ?`,
		id, e.Type, e.Actor, e.RecordID, e.From, e.To, e.Detail, ms(x.now), ms(x.now), e.RecordID, c.ID, c.UserID)
	return wrap("insert event into outbox", err)
}

// EventJob is a claimed event with all that a try needs.
type EventJob struct {
	Event
	DomainID       int64
	Domain         string
	UserID         string
	OrganizationID string // "" for none
	// What the record was at the time of the event; all "" when it is not about one.
	RecordType, RecordPurpose, RecordName string

	Tries int // used of the schedule
	Epoch int64
}

// WebhookID is the same on every try of an event, and of no other.
func (j EventJob) WebhookID() string {
	return "evt_" + strconv.FormatInt(j.DomainID, 36) + "_" + strconv.FormatInt(j.ID, 36)
}

// DueEvents claims at most n due events, the most overdue first and at most
// one of each domain: each stays claimed until it is finished, or for two
// minutes.
func (s *Store) DueEvents(ctx context.Context, n int) ([]EventJob, error) {
	var jobs []EventJob
	err := s.write(ctx, func(x *tx) (err error) {
		jobs, err = x.claimEvents(n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: claim events: %w", err)
	}
	return jobs, nil
}

func (x *tx) claimEvents(n int) ([]EventJob, error) {
	rows, err := x.query(context.Background(), `UPDATE outbox SET epoch = epoch + 1, next_at = ?
		WHERE (domain_id, event_id) IN (SELECT domain_id, event_id FROM outbox
			WHERE next_at > 0 AND next_at <= ? ORDER BY next_at LIMIT ? `+skipLockedHere+`)
		RETURNING domain_id, event_id, user_id, organization_id, domain, type, actor, record_id, record_type,
			record_purpose, record_name, from_value, to_value, detail, at, tries, epoch`,
		ms(x.now.Add(leaseEvent)), ms(x.now), n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []EventJob
	for rows.Next() {
		var j EventJob
		var when int64
		err := rows.Scan(&j.DomainID, &j.ID, &j.UserID, &j.OrganizationID, &j.Domain, &j.Type, &j.Actor, &j.RecordID,
			&j.RecordType, &j.RecordPurpose, &j.RecordName, &j.From, &j.To, &j.Detail, &when, &j.Tries, &j.Epoch)
		if err != nil {
			return nil, err
		}
		j.At = at(when)
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// FinishEvent removes a claimed event that was accepted or given up, and makes
// the next one of its domain due. ErrStale, and nothing is done, when it was
// claimed again since.
func (s *Store) FinishEvent(ctx context.Context, j EventJob) error {
	err := s.write(ctx, func(x *tx) error {
		n, err := x.exec(`DELETE FROM outbox WHERE domain_id = ? AND event_id = ? AND user_id = ? AND epoch = ?`,
			j.DomainID, j.ID, j.UserID, j.Epoch)
		if err != nil {
			return wrap("remove event from outbox", err)
		}
		if n == 0 {
			return ErrStale
		}
		_, err = x.exec(`UPDATE outbox SET next_at = ? WHERE domain_id = ? AND next_at = 0 AND event_id =
			(SELECT min(event_id) FROM outbox WHERE domain_id = ?)`, ms(x.now), j.DomainID, j.DomainID)
		return wrap("make next event due", err)
	})
	if err != nil {
		return fmt.Errorf("store: finish event: %w", err)
	}
	return nil
}

// RetryEvent makes a claimed event due again later. tries are those used of
// the schedule, all in all. ErrStale as for FinishEvent.
func (s *Store) RetryEvent(ctx context.Context, j EventJob, tries int, next time.Time) error {
	err := s.write(ctx, func(x *tx) error {
		n, err := x.exec(`UPDATE outbox SET tries = ?, next_at = ? WHERE domain_id = ? AND event_id = ? AND user_id = ?
			AND epoch = ?`, tries, ms(next), j.DomainID, j.ID, j.UserID, j.Epoch)
		if err == nil && n == 0 {
			err = ErrStale
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store: retry event: %w", err)
	}
	return nil
}

// NextEvent says when the next event is due; zero: none waits.
func (s *Store) NextEvent(ctx context.Context) (time.Time, error) {
	var next int64
	err := s.read.queryRow(ctx, `SELECT coalesce(min(next_at), 0) FROM outbox WHERE next_at > 0`).Scan(&next)
	return at(next), wrap("read next event", err)
}

// WakeEvents makes the first event of each domain due that has no time: where
// several processes write, one may have come just as the one before it was
// finished. It is meant to be called every few minutes.
func (s *Store) WakeEvents(ctx context.Context) error {
	err := s.write(ctx, func(x *tx) error {
		_, err := x.exec(`UPDATE outbox SET next_at = ? WHERE next_at = 0 AND NOT EXISTS (SELECT 1 FROM outbox o
			WHERE o.domain_id = outbox.domain_id AND o.event_id < outbox.event_id)`, ms(x.now))
		return err
	})
	return wrap("wake events", err)
}

// DropEvents removes the events from the outbox that have waited for 8 days,
// unsent, and returns how many they were. They stay in the history.
func (s *Store) DropEvents(ctx context.Context) (int, error) {
	var n int64
	err := s.write(ctx, func(x *tx) (err error) {
		n, err = x.exec(`DELETE FROM outbox WHERE at < ?`, ms(x.now.Add(-outboxFor)))
		return err
	})
	return int(n), wrap("drop events", err)
}
