package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/domaind/domaind/store"
)

// backupCmd writes a consistent, checked copy of the database and of the mail
// beside it.
type backupCmd struct {
	File string `arg:"" help:"File to write; one of that name is replaced. The directory FILE.spool beside it takes the large mail."`

	storeFlags
}

func (c backupCmd) Run(ctx context.Context, s streams) error {
	if info, err := os.Stat(c.File); err == nil && info.IsDir() {
		return fmt.Errorf("back up to %s: it is a directory; name a file", c.File)
	}
	return c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		b, err := db.Backup(ctx, c.File)
		if err != nil {
			return fmt.Errorf("back up to %s: %w", c.File, err)
		}
		return c.tell(s.out, b)
	})
}

// tell says what was written. A backup that lacks what nobody has deleted is an
// answer no, and yet the best one there is.
func (c backupCmd) tell(w io.Writer, b store.BackedUp) error {
	_, err := fmt.Fprintf(w, "wrote %s, and %s: %d files of large messages, %d octets\n", c.File, b.Spool, b.Files, b.Octets)
	if err == nil && b.Deleted > 0 {
		_, err = fmt.Fprintf(w, "%d more went with their messages, which were deleted meanwhile\n", b.Deleted)
	}
	if err == nil && b.Lost > 0 {
		return refusedError{fmt.Errorf("back up to %s: of %d files that messages name, the spool has none, or one that is damaged", c.File, b.Lost)}
	}
	return err
}

// migrateCmd groups what an operator does with the schema.
type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema up; serve does it by itself."`
	Status migrateStatusCmd `cmd:"" help:"Show which migrations are applied."`
}

// schemaFlags say which schema is meant.
type schemaFlags struct {
	Database string `env:"DOMAIND_DATABASE" default:"domaind.db" help:"SQLite file, or postgres://… URL."`
}

func (f schemaFlags) wrap(err error) error {
	return databaseError(f.Database, err)
}

type migrateUpCmd struct{ schemaFlags }

func (c migrateUpCmd) Run(ctx context.Context, s streams) error {
	v, err := store.Migrate(ctx, c.Database)
	if err != nil {
		return c.wrap(err)
	}
	if v.Backup != "" {
		if _, err := fmt.Fprintf(s.out, "backed up to %s\n", v.Backup); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.out, "database schema was %d, is %d\n", v.Database, v.Program)
	return err
}

type migrateStatusCmd struct{ schemaFlags }

func (c migrateStatusCmd) Run(ctx context.Context, s streams) error {
	v, err := store.Schema(ctx, c.Database)
	if err != nil {
		return c.wrap(err)
	}
	if _, err := fmt.Fprintf(s.out, "database schema %d, program schema %d\n", v.Database, v.Program); err != nil {
		return err
	}
	if v.Database != v.Program {
		return errNo
	}
	return nil
}
