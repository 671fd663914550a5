package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Returned is whose mail came back: the recipient that a delivery was for, and
// the sender it was from.
type Returned struct {
	Recipient Recipient
	State     DeliveryState
	MailFrom  string
	Auth      *Auth // nil when the sender was never judged
}

// Returned finds the delivery that a return path stands for. ErrNotFound when
// it has been removed.
func (s *Store) Returned(ctx context.Context, deliveryID string) (Returned, error) {
	var r Returned
	var auth string
	err := s.read.queryRow(ctx, `SELECT d.domain, d.domain_id, d.user_id, d.rcpt_to, d.state, m.mail_from, m.auth
		FROM delivery d JOIN message m ON m.id = d.message_id WHERE d.id = ?`, deliveryID).
		Scan(&r.Recipient.Domain, &r.Recipient.DomainID, &r.Recipient.UserID, &r.Recipient.Address, &r.State,
			&r.MailFrom, &auth)
	if err != nil {
		return Returned{}, wrap("read returned delivery", err)
	}
	if auth != "" {
		r.Auth = new(Auth)
		err = json.Unmarshal([]byte(auth), r.Auth)
	}
	return r, wrap("read returned delivery", err)
}

// failedFor is how long mail that could not be delivered is kept.
const failedFor = 30 * 24 * time.Hour

// MarkReturned fails a delivery that the next hop had taken. One that is not
// delivered stays as it is.
func (s *Store) MarkReturned(ctx context.Context, deliveryID string, a Attempt) error {
	err := s.write(ctx, func(x *tx) error {
		j := DeliveryJob{Delivery: Delivery{ID: deliveryID}}
		err := x.queryRow(ctx, `SELECT epoch, user_id, domain_id, mode, tries, rcpt_to FROM delivery
			WHERE id = ? AND state = 'delivered'`, deliveryID).
			Scan(&j.Epoch, &j.UserID, &j.DomainID, &j.Mode, &j.Tries, &j.RcptTo)
		if err = wrap("read delivery", err); errors.Is(err, ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		return x.finish(j, Outcome{
			State: DeliveryStateFailed, Mode: j.Mode, Tries: j.Tries, Attempt: &a,
			KeepUntil: x.now.Add(failedFor),
			Event:     Event{Type: EventDeliveryFailed, To: string(DeliveryStateFailed), Detail: a.Error},
		})
	})
	if err != nil {
		return fmt.Errorf("store: mark returned delivery: %w", err)
	}
	return nil
}
