package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/domaind/domaind/store"
)

// config returns what it takes to open the database without the service.
func (f storeFlags) config() store.Config {
	return store.Config{Database: f.Database, MasterKeyFile: f.MasterKeyFile}
}

// openStore opens the database; the error names the variable to look at.
func openStore(ctx context.Context, c store.Config) (*store.Store, error) {
	dir, url := filepath.Dir(c.Database), strings.Contains(c.Database, "://")
	if _, err := os.Stat(dir); !url && errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("DOMAIND_DATABASE (--database) %s: there is no directory %s", c.Database, dir)
	}
	db, err := store.Open(ctx, c)
	switch {
	case errors.Is(err, store.ErrMasterKey):
		return nil, fmt.Errorf("DOMAIND_MASTER_KEY_FILE (--master-key-file): %w", err)
	case err != nil:
		return nil, fmt.Errorf("DOMAIND_DATABASE (--database) %s: %w", store.Redact(c.Database), err)
	}
	return db, nil
}

// use opens the database for one command, which makes it where there is none,
// and closes it again.
func (f storeFlags) use(ctx context.Context, do func(*store.Store) error) error {
	db, err := openStore(ctx, f.config())
	if err != nil {
		return err
	}
	err = do(db)
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}

// useExisting is use for a command that makes no sense in a new database: a
// mistyped file name would look like an empty one.
func (f storeFlags) useExisting(ctx context.Context, do func(*store.Store) error) error {
	url := strings.Contains(f.Database, "://")
	if _, err := os.Stat(f.Database); !url && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("DOMAIND_DATABASE (--database): there is no %s", f.Database)
	}
	return f.use(ctx, do)
}
