package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	if !url && !exists(dir) {
		return nil, fmt.Errorf("DOMAIND_DATABASE (--database) %s: there is no directory %s", c.Database, dir)
	}
	if err := keyFault(c.MasterKeyFile); err != nil {
		return nil, fmt.Errorf("DOMAIND_MASTER_KEY_FILE (--master-key-file): %w", err)
	}
	db, err := store.Open(ctx, c)
	switch {
	case errors.Is(err, store.ErrMasterKey):
		return nil, fmt.Errorf("DOMAIND_MASTER_KEY_FILE (--master-key-file): %w", err)
	case err != nil:
		return nil, databaseError(c.Database, err)
	}
	return db, nil
}

// keyFault says what keeps a master key file that was named from being read or
// made. What is in it, and whether it may be made, the store knows.
func keyFault(file string) error {
	if file == "" {
		return nil
	}
	if dir := filepath.Dir(file); !exists(dir) {
		return fmt.Errorf("there is no directory %s", dir)
	}
	if _, err := os.ReadFile(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// databaseError says which database it is, what is wrong, and what to do.
func databaseError(database string, err error) error {
	err = fmt.Errorf("DOMAIND_DATABASE (--database) %s: %w", store.Redact(database), err)
	if todo := remedy(strings.Contains(database, "://"), err); todo != "" {
		return fmt.Errorf("%w; %s", err, todo)
	}
	return err
}

// remedy is what an operator may do, "" where that depends.
func remedy(url bool, err error) string {
	for _, r := range []struct {
		is        error
		file, url string
	}{
		{store.ErrSchema, "run the newer program, or restore the backup from before its migration", ""},
		{store.ErrURL, "name a file, or a URL like postgres://user:password@host/database, with %40 for @ in it and so on", ""},
		{store.ErrReadOnly, "mount it for writing, or name a file elsewhere", "name the primary server: this one takes no writes"},
		{store.ErrFull, "make room", ""},
		{store.ErrDamaged, "name the right file, or restore a backup", ""},
		{fs.ErrPermission, "let this user write the file and its directory", ""},
		{store.ErrUnavailable, "name a file that can be opened and that no other program has locked", "look whether the server runs and lets this user in"},
	} {
		switch {
		case !errors.Is(err, r.is):
		case url && r.url != "":
			return r.url
		default:
			return r.file
		}
	}
	return ""
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
	if !url && !exists(f.Database) {
		return fmt.Errorf("DOMAIND_DATABASE (--database): there is no %s", f.Database)
	}
	return f.use(ctx, do)
}
