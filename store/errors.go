package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// wrap says what failed, in the sentinels of this package: sql.ErrNoRows is
// ErrNotFound, and a driver error is told by its code, never by its text.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: %s: %w", doing, mapErr(err))
}

func mapErr(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if errors.Is(err, sql.ErrConnDone) {
		return ErrUnavailable
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return mapPostgres(pg)
	}
	if disconnected(err) {
		// A driver's text may have a line for each address.
		return fmt.Errorf("%w: %s", ErrUnavailable, strings.Join(strings.Fields(err.Error()), " "))
	}
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	sentinel := sqliteSentinel(e)
	if sentinel == nil {
		return fmt.Errorf("sqlite code %d: %w", int(e.ExtendedCode), err)
	}
	// The words of the code, not those of the error: they are always the same.
	text := e.Code.Error()
	if e.SystemErrno != 0 {
		text += ": " + e.SystemErrno.Error()
	}
	return fmt.Errorf("%w: %s (sqlite code %d)", sentinel, text, int(e.ExtendedCode))
}

// sqliteSentinel tells an error by its code, nil for one that should not be.
func sqliteSentinel(e sqlite3.Error) error {
	switch e.Code {
	case sqlite3.ErrFull:
		return ErrFull
	case sqlite3.ErrReadonly:
		return ErrReadOnly
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return ErrDamaged
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen:
		switch {
		case errors.Is(e.SystemErrno, syscall.ENOSPC), errors.Is(e.SystemErrno, syscall.EDQUOT):
			return ErrFull
		case errors.Is(e.SystemErrno, syscall.EROFS):
			return ErrReadOnly
		}
		return ErrUnavailable
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrNomem, sqlite3.ErrPerm, sqlite3.ErrInterrupt:
		return ErrUnavailable
	default:
		return nil
	}
}

// errConflict: another transaction was in the way; the same work may succeed
// when it is done again.
var errConflict = fmt.Errorf("%w: conflicting transactions", ErrUnavailable)

// meaning is what the codes say that a wrong setting makes.
var meaning = map[string]string{
	"28P01": ": wrong password", "28000": ": login refused", "3D000": ": no such database",
	"42501": ": no permission", "53300": ": too many connections", "57P03": ": starting up or shutting down",
}

// mapPostgres tells an error of the server by its SQLSTATE (PostgreSQL manual,
// appendix A).
func mapPostgres(e *pgconn.PgError) error {
	sentinel := error(nil)
	switch e.Code {
	case "53100": // disk_full
		sentinel = ErrFull
	case "40001", "40P01", "55P03", // serialization_failure, deadlock_detected, lock_not_available
		"23505", "23503", // a row of another transaction came or went in between
		"0A000", "25P03": // the schema changed under a statement; the session idled too long
		sentinel = errConflict
	case "25006": // read_only_sql_transaction
		sentinel = ErrReadOnly
	case "57014", "3D000", "42501": // query_canceled, invalid_catalog_name, insufficient_privilege
		sentinel = ErrUnavailable
	default:
		switch e.Code[:min(2, len(e.Code))] {
		case "08", "28", "53", "57", "58", "XX": // connection, login, resources, operator, system, corruption
			sentinel = ErrUnavailable
		}
	}
	if sentinel == nil {
		return fmt.Errorf("SQLSTATE %s: %w", e.Code, e)
	}
	// The text may hold values of the row: only the code is passed on.
	return fmt.Errorf("%w: SQLSTATE %s%s", sentinel, e.Code, meaning[e.Code])
}

// disconnected reports whether the server could not be reached, did not answer
// in time, or the connection to it broke.
func disconnected(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &connect) || errors.As(err, &network) ||
		pgconn.SafeToRetry(err)
}

// lost reports whether an error may have ended the whole transaction, so that
// nothing else of its batch can be kept.
func lost(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable)
}
