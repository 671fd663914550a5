package store

import (
	"database/sql"
	"errors"
	"fmt"
	"syscall"

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
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case sqlite3.ErrFull:
		return fmt.Errorf("%w: sqlite code %d", ErrFull, int(e.ExtendedCode))
	case sqlite3.ErrIoErr:
		if errors.Is(e.SystemErrno, syscall.ENOSPC) || errors.Is(e.SystemErrno, syscall.EDQUOT) {
			return fmt.Errorf("%w: sqlite code %d", ErrFull, int(e.ExtendedCode))
		}
		return fmt.Errorf("%w: sqlite code %d", ErrUnavailable, int(e.ExtendedCode))
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrReadonly, sqlite3.ErrCantOpen,
		sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrNomem, sqlite3.ErrPerm, sqlite3.ErrInterrupt:
		return fmt.Errorf("%w: sqlite code %d", ErrUnavailable, int(e.ExtendedCode))
	default:
		return fmt.Errorf("sqlite code %d: %w", int(e.ExtendedCode), err)
	}
}

// lost reports whether an error may have ended the whole transaction, so that
// nothing else of its batch can be kept.
func lost(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable)
}
