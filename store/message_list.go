package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// cursorMessage and cursorDelivery mark the cursors of these lists.
const (
	cursorMessage  byte = 'm'
	cursorDelivery byte = 'l'
)

// lastULID sorts behind every id.
const lastULID = "~"

// Messages returns one page of a domain's messages, the newest first, each
// with its deliveries, and the cursor of the next page. ErrNotFound as for
// Domain; ErrCursor.
func (s *Store) Messages(ctx context.Context, t Tenant, domain string, limit int, cursor string) ([]Message, string, error) {
	id, before, err := s.mailPage(ctx, t, domain, cursorMessage, cursor)
	if err != nil {
		return nil, "", err
	}
	limit = limited(limit)
	list, err := s.messagesBefore(ctx, id, t.UserID, before, limit+1)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(list) > limit {
		list = list[:limit]
		next = sealCursor(cursorMessage, list[limit-1].ID)
	}
	return list, next, s.addDeliveries(ctx, id, t.UserID, list)
}

// mailPage returns of which domain a page of its mail is, and the ULID that is
// greater than all on it.
func (s *Store) mailPage(ctx context.Context, t Tenant, domain string, kind byte, cursor string) (id int64, before string, err error) {
	if before, err = openCursor(kind, cursor); err != nil {
		return 0, "", err
	}
	if before == "" {
		before = lastULID
	}
	id, err = s.DomainID(ctx, t, domain)
	return id, before, err
}

func (s *Store) messagesBefore(ctx context.Context, domainID int64, userID, before string, limit int) ([]Message, error) {
	rows, err := s.read.query(ctx, `SELECT `+messageColumns+` FROM delivery d JOIN message m ON m.id = d.message_id
		WHERE d.domain_id = ? AND d.user_id = ? AND d.lead = 1 AND d.message_id < ?
		ORDER BY d.message_id DESC LIMIT ?`, domainID, userID, before, limit)
	if err != nil {
		return nil, wrap("list messages", err)
	}
	defer rows.Close()
	list := make([]Message, 0, limit)
	for rows.Next() {
		m, err := scanMessage(rows)
		if err != nil {
			return nil, wrap("list messages", err)
		}
		list = append(list, m)
	}
	return list, wrap("list messages", rows.Err())
}

// addDeliveries gives each message of a page its deliveries.
func (s *Store) addDeliveries(ctx context.Context, domainID int64, userID string, list []Message) error {
	if len(list) == 0 {
		return nil
	}
	byID := make(map[string]*Message, len(list))
	args := []any{domainID, userID}
	for i := range list {
		byID[list[i].ID] = &list[i]
		args = append(args, list[i].ID)
	}
	rows, err := s.read.query(ctx, `SELECT `+deliveryColumns+` FROM delivery d
		LEFT JOIN attempt a ON a.delivery_id = d.id AND a.n = d.attempts
		WHERE d.domain_id = ? AND d.user_id = ? AND d.message_id IN (`+marks(len(list))+`) ORDER BY d.id`, args...)
	if err != nil {
		return wrap("list deliveries of messages", err)
	}
	defer rows.Close()
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return wrap("list deliveries of messages", err)
		}
		m := byID[d.MessageID]
		m.Deliveries = append(m.Deliveries, d)
	}
	return wrap("list deliveries of messages", rows.Err())
}

func marks(n int) string { return strings.Repeat(", ?", n)[2:] }

// Message returns one message of a domain with its deliveries, or ErrNotFound.
func (s *Store) Message(ctx context.Context, t Tenant, domain, id string) (Message, error) {
	domainID, err := s.DomainID(ctx, t, domain)
	if err != nil {
		return Message{}, err
	}
	m, err := scanMessage(s.read.queryRow(ctx, `SELECT `+messageColumns+` FROM delivery d
		JOIN message m ON m.id = d.message_id
		WHERE d.domain_id = ? AND d.user_id = ? AND d.lead = 1 AND d.message_id = ?`, domainID, t.UserID, id))
	if err != nil {
		return Message{}, wrap("read message", err)
	}
	list := []Message{m}
	err = s.addDeliveries(ctx, domainID, t.UserID, list)
	return list[0], err
}

// MessageRaw opens the octets of a message as they were received, and says how
// many there are. ErrNotFound as for Message, ErrNoOctets. The caller closes the reader. An
// attachment is a part of it: parse.Attachment finds it by its index.
func (s *Store) MessageRaw(ctx context.Context, t Tenant, domain, id string) (io.ReadCloser, int64, error) {
	m, err := s.Message(ctx, t, domain, id)
	if err != nil {
		return nil, 0, err
	}
	r, err := s.RawOf(ctx, m.ID)
	return r, m.Bytes, err
}

// DeleteMessage removes a message of a domain, and with it the deliveries that
// still wait. ErrNotFound as for Message.
func (s *Store) DeleteMessage(ctx context.Context, t Tenant, domain, id string) error {
	var gone []string
	err := s.write(ctx, func(x *tx) error {
		c, err := x.claimByName(t, domain)
		if err != nil {
			return err
		}
		n, err := x.exec(`DELETE FROM delivery WHERE domain_id = ? AND user_id = ? AND message_id = ?
			AND message_id IN (SELECT message_id FROM delivery WHERE domain_id = ? AND user_id = ? AND lead = 1)`,
			c.ID, t.UserID, id, c.ID, t.UserID)
		if err != nil {
			return wrap("delete deliveries", err)
		}
		if n == 0 {
			return ErrNotFound
		}
		gone, err = x.dropMessages([]string{id})
		return err
	})
	if err != nil {
		return fmt.Errorf("store: delete message: %w", err)
	}
	return s.dropSpooled(ctx, gone)
}

// dropMessages removes those of the messages that no delivery needs any more,
// and returns the names of their spool files.
func (x *tx) dropMessages(ids []string) ([]string, error) {
	var files []string
	for _, id := range ids {
		if err := x.lockMessage(id); err != nil {
			return nil, err
		}
		var sum string
		var spooled bool
		err := x.queryRow(context.Background(), `DELETE FROM message WHERE id = ? AND NOT EXISTS (
			SELECT 1 FROM delivery d WHERE d.message_id = message.id) RETURNING sha256, raw IS NULL`, id).
			Scan(&sum, &spooled)
		switch err = wrap("delete message", err); {
		case errors.Is(err, ErrNotFound): // still needed, or gone with another delivery
		case err != nil:
			return nil, err
		case spooled:
			files = append(files, sum)
		}
	}
	return files, nil
}

func (s *Store) dropSpooled(ctx context.Context, sums []string) error {
	for _, sum := range sums {
		if _, err := s.removeSpooled(ctx, s.spool().path(sum)); err != nil {
			return err
		}
	}
	return nil
}
