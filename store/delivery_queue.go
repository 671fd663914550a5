package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How long a claimed delivery belongs to whoever claimed it: longer than a try
// may take, so that it is never tried twice at a time.
const (
	leaseDelivery = 2 * time.Minute
	leaseForward  = 11 * time.Minute
)

// maxAttempts is how many attempts of a delivery are kept, the last ones: an
// endpoint that asks for patience each second would fill the disk.
const maxAttempts = 200

// DeliveryJob is a claimed delivery with all that a try needs.
type DeliveryJob struct {
	Delivery
	DomainID int64
	UserID   string
	Target   string // a fixed address to send to; "" means that of the route
	Since    time.Time
	Thin     bool // the endpoint found the whole payload too large
	Forced   bool // a person asked for it again
	Epoch    int64
	DueAt    time.Time
	Message  Message
}

// DueDeliveries claims at most n due deliveries, the most overdue first: each
// stays claimed until it is finished, or for two minutes, or eleven where it
// is forwarded.
func (s *Store) DueDeliveries(ctx context.Context, n int) ([]DeliveryJob, error) {
	var jobs []DeliveryJob
	err := s.write(ctx, func(x *tx) (err error) {
		jobs, err = x.claimDeliveries(n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: claim deliveries: %w", err)
	}
	for i := range jobs {
		m, err := scanMessage(s.read.queryRow(ctx, `SELECT `+messageColumns+` FROM message m WHERE m.id = ?`,
			jobs[i].MessageID))
		if err != nil {
			return nil, wrap("read message of delivery", err)
		}
		jobs[i].Message = m
	}
	return jobs, nil
}

func (x *tx) claimDeliveries(n int) ([]DeliveryJob, error) {
	rows, err := x.query(context.Background(), `UPDATE delivery SET epoch = epoch + 1,
		next_at = CASE WHEN mode = 'forward_email' THEN CAST(? AS BIGINT) ELSE CAST(? AS BIGINT) END
		WHERE id IN (SELECT id FROM delivery WHERE next_at > 0 AND next_at <= ? ORDER BY next_at LIMIT ?
			`+skipLockedHere+`)
		RETURNING id, message_id, domain, rcpt_to, mode, state, tries, created_at, keep_until, domain_id, user_id,
			target, since, thin, forced, epoch`,
		ms(x.now.Add(leaseForward)), ms(x.now.Add(leaseDelivery)), ms(x.now), n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []DeliveryJob
	for rows.Next() {
		var j DeliveryJob
		var created, keep, since int64
		err := rows.Scan(&j.ID, &j.MessageID, &j.Domain, &j.RcptTo, &j.Mode, &j.State, &j.Tries, &created, &keep,
			&j.DomainID, &j.UserID, &j.Target, &since, &j.Thin, &j.Forced, &j.Epoch)
		if err != nil {
			return nil, err
		}
		j.CreatedAt, j.KeepUntil, j.Since = at(created), at(keep), at(since)
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b DeliveryJob) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return jobs, rows.Err()
}

// Outcome is what becomes of a claimed delivery.
type Outcome struct {
	State DeliveryState
	Hold  string
	// Mode is that of the route which was obeyed.
	Mode ForwardMode
	// NextAt is when it is due again; zero: never.
	NextAt time.Time
	// Tries are those used of the schedule, all in all.
	Tries int
	Thin  bool
	// KeepUntil is when it is removed with its message; zero: not yet known.
	KeepUntil time.Time
	// Attempt is the try; nil when none was made.
	Attempt *Attempt
	// Gone is the version of the route whose endpoint answered 410, else 0.
	Gone int64
	// Event, where it has a type, goes to the history of the domain.
	Event Event
	// Notice is a notification to send, with its octets.
	Notice *NewMessage
	Raw    []byte
}

// FinishDelivery writes what became of a claimed delivery, in one transaction.
// ErrStale, and nothing is written, when it was claimed again, retried, held
// or deleted since.
func (s *Store) FinishDelivery(ctx context.Context, j DeliveryJob, o Outcome) error {
	var body *Body
	if o.Notice != nil {
		body = s.NewBody()
		defer func() { _ = body.Close() }()
		if _, err := body.Write(o.Raw); err != nil {
			return err
		}
		if body.Spooled() {
			return errors.New("store: finish delivery: a notice is larger than 64 KB")
		}
	}
	err := s.write(ctx, func(x *tx) error {
		if err := x.finish(j, o); err != nil {
			return err
		}
		if o.Notice != nil {
			m := *o.Notice
			m.ID = newULID(x.now)
			return x.addMessage(m, body.Sum(), body.n, body.buf)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: finish delivery: %w", err)
	}
	return nil
}

func (x *tx) finish(j DeliveryJob, o Outcome) error {
	done, tried := int64(0), 0
	if o.State != DeliveryStateQueued {
		done = ms(x.now)
	}
	if o.Attempt != nil {
		tried = 1
	}
	n, err := x.exec(`UPDATE delivery SET state = ?, hold = ?, mode = ?, next_at = ?, tries = ?, attempts = attempts + ?,
		thin = ?, done_at = ?, keep_until = ? WHERE id = ? AND epoch = ? AND user_id = ?`,
		o.State, o.Hold, o.Mode, ms(o.NextAt), o.Tries, tried, o.Thin, done, ms(o.KeepUntil), j.ID, j.Epoch, j.UserID)
	if err != nil {
		return wrap("write delivery", err)
	}
	if n == 0 {
		return ErrStale
	}
	if a := o.Attempt; a != nil {
		_, err := x.exec(`INSERT INTO attempt (delivery_id, n, at, ms, status, error, answer)
			SELECT id, attempts, ?, ?, ?, ?, ? FROM delivery WHERE id = ?`,
			ms(a.At), a.Took.Milliseconds(), a.Status, a.Error, a.Answer, j.ID)
		if err != nil {
			return wrap("insert attempt", err)
		}
		_, err = x.exec(`DELETE FROM attempt WHERE delivery_id = ?
			AND n <= (SELECT attempts FROM delivery WHERE id = ?) - ?`, j.ID, j.ID, maxAttempts)
		if err != nil {
			return wrap("drop old attempts", err)
		}
	}
	if o.Gone != 0 {
		if _, err := x.exec(`UPDATE domain SET route_gone_version = ? WHERE id = ? AND user_id = ?
			AND route_version = ?`, o.Gone, j.DomainID, j.UserID, o.Gone); err != nil {
			return wrap("disable endpoint", err)
		}
	}
	return x.mailEvent(j.DomainID, j.UserID, o.Event)
}

// mailEvent writes an event, unless the claim was purged in the meantime.
func (x *tx) mailEvent(domainID int64, userID string, e Event) error {
	if e.Type == "" {
		return nil
	}
	c := claim{Domain: Domain{ID: domainID, UserID: userID}}
	var one int
	err := x.queryRow(context.Background(), `SELECT 1 FROM domain WHERE id = ? AND user_id = ?`, c.ID, c.UserID).Scan(&one)
	if err = wrap("read domain", err); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	return x.event(c, e)
}

// NextDelivery says when the next delivery is due; zero: none waits.
func (s *Store) NextDelivery(ctx context.Context) (time.Time, error) {
	var next int64
	err := s.read.queryRow(ctx, `SELECT coalesce(min(next_at), 0) FROM delivery WHERE next_at > 0`).Scan(&next)
	return at(next), wrap("read next delivery", err)
}

// Backlog returns how many deliveries of a domain wait, counting to limit only.
func (s *Store) Backlog(ctx context.Context, domainID int64, limit int) (int, error) {
	var n int
	err := s.read.queryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM delivery
		WHERE domain_id = ? AND state = 'queued' LIMIT ?) AS d`, domainID, limit).Scan(&n)
	return n, wrap("count backlog", err)
}

// QueueDepth returns how many deliveries wait to be made, and when the oldest
// of them was accepted; zero: none waits.
func (s *Store) QueueDepth(ctx context.Context) (int, time.Time, error) {
	var n int
	var oldest int64
	err := s.read.queryRow(ctx, `SELECT count(*), coalesce(min(created_at), 0) FROM delivery
		WHERE next_at > 0 AND state = 'queued'`).Scan(&n, &oldest)
	return n, at(oldest), wrap("read queue depth", err)
}
