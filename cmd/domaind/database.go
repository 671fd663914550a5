package main

import (
	"context"

	"github.com/domaind/domaind/store"
)

// config returns what it takes to open the database without the service.
func (f storeFlags) config() store.Config {
	return store.Config{Database: f.Database, MasterKeyFile: f.MasterKeyFile}
}

// use opens the database for one command and closes it again.
func (f storeFlags) use(ctx context.Context, do func(*store.Store) error) error {
	db, err := store.Open(ctx, f.config())
	if err != nil {
		return err
	}
	err = do(db)
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}
