package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf8"
)

// DomainFilter narrows a list. Zero fields do not narrow.
type DomainFilter struct {
	OrganizationID string
	Status         DomainStatus
	Limit          int    // 1 to 100; 0 means 50
	Cursor         string // as the page before gave it; "" for the first
}

// Page sizes.
const (
	defaultLimit = 50
	maxLimit     = 100
)

func limited(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// Domains returns one page of the tenant's domains in the order of their
// names, and the cursor of the next page, "" when there is none. ErrCursor
// when the filter's cursor is none that Domains gave.
func (s *Store) Domains(ctx context.Context, t Tenant, f DomainFilter) ([]Domain, string, error) {
	after, err := openCursor(cursorDomain, f.Cursor)
	if err != nil {
		return nil, "", err
	}
	limit := limited(f.Limit)
	where, args := "", []any{t.UserID, after}
	// Spelt out, and only where it narrows, so that an index serves each.
	if t.OrganizationID+f.OrganizationID != "" {
		where = " AND organization_id <> ''" // its index has no others
	}
	for _, c := range []struct{ column, value string }{
		{"organization_id", t.OrganizationID}, {"organization_id", f.OrganizationID}, {"status", string(f.Status)},
	} {
		if c.value != "" {
			where += " AND " + c.column + " = ?"
			args = append(args, c.value)
		}
	}
	rows, err := s.read.query(ctx, `SELECT `+domainColumns+` FROM domain
		WHERE user_id = ? AND name > ? AND deleted_at = 0`+where+` ORDER BY name LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return nil, "", wrap("list domains", err)
	}
	defer rows.Close()
	list := make([]Domain, 0, limit)
	for rows.Next() {
		var d Domain
		var scan domainScan
		if err := rows.Scan(scan.dest(&d)...); err != nil {
			return nil, "", wrap("list domains", err)
		}
		scan.put(&d)
		list = append(list, d)
	}
	if err := rows.Err(); err != nil {
		return nil, "", wrap("list domains", err)
	}
	if len(list) <= limit {
		return list, "", nil
	}
	list = list[:limit]
	return list, sealCursor(cursorDomain, list[limit-1].Name), nil
}

// The lists that have cursors; a cursor of one is refused by another.
const (
	cursorDomain byte = 'd'
	cursorEvent  byte = 'e'
)

// sealCursor makes an opaque cursor: kind, position and checksum. The checksum
// tells a mangled cursor from a real one; nothing in it is secret or trusted.
func sealCursor(kind byte, position string) string {
	b := append([]byte{kind}, position...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

func openCursor(kind byte, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < 6 {
		return "", fmt.Errorf("store: open cursor: %w", ErrCursor)
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if body[0] != kind || !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 || sum != crc32.ChecksumIEEE(body) {
		return "", fmt.Errorf("store: open cursor: %w", ErrCursor)
	}
	return string(body[1:]), nil
}
