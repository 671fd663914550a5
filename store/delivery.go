package store

import (
	"context"
	"fmt"
	"time"
)

// DeliveryState is where a delivery stands.
type DeliveryState string

// The six states; frozen.
const (
	DeliveryStateQueued    DeliveryState = "queued"
	DeliveryStateDelivered DeliveryState = "delivered" // the endpoint or the next hop took it
	DeliveryStateStored    DeliveryState = "stored"    // readable here, and nothing else was asked for
	DeliveryStateHeld      DeliveryState = "held"      // waits for a person, Hold says why
	DeliveryStateDead      DeliveryState = "dead"      // the webhook was tried for 7 days
	DeliveryStateFailed    DeliveryState = "failed"    // the next hop refused it, or was tried for 5 days
)

// Why a delivery is held.
const (
	HoldDomainDeleted   = "domain_deleted"     // released when the same user takes the name back
	HoldEndpointGone    = "endpoint_gone"      // the endpoint said 410; released by an edited route
	HoldNoEndpoint      = "no_endpoint"        // the route has no address; released by an edited route
	HoldLoop            = "loop"               // it was forwarded here already
	HoldUnauthenticated = "unauthenticated"    // neither SPF nor DKIM passed
	HoldDMARCWouldBreak = "dmarc_would_break"  // forwarding would break the only aligned pass
	HoldForwardingOff   = "forwarding_off"     // the operator has no relay
	HoldUnsupported     = "target_unsupported" // the route's address cannot be used
)

// Delivery is one recipient's mail on its way.
type Delivery struct {
	ID        string // a ULID; also the webhook-id of every try
	MessageID string
	Domain    string
	RcptTo    string
	Mode      ForwardMode
	State     DeliveryState
	Hold      string    // why it is held
	Tries     int       // used of the schedule
	NextAt    time.Time // zero: nothing is due
	CreatedAt time.Time
	DoneAt    time.Time // zero: not yet
	KeepUntil time.Time // zero: not known yet
	Last      *Attempt  // nil: none yet
}

// Attempt is one try.
type Attempt struct {
	N      int // from 1 within its delivery
	At     time.Time
	Took   time.Duration
	Status int    // of HTTP or SMTP; 0: there was no answer
	Error  string // "" for a success
	Answer string // the first octets of the answer, printable
}

const deliveryColumns = `d.id, d.message_id, d.domain, d.rcpt_to, d.mode, d.state, d.hold, d.tries, d.next_at,
	d.created_at, d.done_at, d.keep_until, a.n, a.at, a.ms, a.status, a.error, a.answer`

func scanDelivery(row scanner) (Delivery, error) {
	var d Delivery
	var next, created, done, keep int64
	var n, when, took, status *int64
	var failure, answer *string
	err := row.Scan(&d.ID, &d.MessageID, &d.Domain, &d.RcptTo, &d.Mode, &d.State, &d.Hold, &d.Tries, &next,
		&created, &done, &keep, &n, &when, &took, &status, &failure, &answer)
	if err != nil {
		return Delivery{}, err
	}
	d.NextAt, d.CreatedAt, d.DoneAt, d.KeepUntil = at(next), at(created), at(done), at(keep)
	if d.State != DeliveryStateQueued {
		d.NextAt = time.Time{} // what is due then is of no concern to its owner
	}
	if n != nil {
		d.Last = &Attempt{
			N: int(*n), At: at(*when), Took: time.Duration(*took) * time.Millisecond,
			Status: int(*status), Error: *failure, Answer: *answer,
		}
	}
	return d, nil
}

// DeliveryFilter narrows a list. Zero fields do not narrow.
type DeliveryFilter struct {
	State  DeliveryState
	Limit  int    // 1 to 100; 0 means 50
	Cursor string // as the page before gave it; "" for the first
}

// Deliveries returns one page of a domain's deliveries, the newest first, each
// with its last attempt, and the cursor of the next page. ErrNotFound as for
// Domain; ErrCursor.
func (s *Store) Deliveries(ctx context.Context, t Tenant, domain string, f DeliveryFilter) ([]Delivery, string, error) {
	id, before, err := s.mailPage(ctx, t, domain, cursorDelivery, f.Cursor)
	if err != nil {
		return nil, "", err
	}
	limit := limited(f.Limit)
	rows, err := s.read.query(ctx, `SELECT `+deliveryColumns+` FROM delivery d
		LEFT JOIN attempt a ON a.delivery_id = d.id AND a.n = d.attempts
		JOIN message m ON m.id = d.message_id
		WHERE d.domain_id = ? AND d.user_id = ? AND d.id < ? AND (? = '' OR d.state = ?) AND m.kind = 'mail'
		ORDER BY d.id DESC LIMIT ?`, id, t.UserID, before, f.State, f.State, limit+1)
	if err != nil {
		return nil, "", wrap("list deliveries", err)
	}
	defer rows.Close()
	list := make([]Delivery, 0, limit)
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, "", wrap("list deliveries", err)
		}
		list = append(list, d)
	}
	if err := rows.Err(); err != nil {
		return nil, "", wrap("list deliveries", err)
	}
	if len(list) <= limit {
		return list, "", nil
	}
	list = list[:limit]
	return list, sealCursor(cursorDelivery, list[limit-1].ID), nil
}

// Attempts returns all tries of a delivery, the first one first. ErrNotFound
// as for Domain; a delivery that there is not has none.
func (s *Store) Attempts(ctx context.Context, t Tenant, domain, id string) ([]Attempt, error) {
	domainID, err := s.DomainID(ctx, t, domain)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.query(ctx, `SELECT a.n, a.at, a.ms, a.status, a.error, a.answer
		FROM delivery d JOIN attempt a ON a.delivery_id = d.id
		WHERE d.id = ? AND d.domain_id = ? AND d.user_id = ? ORDER BY a.n`, id, domainID, t.UserID)
	if err != nil {
		return nil, wrap("list attempts", err)
	}
	defer rows.Close()
	var list []Attempt
	for rows.Next() {
		var a Attempt
		var when, took int64
		if err := rows.Scan(&a.N, &when, &took, &a.Status, &a.Error, &a.Answer); err != nil {
			return nil, wrap("list attempts", err)
		}
		a.At, a.Took = at(when), time.Duration(took)*time.Millisecond
		list = append(list, a)
	}
	return list, wrap("list attempts", rows.Err())
}

// requeue makes deliveries due now, with a schedule that starts afresh and by
// the route as it is then. What a person asked for again passes the gates that
// held it, but for a loop.
const requeue = `UPDATE delivery SET state = 'queued', hold = '', next_at = ?, since = ?, tries = 0, thin = 0,
	forced = 1, done_at = 0, keep_until = 0, epoch = epoch + 1`

// RetryDelivery makes a delivery of any state due now and returns it. A replay
// keeps its id. ErrNotFound as for Domain, and when the domain has no such
// delivery.
func (s *Store) RetryDelivery(ctx context.Context, t Tenant, domain, id string) (Delivery, error) {
	var out Delivery
	err := s.write(ctx, func(x *tx) error {
		c, err := x.claimByName(t, domain)
		if err != nil {
			return err
		}
		n, err := x.exec(requeue+` WHERE id = ? AND domain_id = ? AND user_id = ?
			AND message_id IN (SELECT id FROM message WHERE kind = 'mail')`,
			ms(x.now), ms(x.now), id, c.ID, t.UserID)
		if err != nil {
			return wrap("requeue delivery", err)
		}
		if n == 0 {
			return ErrNotFound
		}
		out, err = scanDelivery(x.queryRow(ctx, `SELECT `+deliveryColumns+` FROM delivery d
			LEFT JOIN attempt a ON a.delivery_id = d.id AND a.n = d.attempts
			WHERE d.id = ? AND d.user_id = ?`, id, t.UserID))
		return wrap("read delivery", err)
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("store: retry delivery: %w", err)
	}
	return out, nil
}

// DeliveryRange names the deliveries of a domain to retry. A zero time is no
// bound.
type DeliveryRange struct {
	// States are among dead, failed, held, delivered and stored; none means
	// dead, failed and held.
	States      []DeliveryState
	From, Until time.Time // of their creation: from From on, before Until
}

// retryBatch bounds what one transaction of a range requeues.
const retryBatch = 500

// RetryDeliveries makes the deliveries of a range due now, the oldest first,
// and returns how many they were. ErrNotFound as for Domain.
func (s *Store) RetryDeliveries(ctx context.Context, t Tenant, domain string, r DeliveryRange) (int, error) {
	if len(r.States) == 0 {
		r.States = []DeliveryState{DeliveryStateDead, DeliveryStateFailed, DeliveryStateHeld}
	}
	until := ms(r.Until)
	if until == 0 {
		until = ms(s.now()) + 1
	}
	total := 0
	for _, state := range r.States {
		for {
			n, err := s.retryBatch(ctx, t, domain, state, [2]int64{ms(r.From), until})
			total += n
			if err != nil {
				return total, err
			}
			if n < retryBatch {
				break
			}
		}
	}
	return total, nil
}

func (s *Store) retryBatch(ctx context.Context, t Tenant, domain string, state DeliveryState, span [2]int64) (int, error) {
	var n int64
	err := s.write(ctx, func(x *tx) error {
		c, err := x.claimByName(t, domain)
		if err != nil || state == DeliveryStateQueued {
			return err
		}
		n, err = x.exec(requeue+` WHERE id IN (SELECT d.id FROM delivery d JOIN message m ON m.id = d.message_id
			WHERE d.domain_id = ? AND d.user_id = ? AND d.state = ? AND d.created_at >= ? AND d.created_at < ?
			AND m.kind = 'mail' ORDER BY d.id LIMIT ?)`,
			ms(x.now), ms(x.now), c.ID, t.UserID, state, span[0], span[1], retryBatch)
		return wrap("requeue deliveries", err)
	})
	if err != nil {
		return 0, fmt.Errorf("store: retry deliveries: %w", err)
	}
	return int(n), nil
}
