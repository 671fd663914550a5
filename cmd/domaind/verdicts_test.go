package main_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/gen/client"
)

const (
	casesAtOnce = 24
	checkWithin = 30 * time.Second
)

// profiles are the servers that the cases run against.
var profiles = map[string][]string{
	"mx":           nil,
	"include":      {"DOMAIND_SPF=v=spf1 include:spf." + lab.Zone + " ~all", "DOMAIND_SENDING_IPS=" + ourIP},
	"strict-dmarc": {"DOMAIND_DMARC=v=DMARC1; p=quarantine; rua=mailto:dmarc@" + lab.Zone},
}

// TestVerdicts publishes each case's zone on a real authority, and judges what
// the service says about it after a check through a real resolver.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	var files []verdictFile
	for _, name := range verdictFiles(t) {
		file, err := readVerdictFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	l := lab.Start(t)
	services := map[string]*service{}
	for profile, settings := range profiles {
		services[profile] = serveLab(t, l, settings...)
	}
	for _, file := range files {
		runVerdicts(t, l, services, file)
	}
}

// verdictFiles returns our own cases, and those of a file that is named by a
// variable or lies where a checkout may have it.
func verdictFiles(t *testing.T) []string {
	t.Helper()
	own, err := filepath.Glob(filepath.Join("testdata", "verdict-cases*.json"))
	if err != nil || len(own) < 2 {
		t.Fatalf("own cases: %v, %v", own, err)
	}
	if named := os.Getenv("DOMAIND_VERDICT_CASES"); named != "" {
		return append(own, named)
	}
	open := filepath.Join("..", "..", "..", "shared", "verdict-cases.json")
	if _, err := os.Stat(open); errors.Is(err, fs.ErrNotExist) {
		t.Logf("SKIPPED: no cases but our own; name a file in DOMAIND_VERDICT_CASES for more")
		return own
	}
	return append(own, open)
}

func runVerdicts(t *testing.T, l *lab.Lab, services map[string]*service, file verdictFile) {
	base := fileWords(file.Constants)
	common, err := base.fillAll(file.Common)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Update(common...); err != nil {
		t.Fatal(err)
	}
	wrong := make([][]string, len(file.Cases))
	var group errgroup.Group
	group.SetLimit(casesAtOnce)
	for i, c := range file.Cases {
		s := services[c.Profile]
		if s == nil {
			t.Errorf("%s: unknown profile %q", c.ID, c.Profile)
			continue
		}
		group.Go(func() error {
			var err error
			wrong[i], err = verdictRun{l, s, c}.run(t.Context(), base)
			if err != nil {
				wrong[i] = append(wrong[i], err.Error())
			}
			return nil
		})
	}
	_ = group.Wait()
	for i, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			for _, line := range wrong[i] {
				t.Errorf("%s (%s): %s", c.Title, c.Why, line)
			}
		})
	}
}

type verdictRun struct {
	lab  *lab.Lab
	api  *service
	what verdictCase
}

// run returns one line for each record about which the service is wrong.
func (r verdictRun) run(ctx context.Context, base words) ([]string, error) {
	random := randomLabel()
	template := r.what.Domain
	if template == "" {
		template = "{rand}.{zone}"
	}
	domain, err := words{"rand": random, "zone": lab.Zone}.fill(template, strings.Clone)
	if err != nil {
		return nil, err
	}
	d, err := r.api.create(ctx, domain)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", domain, err)
	}
	w, err := base.caseWords(random, d)
	if err != nil {
		return nil, err
	}
	retired := ""
	if slices.Contains(r.what.Before, "rotate") {
		if retired, err = r.rotate(ctx, w); err != nil {
			return nil, fmt.Errorf("rotate: %w", err)
		}
	}
	// The first check, which found nothing, must be over before the records
	// appear: whatever is remembered from it must not count now.
	if _, err := r.api.verify(ctx, domain); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	lines, err := w.fillAll(append(slices.Clone(r.what.Publish), r.rightRecords()...))
	if err != nil {
		return nil, err
	}
	if err := r.lab.Update(lines...); err != nil {
		return nil, err
	}
	return r.judge(ctx, w, retired)
}

// rotate gives the domain a new key, moves the words of the old one aside,
// and returns the old key's name.
func (r verdictRun) rotate(ctx context.Context, w words) (string, error) {
	old := client.DNSRecord{Name: w["dkim_name"], ExpectedValue: w["dkim_value"]}
	if err := w.addDKIM(old, "dkim_old_"); err != nil {
		return "", err
	}
	d, err := r.api.rotate(ctx, w["domain"])
	if err != nil {
		return "", err
	}
	fresh, err := record(d, "dkim", old.Name)
	if err != nil {
		return "", err
	}
	return old.Name, w.addDKIM(fresh, "dkim_")
}

// rightRecords publishes what the case does not speak of.
func (r verdictRun) rightRecords() []string {
	var lines []string
	for purpose, line := range map[string]string{
		"mx":    `update add {domain}. 5 MX {prio} {mx}.`,
		"spf":   `update add {domain}. 5 TXT "{spf}"`,
		"dkim":  `update add {dkim_name}. 5 TXT {dkim_txt}`,
		"dmarc": `update add _dmarc.{domain}. 5 TXT "{dmarc}"`,
	} {
		if _, judged := r.what.Expect[purpose]; !judged {
			lines = append(lines, line)
		}
	}
	return lines
}

// judge asks for a check until one has begun after the publication.
func (r verdictRun) judge(ctx context.Context, w words, retired string) ([]string, error) {
	published := time.Now()
	var d client.DomainDetails
	var err error
	fresh := polled(ctx, checkWithin, func() bool {
		d, err = r.api.verify(ctx, w["domain"])
		return err == nil && d.Domain.LastCheckedAt != nil && d.Domain.LastCheckedAt.After(published)
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if !fresh {
		return nil, fmt.Errorf("no check since the publication within %v", checkWithin)
	}
	var wrong []string
	for _, purpose := range []string{"mx", "spf", "dkim", "dmarc"} {
		x, ok := r.what.Expect[purpose]
		if !ok {
			continue
		}
		without := ""
		if purpose == "dkim" {
			without = retired
		}
		got, err := record(d, purpose, without)
		if err != nil {
			return nil, err
		}
		if faults := x.judge(got, w); len(faults) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %s; got %s", purpose, strings.Join(faults, ", "), shown(got)))
		}
	}
	return wrong, nil
}

// shown is a record in one line.
func shown(r client.DNSRecord) string {
	var warnings []string
	for _, w := range r.Warnings {
		warnings = append(warnings, w.Code+" ("+w.Detail+")")
	}
	return fmt.Sprintf("status %s, code %q, warnings %q, detail %q, hint %q, suggested %q, observed %q", r.Status, deref(r.Code),
		warnings, deref(r.Detail), deref(r.Hint), deref(r.SuggestedValue), r.ObservedValues)
}

// randomLabel returns a label that no other test uses.
func randomLabel() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b) // never fails, says its documentation
	return "c" + hex.EncodeToString(b)
}
