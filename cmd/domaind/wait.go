package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/domaind/domaind/client"
	gen "github.com/domaind/domaind/gen/client"
)

// waitFlags say whether a command waits for a domain to become active.
type waitFlags struct {
	Wait    bool          `help:"Wait until the domain is active, and show what changes."`
	Timeout time.Duration `default:"1h" help:"How long to wait."`
}

// await follows a domain until it is active, one line on standard error for
// each change, and prints it as it is then. When the time is up the answer is
// no.
func (f waitFlags) await(ctx context.Context, s streams, api *client.Client, flags apiFlags, d client.DomainDetails) error {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	name, started := d.Domain.Domain, time.Now()
	for now, err := range api.Watch(ctx, name) {
		if errors.Is(err, context.DeadlineExceeded) {
			return refusedError{fmt.Errorf("%s is still %s after %v: %s", name, d.Domain.Status, f.Timeout, missing(d))}
		}
		if err != nil {
			return err
		}
		d = now
		_, _ = fmt.Fprintf(s.err, "%5.0fs  %s is %s: %s\n", time.Since(started).Seconds(), name, d.Domain.Status, progress(d))
		if d.Domain.Status == gen.DomainStatusActive {
			break
		}
	}
	return flags.print(s.out, d, func(t *tabwriter.Writer) { domainTable(t, d) })
}

// progress is the state of each record in one line.
func progress(d client.DomainDetails) string {
	var parts []string
	for _, r := range d.DNS {
		part := string(r.Purpose) + " " + string(r.Status)
		if r.Code != nil {
			part += " (" + *r.Code + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// missing names the records that a domain still needs.
func missing(d client.DomainDetails) string {
	var parts []string
	for _, r := range d.DNS {
		if r.Required && r.Status != gen.RecordStatusVerified && r.Status != gen.RecordStatusDisabled {
			part := string(r.Purpose)
			if r.Detail != nil {
				part += " (" + printable(*r.Detail) + ")"
			}
			parts = append(parts, part)
		}
	}
	return "it needs " + strings.Join(parts, ", ")
}
