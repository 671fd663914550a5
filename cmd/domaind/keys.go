package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/domaind/domaind/store"
)

// keyCmd groups what an operator does with API keys.
type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Create a key; it is printed once, alone."`
	List   keyListCmd   `cmd:"" help:"List the keys, never their secrets."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key at once."`
	Roll   keyRollCmd   `cmd:"" help:"Replace a key; the old one works for the grace time."`
	Rekey  keyRekeyCmd  `cmd:"" help:"Seal all secrets under a new master key, which replaces the file; run it again if it was interrupted."`
}

type keyCreateCmd struct {
	Scope        string        `required:"" enum:"read,write,admin" placeholder:"read|write|admin" help:"read, write (also creates, verifies, routes, deletes) or admin (also marks)."`
	User         string        `help:"Bind the key to this user."`
	Organization string        `help:"Bind the key to this organization."`
	Expires      time.Duration `placeholder:"D" help:"The key ends after this time, for example 720h."`
	Name         string        `help:"What the key is for."`

	storeFlags
}

func (c keyCreateCmd) Run(ctx context.Context, s streams) error {
	if c.Expires < 0 {
		return errors.New("--expires: must not be negative")
	}
	return c.storeFlags.use(ctx, func(db *store.Store) error {
		n := store.NewKey{Scope: store.Scope(c.Scope), UserID: c.User, OrganizationID: c.Organization, Name: c.Name}
		if c.Expires > 0 {
			n.ExpiresAt = time.Now().Add(c.Expires)
		}
		_, secret, err := db.CreateKey(ctx, n)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.out, secret)
		return err
	})
}

type keyListCmd struct{ storeFlags }

func (c keyListCmd) Run(ctx context.Context, s streams) error {
	return c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		keys, err := db.Keys(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tSCOPE\tUSER\tORGANIZATION\tNAME\tCREATED\tEXPIRES\tREVOKED\tLAST USED")
		for _, k := range keys {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Scope, firstOf(k.UserID, "-"), firstOf(k.OrganizationID, "-"),
				firstOf(k.Name, "-"), stamp(k.CreatedAt), stamp(k.ExpiresAt), stamp(k.RevokedAt), stamp(k.LastUsedAt))
		}
		return table.Flush()
	})
}

type keyRevokeCmd struct {
	Key string `arg:"" help:"ID of the key, or the key itself."`

	storeFlags
}

func (c keyRevokeCmd) Run(ctx context.Context) error {
	return c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		return noSuchKey(db.RevokeKey(ctx, c.Key))
	})
}

type keyRollCmd struct {
	ID    string        `arg:"" help:"ID of the key."`
	Grace time.Duration `default:"24h" help:"How long the old key still works."`

	storeFlags
}

func (c keyRollCmd) Run(ctx context.Context, s streams) error {
	if c.Grace < 0 {
		return errors.New("--grace: must not be negative")
	}
	return c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		_, secret, err := db.RollKey(ctx, c.ID, c.Grace)
		if err != nil {
			return noSuchKey(err)
		}
		_, err = fmt.Fprintln(s.out, secret)
		return err
	})
}

type keyRekeyCmd struct{ storeFlags }

func (c keyRekeyCmd) Run(ctx context.Context, s streams) error {
	return c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		n, err := db.Rekey(ctx, nil)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "sealed %d secrets under the new master key\n", n)
		return err
	})
}

func noSuchKey(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("no such key")
	}
	return err
}

// stamp prints a time for a table, "-" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
