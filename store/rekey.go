package store

import (
	"context"
	"errors"
	"fmt"
)

// rekeyBatch bounds what one transaction of a rekey seals again.
const rekeyBatch = 100

// Rekey seals every secret again under another master key, and returns how
// many it sealed. newKey has 32 octets; nil makes one, or goes on with a rekey
// that was interrupted. It may run while the service does: until it has ended,
// the master key file holds both keys.
func (s *Store) Rekey(ctx context.Context, newKey []byte) (int, error) {
	to, err := s.beginRekey(ctx, newKey)
	if err != nil {
		return 0, fmt.Errorf("store: begin rekey: %w", err)
	}
	if err := s.write(ctx, (*tx).dropExpiredSecrets); err != nil {
		return 0, fmt.Errorf("store: rekey: %w", err)
	}
	done := 0
	for _, kind := range sealedKinds() {
		n, err := s.reseal(ctx, kind, to)
		done += n
		if err != nil {
			return done, fmt.Errorf("store: rekey: %w", err)
		}
	}
	if err := s.endRekey(ctx, to); err != nil {
		return done, fmt.Errorf("store: end rekey: %w", err)
	}
	return done, nil
}

// beginRekey makes the target the key that seals: first in the file, so that
// every process can find it, then in the database.
func (s *Store) beginRekey(ctx context.Context, newKey []byte) (masterKey, error) {
	canaries, err := s.canaries(ctx)
	if err != nil {
		return masterKey{}, err
	}
	if newKey == nil && len(canaries) > 1 {
		var id string
		err := s.read.queryRow(ctx, `SELECT id FROM master_key WHERE current = 1`).Scan(&id)
		if err != nil {
			return masterKey{}, wrap("read master key", err)
		}
		return s.ring.find(id)
	}
	if newKey == nil {
		newKey = generateMasterKey()
	}
	to, err := newMasterKey(newKey)
	if err != nil {
		return masterKey{}, err
	}
	keys, err := readKeyFile(s.ring.file)
	if err != nil {
		return masterKey{}, err
	}
	list := []masterKey{to}
	for _, k := range keys {
		if k.id != to.id {
			list = append(list, k)
		}
	}
	if err := replaceKeyFile(s.ring.file, list...); err != nil {
		return masterKey{}, err
	}
	if err := s.ring.load(); err != nil {
		return masterKey{}, err
	}
	return to, s.write(ctx, func(x *tx) error { return x.insertCanary(to) })
}

// sealedKind is one place where sealed values stand.
type sealedKind struct {
	next    string // the rows not sealed by a given header, at most n
	update  string
	binding func(id int64, selector string) string
}

func sealedKinds() []sealedKind {
	return []sealedKind{
		{
			next: `SELECT domain_id, selector, sealed FROM dkim_key
				WHERE (domain_id > ? OR domain_id = ? AND selector > ?) AND substr(sealed, 1, ?) <> ?
				ORDER BY domain_id, selector LIMIT ?`,
			update:  `UPDATE dkim_key SET sealed = ? WHERE domain_id = ? AND selector = ?`,
			binding: keyBinding,
		},
		routeSecrets("route_secret"),
		routeSecrets("route_secret_prev"),
	}
}

// routeSecrets are the sealed values in one column of the domains.
func routeSecrets(column string) sealedKind {
	return sealedKind{
		next: `SELECT id, '', ` + column + ` FROM domain
			WHERE (id > ? OR id = ? AND '' > ?) AND ` + column + ` IS NOT NULL AND substr(` + column + `, 1, ?) <> ?
			ORDER BY id LIMIT ?`,
		update:  `UPDATE domain SET ` + column + ` = ? WHERE id = ? AND '' = ?`,
		binding: func(id int64, _ string) string { return routeBinding(id) },
	}
}

// sealedRow is one sealed value with the key of its row.
type sealedRow struct {
	id       int64
	selector string
	sealed   []byte
}

func (s *Store) reseal(ctx context.Context, kind sealedKind, to masterKey) (int, error) {
	done := 0
	var last sealedRow
	for {
		var rows []sealedRow
		err := s.write(ctx, func(x *tx) (err error) {
			if rows, err = x.sealedRows(kind, last, to); err != nil {
				return err
			}
			for _, r := range rows {
				if err := x.resealRow(kind, r, to); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return done, err
		}
		done += len(rows)
		if len(rows) < rekeyBatch {
			return done, nil
		}
		last = rows[len(rows)-1]
	}
}

func (x *tx) sealedRows(kind sealedKind, after sealedRow, to masterKey) ([]sealedRow, error) {
	rows, err := x.query(context.Background(), kind.next,
		after.id, after.id, after.selector, sealHeader, to.header(), rekeyBatch)
	if err != nil {
		return nil, wrap("read sealed values", err)
	}
	defer rows.Close()
	var list []sealedRow
	for rows.Next() {
		var r sealedRow
		if err := rows.Scan(&r.id, &r.selector, &r.sealed); err != nil {
			return nil, wrap("read sealed values", err)
		}
		list = append(list, r)
	}
	return list, wrap("read sealed values", rows.Err())
}

func (x *tx) resealRow(kind sealedKind, r sealedRow, to masterKey) error {
	binding := kind.binding(r.id, r.selector)
	plain, err := x.s.ring.open(binding, r.sealed)
	if err != nil {
		return err
	}
	_, err = x.exec(kind.update, to.seal(binding, plain), r.id, r.selector)
	return wrap("write sealed value", err)
}

// endRekey forgets the old keys, once nothing is left that they sealed: first
// in the database, then in the file.
func (s *Store) endRekey(ctx context.Context, to masterKey) error {
	err := s.write(ctx, func(x *tx) error {
		for _, kind := range sealedKinds() {
			left, err := x.sealedRows(kind, sealedRow{}, to)
			if err != nil {
				return err
			}
			if len(left) > 0 {
				return errors.New("store: values are left that another key sealed: run it again")
			}
		}
		_, err := x.exec(`DELETE FROM master_key WHERE id <> ?`, to.id)
		return wrap("remove canary", err)
	})
	if err != nil {
		return err
	}
	if err := replaceKeyFile(s.ring.file, to); err != nil {
		return err
	}
	return s.ring.load()
}
