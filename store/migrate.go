package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// ErrSchema: the database was written by a newer version than this one.
var ErrSchema = errors.New("database schema is newer than this program")

// SchemaVersion says which schema a database has and which one this program
// wants.
type SchemaVersion struct {
	Database, Program int64
}

// migrate brings the schema up to date, and refuses one from the future.
func migrate(ctx context.Context, db *sqlx.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return wrap("read schema version", err)
	}
	if have > want {
		return fmt.Errorf("store: schema %d, this program knows %d: %w", have, want, ErrSchema)
	}
	if have == want {
		return nil
	}
	_, err = p.Up(ctx)
	return wrap("migrate", err)
}

func provider(db *sqlx.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return nil, wrap("read migrations", err)
	}
	p, err := goose.NewProvider(goose.Dialect(sqliteDialect().goose), db.DB, files,
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, wrap("prepare migrations", err)
	}
	return p, nil
}

// Schema returns the version of a database's schema without changing it.
func Schema(ctx context.Context, database string) (SchemaVersion, error) {
	db, err := openSQLite(readerDSN(database), 1)
	if err != nil {
		return SchemaVersion{}, err
	}
	v, err := schema(ctx, db)
	return v, errors.Join(err, wrap("close database", db.Close()))
}

func schema(ctx context.Context, db *sqlx.DB) (SchemaVersion, error) {
	p, err := provider(db)
	if err != nil {
		return SchemaVersion{}, err
	}
	var v SchemaVersion
	for _, s := range p.ListSources() {
		v.Program = max(v.Program, s.Version)
	}
	var tables int
	err = db.GetContext(ctx, &tables, `SELECT count(*) FROM sqlite_master WHERE name = 'goose_db_version'`)
	if err != nil || tables == 0 {
		return v, wrap("read schema", err)
	}
	err = db.GetContext(ctx, &v.Database, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`)
	return v, wrap("read schema version", err)
}

// Migrate brings the schema of a database up to date and does nothing else.
// It returns the version that it found and the one that this program wants.
func Migrate(ctx context.Context, database string) (SchemaVersion, error) {
	db, err := openSQLite(writerDSN(database), 1)
	if err != nil {
		return SchemaVersion{}, err
	}
	v, err := migrateFrom(ctx, db)
	return v, errors.Join(err, wrap("close database", db.Close()))
}

func migrateFrom(ctx context.Context, db *sqlx.DB) (SchemaVersion, error) {
	p, err := provider(db)
	if err != nil {
		return SchemaVersion{}, err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return SchemaVersion{}, wrap("read schema version", err)
	}
	return SchemaVersion{Database: have, Program: want}, migrate(ctx, db)
}
