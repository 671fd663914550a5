package main

import (
	"context"
	"fmt"

	"github.com/domaind/domaind/store"
)

// demotionsCmd groups what an operator does after the sweep guard's alarm.
type demotionsCmd struct {
	Held    demotionsHeldCmd    `cmd:"" help:"Count the domains whose demotion is held: exit 1 when there are any."`
	Release demotionsReleaseCmd `cmd:"" help:"Say that the held demotions are real: each takes effect at the domain's next look."`
}

type demotionsHeldCmd struct{ storeFlags }

func (c demotionsHeldCmd) Run(ctx context.Context, s streams) error {
	return c.useExisting(ctx, func(db *store.Store) error {
		n, err := db.DemotionsHeld(ctx)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(s.out, n); err != nil || n == 0 {
			return err
		}
		return errNo
	})
}

type demotionsReleaseCmd struct{ storeFlags }

func (c demotionsReleaseCmd) Run(ctx context.Context) error {
	return c.useExisting(ctx, func(db *store.Store) error { return db.ReleaseDemotions(ctx) })
}
