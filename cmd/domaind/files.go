package main

import (
	"context"
	"fmt"
	"os"

	"github.com/domaind/domaind/store"
)

// backupCmd writes a consistent, checked copy of the database.
type backupCmd struct {
	File string `arg:"" help:"File to write; one of that name is replaced. Afterwards copy the directory spool beside the database too: large mail lies there."`

	storeFlags
}

func (c backupCmd) Run(ctx context.Context) error {
	if info, err := os.Stat(c.File); err == nil && info.IsDir() {
		return fmt.Errorf("back up to %s: it is a directory; name a file", c.File)
	}
	return c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		if err := db.Backup(ctx, c.File); err != nil {
			return fmt.Errorf("back up to %s: %w", c.File, err)
		}
		return nil
	})
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
