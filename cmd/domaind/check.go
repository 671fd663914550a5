package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/store"
)

// checkCmd looks at one domain's DNS with the verdicts of the service.
type checkCmd struct {
	Name string `arg:"" help:"Domain to check."`

	User   string `placeholder:"USER" help:"Expect what the database holds for this user's domain."`
	JSON   bool   `name:"json" help:"Print the report as JSON."`
	Direct bool   `help:"Also ask the zone's own servers."`
	MX     string `name:"mx" placeholder:"HOST" help:"Expected MX host (default: DOMAIND_MX_HOST)."`
	DKIM   string `name:"dkim" placeholder:"SELECTOR=KEY" help:"Expected DKIM selector and public key (the p= value)."`

	expectFlags
	dnsFlags
	storeFlags
}

func (c checkCmd) Run(ctx context.Context, s streams) error {
	if c.MX != "" {
		c.MXHost = c.MX
	}
	if err := errors.Join(c.dnsFlags.validate(), c.expectFlags.validate()); err != nil {
		return err
	}
	parsed, err := name.Parse(c.Name, name.Policy{AllowSpecialUse: true})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	target, err := c.target(ctx, parsed.ASCII)
	if err != nil {
		return err
	}
	dns, err := newDNS(c.dnsFlags, c.expectFlags, nil)
	if err != nil {
		return err
	}
	defer dns.Close()
	if !c.Direct {
		dns.config.Direct = nil
	}
	if len(dns.config.MXHosts) == 0 {
		dns.config.MXHosts = mxHosts(target)
	}
	report := dnscheck.NewChecker(dns.config).Check(ctx, target, dnscheck.Options{OnDemand: true})
	if c.JSON {
		err = printReportJSON(s.out, target, report)
	} else {
		err = printReport(s.out, target, report)
	}
	if err != nil {
		return err
	}
	return answer(report)
}

// mxHosts returns the hosts that the target's domain must name.
func mxHosts(t dnscheck.Target) (hosts []string) {
	for _, x := range t.Records {
		if x.Purpose == dnscheck.PurposeMX {
			hosts = append(hosts, x.Value)
		}
	}
	return hosts
}

// target says what to expect: what the database holds, or what the flags say.
func (c checkCmd) target(ctx context.Context, domain string) (dnscheck.Target, error) {
	if c.User != "" {
		return c.stored(ctx, domain)
	}
	t := dnscheck.Target{Domain: domain}
	add := func(p dnscheck.Purpose, name, value string) {
		t.Records = append(t.Records, dnscheck.Expectation{ID: int64(len(t.Records) + 1), Purpose: p, Name: name, Value: value})
	}
	host, err := c.host()
	if err != nil {
		return t, err
	}
	if host != "" {
		add(dnscheck.PurposeMX, domain, host)
		t.Records[0].Priority = c.MXPriority
	}
	add(dnscheck.PurposeSPF, domain, c.SPF)
	if c.DKIM != "" {
		selector, record, err := dkimRecord(c.DKIM)
		if err != nil {
			return t, err
		}
		add(dnscheck.PurposeDKIM, selector+"._domainkey."+domain, record)
	}
	add(dnscheck.PurposeDMARC, "_dmarc."+domain, c.DMARC)
	return t, nil
}

// stored returns what the database expects of the user's domain.
func (c checkCmd) stored(ctx context.Context, domain string) (t dnscheck.Target, err error) {
	err = c.storeFlags.useExisting(ctx, func(db *store.Store) error {
		t, err = db.Target(ctx, store.Tenant{UserID: c.User}, domain)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("user %s has no domain %s in %s", c.User, domain, c.Database)
		}
		return err
	})
	return t, err
}

// dkimRecord reads SELECTOR=KEY, where KEY is a whole record or its p= value.
func dkimRecord(flag string) (selector, record string, err error) {
	selector, record, ok := strings.Cut(flag, "=")
	if !ok || selector == "" || record == "" {
		return "", "", errors.New("--dkim: give SELECTOR=KEY, where KEY is the record's p= value")
	}
	if !strings.Contains(record, ";") && !strings.HasPrefix(record, "p=") {
		record = "v=DKIM1; k=rsa; p=" + record
	}
	if _, err := dkim.Expect(record, nil); err != nil {
		return "", "", fmt.Errorf("--dkim: %w", err)
	}
	return strings.ToLower(selector), record, nil
}

// answer turns a report into the command's answer: nil when all match, errNo
// when something does not, another error when something could not be told.
func answer(report dnscheck.Report) error {
	var bad, unknown int
	for _, r := range report.Results {
		switch {
		case r.Verdict.Bad():
			bad++
		case r.Verdict == dnscheck.VerdictUnknown:
			unknown++
		}
	}
	switch {
	case bad > 0:
		return errNo
	case unknown > 0:
		return fmt.Errorf("could not tell for %d of %d records", unknown, len(report.Results))
	}
	return nil
}

// printReport writes one line a record, and what to do below it.
func printReport(w io.Writer, target dnscheck.Target, report dnscheck.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "RECORD\tHOST\tEXPECTED\tFOUND\tVERDICT")
	for i, r := range report.Results {
		x := target.Records[i]
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", strings.ToUpper(string(x.Purpose)), hostOf(x.Name, target.Domain),
			short(expected(x)), short(firstOf(strings.Join(r.Observed, " | "), "-")), verdictText(r))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range report.Results {
		for _, line := range advice(r) {
			if _, err := fmt.Fprintf(w, "%s%s\n", strings.ToUpper(string(r.Purpose)), line); err != nil {
				return err
			}
		}
	}
	return nil
}

func verdictText(r dnscheck.Result) string {
	if r.Code == "" {
		return string(r.Verdict)
	}
	return string(r.Verdict) + " (" + r.Code + ")"
}

// advice returns what follows the record's name on each line below the table.
func advice(r dnscheck.Result) (lines []string) {
	if r.Detail != "" {
		lines = append(lines, ": "+r.Detail)
	}
	if r.Hint != "" {
		lines = append(lines, " hint: "+r.Hint)
	}
	if r.Verdict != dnscheck.VerdictMatch && !strings.Contains(r.Hint, r.Suggested) {
		lines = append(lines, " suggested: "+r.Suggested)
	}
	for _, w := range r.Warnings {
		lines = append(lines, " warning "+w.Code+": "+w.Detail)
	}
	return lines
}

func expected(x dnscheck.Expectation) string {
	if x.Purpose == dnscheck.PurposeMX {
		return fmt.Sprintf("%d %s", x.Priority, x.Value)
	}
	return x.Value
}

func hostOf(fqdn, domain string) string {
	if fqdn == domain {
		return "@"
	}
	return strings.TrimSuffix(fqdn, "."+domain)
}

const shortLen = 48

func short(s string) string {
	if r := []rune(s); len(r) > shortLen {
		return string(r[:shortLen-1]) + "…"
	}
	return s
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// reportJSON is the stable form of `check --json`.
type reportJSON struct {
	Domain    string       `json:"domain"`
	CheckedAt time.Time    `json:"checked_at"`
	Queries   int          `json:"queries"`
	Records   []recordJSON `json:"records"`
}

type recordJSON struct {
	Purpose   dnscheck.Purpose   `json:"purpose"`
	Name      string             `json:"name"`
	Expected  string             `json:"expected"`
	Verdict   dnscheck.Verdict   `json:"verdict"`
	Code      string             `json:"code,omitempty"`
	Detail    string             `json:"detail,omitempty"`
	Hint      string             `json:"hint,omitempty"`
	Observed  []string           `json:"observed_values"`
	Suggested string             `json:"suggested_value,omitempty"`
	Warnings  []dnscheck.Warning `json:"warnings"`
}

func printReportJSON(w io.Writer, target dnscheck.Target, report dnscheck.Report) error {
	out := reportJSON{Domain: report.Domain, CheckedAt: report.CheckedAt.UTC(), Queries: report.Queries}
	for i, r := range report.Results {
		out.Records = append(out.Records, recordJSON{
			Purpose: r.Purpose, Name: r.Name, Expected: expected(target.Records[i]),
			Verdict: r.Verdict, Code: r.Code, Detail: r.Detail, Hint: r.Hint,
			Observed: append([]string{}, r.Observed...), Suggested: r.Suggested,
			Warnings: append([]dnscheck.Warning{}, r.Warnings...),
		})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
