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
	// Backup is the file that Migrate made before it changed anything; "" for none.
	Backup string
}

// migrate brings the schema up to date, and refuses one from the future. Of
// several processes that start at once, one does it, and the others wait.
func (d *dialect) migrate(ctx context.Context, database string, db *sqlx.DB) error {
	v, err := d.schema(ctx, db)
	if err != nil || v.Database == v.Program {
		return err
	}
	if v.Database > v.Program {
		return fmt.Errorf("store: schema %d, this program knows %d: %w", v.Database, v.Program, ErrSchema)
	}
	unlock, err := d.lockMigration(ctx, database, db)
	if err != nil {
		return err
	}
	p, err := d.provider(db)
	if err == nil {
		_, err = p.Up(ctx)
	}
	return errors.Join(wrap("migrate", err), unlock())
}

// migrateApart does so through connections of its own, without the limits of
// those that serve.
func (d *dialect) migrateApart(ctx context.Context, database string) error {
	db, err := d.openSchema(database, true)
	if err != nil {
		return err
	}
	return errors.Join(d.migrate(ctx, database, db), wrap("close database", db.Close()))
}

func (d *dialect) provider(db *sqlx.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, d.migrations)
	if err != nil {
		return nil, wrap("read migrations", err)
	}
	p, err := goose.NewProvider(d.goose, db.DB, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, wrap("prepare migrations", err)
	}
	return p, nil
}

// schema only reads.
func (d *dialect) schema(ctx context.Context, db *sqlx.DB) (SchemaVersion, error) {
	p, err := d.provider(db)
	if err != nil {
		return SchemaVersion{}, err
	}
	var v SchemaVersion
	for _, s := range p.ListSources() {
		v.Program = max(v.Program, s.Version)
	}
	var tables int
	err = db.GetContext(ctx, &tables, d.hasTable, "goose_db_version")
	if err != nil || tables == 0 {
		return v, wrap("read schema", err)
	}
	err = db.GetContext(ctx, &v.Database, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`)
	return v, wrap("read schema version", err)
}

// Schema returns the version of a database's schema without changing it.
func Schema(ctx context.Context, database string) (SchemaVersion, error) {
	v, err := withSchema(database, false, func(d *dialect, db *sqlx.DB) (SchemaVersion, error) {
		return d.schema(ctx, db)
	})
	if errors.Is(err, ErrUnavailable) && !isURL(database) {
		if why := writable(database); why != nil { // to read it, SQLite writes beside it
			return v, why
		}
	}
	return v, err
}

// Migrate brings the schema of a database up to date and does nothing else.
// It returns the version that it found and the one that this program wants. An
// SQLite file is backed up first, beside itself: no migration is undone here.
func Migrate(ctx context.Context, database string) (SchemaVersion, error) {
	return withSchema(database, true, func(d *dialect, db *sqlx.DB) (SchemaVersion, error) {
		v, err := d.schema(ctx, db)
		if err != nil {
			return SchemaVersion{}, err
		}
		if !isURL(database) && v.Database > 0 && v.Database < v.Program {
			v.Backup = fmt.Sprintf("%s.schema-%d", database, v.Database)
			if err := copySQLite(ctx, database, v.Backup); err != nil {
				return SchemaVersion{}, err
			}
		}
		return v, d.migrate(ctx, database, db)
	})
}

func withSchema(database string, change bool, do func(*dialect, *sqlx.DB) (SchemaVersion, error)) (SchemaVersion, error) {
	d, err := dialectOf(database)
	if err != nil {
		return SchemaVersion{}, err
	}
	db, err := d.openSchema(database, change)
	if err != nil {
		return SchemaVersion{}, err
	}
	v, err := do(d, db)
	return v, errors.Join(err, wrap("close database", db.Close()))
}
