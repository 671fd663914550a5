package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/name"
)

// serveCmd runs the service. Its fields are the table of DOMAIND_* variables.
type serveCmd struct {
	Listen         string     `env:"DOMAIND_LISTEN" default:"127.0.0.1:3000" help:"Address of the API."`
	APIKey         string     `name:"api-key" env:"DOMAIND_API_KEY" placeholder:"KEY" help:"An admin key to accept from the start; at least 12 characters."`
	PublicURL      string     `name:"public-url" env:"DOMAIND_PUBLIC_URL" placeholder:"URL" help:"What links start with (default: http:// and the listen address)."`
	TrustedProxies prefixList `name:"trusted-proxies" env:"DOMAIND_TRUSTED_PROXIES" placeholder:"CIDR,…" help:"Where proxies are whose X-Forwarded-For is believed (default: none)."`
	RateLimit      int        `env:"DOMAIND_RATE_LIMIT" default:"600" help:"Requests a minute and key; 0 lifts all limits."`
	DKIMPool       int        `name:"dkim-pool" env:"DOMAIND_DKIM_POOL" default:"64" help:"DKIM keys kept ready."`

	DemoteAfter time.Duration `env:"DOMAIND_DEMOTE_AFTER" default:"24h" help:"How long a verified record must be bad before it fails."`
	PendingFor  time.Duration `env:"DOMAIND_PENDING_FOR" default:"72h" help:"How long a new record may be bad before it fails."`

	AllowSpecialUse      bool       `env:"DOMAIND_ALLOW_SPECIAL_USE" default:"false" negatable:"" help:"Accept names below .test, .example and the like."`
	AllowPrivateWebhooks prefixList `env:"DOMAIND_ALLOW_PRIVATE_WEBHOOKS" placeholder:"CIDR,…" help:"Private addresses that webhooks may reach, and may name in http URLs."`

	expectFlags
	dnsFlags
	mailFlags
	eventFlags
	storeFlags
	logFlags
}

// minAPIKey is the shortest DOMAIND_API_KEY that is accepted.
const minAPIKey = 12

func (c serveCmd) Run(ctx context.Context, parsed *kong.Context) error {
	log := c.logger()
	if names := unknownVariables(parsed.Model, os.Environ()); len(names) > 0 {
		log.Warn("unknown variables in the environment: no setting has such a name", "names", names)
	}
	app, err := newApp(ctx, c, logs{service: log, access: os.Stderr})
	if err != nil {
		return err
	}
	log.Info("serving", "address", app.addr().String(), "smtp", app.smtpAddresses(), "version", version())
	return app.run(ctx)
}

// validate says what parsing alone cannot; the error names the variable.
func (c serveCmd) validate() error {
	if err := listenAddr("DOMAIND_LISTEN (--listen)", c.Listen); err != nil {
		return err
	}
	if err := errors.Join(c.logFlags.validate(), c.dnsFlags.validate(), c.mailFlags.validate(),
		c.eventFlags.validate(c.AllowPrivateWebhooks)); err != nil {
		return err
	}
	if c.PublicURL != "" {
		if err := validPublicURL(c.PublicURL); err != nil {
			return err
		}
	}
	for _, check := range []struct {
		bad  bool
		text string
	}{
		{c.APIKey != "" && len(c.APIKey) < minAPIKey, fmt.Sprintf("DOMAIND_API_KEY (--api-key): must have at least %d characters", minAPIKey)},
		{c.RateLimit < 0, "DOMAIND_RATE_LIMIT (--rate-limit): must be 0 or more"},
		{c.DKIMPool < 0 || c.DKIMPool > 10_000, "DOMAIND_DKIM_POOL (--dkim-pool): must be 0 to 10000"},
		{c.DemoteAfter <= 0, "DOMAIND_DEMOTE_AFTER (--demote-after): must be above zero"},
		{c.PendingFor <= 0, "DOMAIND_PENDING_FOR (--pending-for): must be above zero"},
	} {
		if check.bad {
			return errors.New(check.text)
		}
	}
	return nil
}

// policy returns the rules for names that customers may bring. Our own MX host
// is none of theirs, nor is what lies below it.
func (c serveCmd) policy(s dnscheck.Service) name.Policy {
	return name.Policy{AllowSpecialUse: c.AllowSpecialUse, Own: []string{s.MXHost}, Suffix: publicsuffix.PublicSuffix, Reserve: dnscheck.LongestPrefix}
}

// publicURL returns what links start with, without a final slash.
func (c serveCmd) publicURL(listen net.Addr) string {
	if c.PublicURL == "" {
		return "http://" + listen.String()
	}
	return strings.TrimRight(c.PublicURL, "/")
}
