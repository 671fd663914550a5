package store

import (
	"context"
	"fmt"
)

// SweepMail removes the deliveries whose time is over, the messages that no
// delivery needs any more, and their files. It is meant to be called every few
// minutes; it returns how many deliveries it removed.
func (s *Store) SweepMail(ctx context.Context) (int, error) {
	removed := 0
	for {
		n, err := s.sweepMail(ctx)
		removed += n
		if err != nil {
			return removed, err
		}
		if n < sweepBatch {
			return removed, nil
		}
	}
}

func (s *Store) sweepMail(ctx context.Context) (int, error) {
	var files, ids []string
	err := s.write(ctx, func(x *tx) (err error) {
		if ids, err = x.expired(); err != nil {
			return err
		}
		files, err = x.dropMessages(ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("store: sweep mail: %w", err)
	}
	return len(ids), s.dropSpooled(ctx, files)
}

// expired removes a batch of deliveries and returns the messages they were of.
func (x *tx) expired() ([]string, error) {
	rows, err := x.query(context.Background(), `DELETE FROM delivery WHERE id IN (SELECT id FROM delivery
		WHERE keep_until > 0 AND keep_until <= ? AND state <> 'queued' ORDER BY keep_until LIMIT ?
		`+skipLockedHere+`) RETURNING message_id`, ms(x.now), sweepBatch)
	if err != nil {
		return nil, wrap("remove expired deliveries", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, wrap("remove expired deliveries", err)
		}
		ids = append(ids, id)
	}
	return ids, wrap("remove expired deliveries", rows.Err())
}
