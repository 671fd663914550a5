package store

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
)

// Config is what a Store needs. The zero value of an optional field is usable.
type Config struct {
	// Database is a file name, or a postgres:// URL.
	Database string
	// MasterKeyFile holds the key that seals secrets; it is created 0600 on
	// the first start where the database is a file. "" means master.key beside
	// it. With a URL it must be there, the same for every replica.
	MasterKeyFile string
	// SpoolDir is where large messages lie; "" means spool beside the database.
	SpoolDir string
	// MessageRetention is how long stored mail is kept; 0 means 30 days.
	MessageRetention time.Duration
	// Service is what the operator wants every domain to publish.
	Service dnscheck.Service
	// NewKey gives a fresh DKIM key; it may block for the time of one
	// generation when a pool behind it is empty. nil means dkim.Generate.
	NewKey func(context.Context) (dkim.Key, error)
	// SendEvents puts the events into an outbox too, for DueEvents.
	SendEvents bool
	// Schedule holds the times of the status machine and of the checks.
	Schedule Schedule
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand gives the jitter, from 0 to below 1; nil means math/rand.
	Rand func() float64
	// Log takes the few things that no caller is told; nil means slog.Default.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.NewKey == nil {
		c.NewKey = func(context.Context) (dkim.Key, error) { return dkim.Generate() }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}
