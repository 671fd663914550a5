package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/domaind/domaind/store"
)

// dkimCmd groups what an operator does with DKIM keys.
type dkimCmd struct {
	Export dkimExportCmd `cmd:"" help:"Write active private keys for the signer."`
}

// dkimExportCmd writes one key on standard output, or all with their tables.
type dkimExportCmd struct {
	Domain string `arg:"" optional:"" help:"Domain, with --format pem."`

	Format string `required:"" enum:"pem,opendkim,rspamd" placeholder:"pem|opendkim|rspamd" help:"pem, opendkim or rspamd."`
	User   string `placeholder:"USER" help:"Whose domain it is, with --format pem."`
	Out    string `placeholder:"DIR" help:"Directory to write, with --format opendkim or rspamd."`

	storeFlags
}

func (c dkimExportCmd) Run(ctx context.Context, s streams) error {
	one := c.Format == "pem"
	switch {
	case one && (c.Domain == "" || c.User == ""):
		return errors.New("--format pem exports one key: give --user USER and the domain")
	case !one && (c.Out == "" || c.Domain != ""):
		return fmt.Errorf("--format %s exports all active keys: give --out DIR and no domain", c.Format)
	}
	return c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		if one {
			return c.exportOne(ctx, s, db)
		}
		return c.exportAll(ctx, db)
	})
}

func (c dkimExportCmd) exportOne(ctx context.Context, s streams, db *store.Store) error {
	key, err := db.DKIMKey(ctx, store.Tenant{UserID: c.User}, c.Domain)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("user %s has no domain %s in %s", c.User, c.Domain, c.Database)
	}
	if err != nil {
		return err
	}
	_, err = s.out.Write(pemKey(key.Private))
	return err
}

// exportAll writes the keys first and the tables last, each by rename, so that
// a signer that reads in between never finds a table without its key.
func (c dkimExportCmd) exportAll(ctx context.Context, db *store.Store) error {
	dir, err := filepath.Abs(c.Out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return err
	}
	tables := map[string]*bytes.Buffer{}
	add := func(table, format string, args ...any) {
		if tables[table] == nil {
			tables[table] = &bytes.Buffer{}
		}
		_, _ = fmt.Fprintf(tables[table], format, args...)
	}
	row := opendkimRow
	if c.Format == "rspamd" {
		row = rspamdRow
	}
	for _, table := range signerTables[c.Format] {
		add(table, "")
	}
	err = db.SigningKeys(ctx, func(k store.SigningKey) error {
		file := filepath.Join(dir, "keys", k.Domain+"."+k.Key.Selector+".pem")
		row(add, k, file)
		return writeFile(file, pemKey(k.Key.Private))
	})
	if err != nil {
		return err
	}
	for name, text := range tables {
		if err := writeFile(filepath.Join(dir, name), text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// signerTables are the files that stand even when there is no key.
var signerTables = map[string][]string{
	"opendkim": {"KeyTable", "SigningTable"},
	"rspamd":   {"selectors.map", "paths.map"},
}

// opendkimRow writes the lines of opendkim.conf's KeyTable and, for
// `SigningTable refile:…`, SigningTable.
func opendkimRow(add func(table, format string, args ...any), k store.SigningKey, file string) {
	name := k.Key.Selector + "._domainkey." + k.Domain
	add("KeyTable", "%s %s:%s:%s\n", name, k.Domain, k.Key.Selector, file)
	add("SigningTable", "*@%s %s\n", k.Domain, name)
}

// rspamdRow writes the lines of the selector_map and the path_map of rspamd's
// dkim_signing module.
func rspamdRow(add func(table, format string, args ...any), k store.SigningKey, file string) {
	add("selectors.map", "%s %s\n", k.Domain, k.Key.Selector)
	add("paths.map", "%s %s\n", k.Domain, file)
}

func pemKey(pkcs8 []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// writeFile replaces a file as a whole: readable by its owner alone, on the
// disk before it has its name.
func writeFile(name string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
