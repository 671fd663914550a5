package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jmoiron/sqlx"
)

// copySQLite is a copy of a database that may be in use.
func copySQLite(ctx context.Context, database, file string) error {
	dir, err := os.MkdirTemp(filepath.Dir(file), ".backup-*") // 0700
	if err != nil {
		return fmt.Errorf("store: create backup: %w", err)
	}
	temp := filepath.Join(dir, "copy.db")
	err = copyTo(ctx, database, temp)
	if err == nil {
		err = nameCopy(temp, file)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// copyTo writes a copy of a database, checked and on disk.
func copyTo(ctx context.Context, database, temp string) error {
	// A connection of its own: the pool may not write, not even a copy.
	db, err := openSQLite(writerDSN(database), 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, temp)
	if err := errors.Join(wrap("copy database", err), db.Close()); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o600); err != nil {
		return fmt.Errorf("store: protect backup: %w", err)
	}
	if err := unpair(ctx, temp); err != nil {
		return err
	}
	if err := checkCopy(ctx, temp); err != nil {
		return err
	}
	return syncFile(temp)
}

// nameCopy puts a copy in the place of what is there.
func nameCopy(temp, file string) error {
	if err := os.Rename(temp, file); err != nil {
		return fmt.Errorf("store: name backup: %w", err)
	}
	return syncParent(file)
}

// checkCopy reads the whole copy.
func checkCopy(ctx context.Context, file string) error {
	db, err := openSQLite(readerDSN(file), 1)
	if err != nil {
		return err
	}
	return errors.Join(integrity(ctx, db), db.Close())
}

func integrity(ctx context.Context, db *sqlx.DB) error {
	var found string
	if err := db.GetContext(ctx, &found, `PRAGMA integrity_check(1)`); err != nil {
		return wrap("check backup", err)
	}
	if found != "ok" {
		return fmt.Errorf("store: check backup: %s", found)
	}
	var broken int
	err := db.GetContext(ctx, &broken, `SELECT count(*) FROM pragma_foreign_key_check`)
	if err != nil {
		return wrap("check backup", err)
	}
	if broken > 0 {
		return fmt.Errorf("store: check backup: %d rows without their parent", broken)
	}
	return nil
}

// sameFile reports whether two names are of one file that is there.
func sameFile(a, b string) bool {
	one, err1 := os.Stat(a)
	two, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(one, two)
}

func syncFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("store: sync backup: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: sync backup: %w", err)
	}
	return nil
}
