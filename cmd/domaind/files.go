package main

import (
	"context"
	"fmt"

	"github.com/domaind/domaind/store"
)

// backupCmd writes a consistent, checked copy of the database.
type backupCmd struct {
	File string `arg:"" help:"File to write; it must not exist."`

	storeFlags
}

func (c backupCmd) Run(ctx context.Context) error {
	return c.storeFlags.use(ctx, func(db *store.Store) error { return db.Backup(ctx, c.File) })
}

// migrateCmd groups what an operator does with the schema.
type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the schema up; serve does it by itself."`
	Status migrateStatusCmd `cmd:"" help:"Show which migrations are applied."`
}

type migrateUpCmd struct{ storeFlags }

func (c migrateUpCmd) Run(ctx context.Context, s streams) error {
	if err := c.storeFlags.use(ctx, func(*store.Store) error { return nil }); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.out, "the schema is up to date")
	return err
}

type migrateStatusCmd struct {
	Database string `env:"DOMAIND_DATABASE" default:"domaind.db" help:"SQLite file."`
}

func (c migrateStatusCmd) Run(ctx context.Context, s streams) error {
	v, err := store.Schema(ctx, c.Database)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.out, "database schema %d, program schema %d\n", v.Database, v.Program); err != nil {
		return err
	}
	if v.Database != v.Program {
		return errNo
	}
	return nil
}
