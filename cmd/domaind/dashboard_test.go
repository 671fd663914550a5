package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

const dashboardFile = "../../deploy/grafana.json"

// exposed has what /metrics shows: the labels of each name that a query may
// ask for.
type exposed map[string][]string

func scrape(t *testing.T, s *service) exposed {
	t.Helper()
	reply, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	e := exposed{}
	for name, family := range families {
		var labels []string
		for _, pair := range family.Metric[0].Label {
			labels = append(labels, pair.GetName())
		}
		if family.Metric[0].Histogram == nil {
			e[name] = labels
			continue
		}
		e[name+"_bucket"], e[name+"_count"], e[name+"_sum"] = append(labels, "le"), labels, labels
	}
	return e
}

var (
	selector = regexp.MustCompile(`\b([a-z]+_[a-z_]+)\{([^}]*)\}`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	matcher  = regexp.MustCompile(`([a-z_]+)(?:=|!=|=~|!~)"`)
)

// lacking returns the names and labels of a query that nobody exposes.
func (e exposed) lacking(query string) []string {
	var lacking, labels []string
	found := selector.FindAllStringSubmatch(query, -1)
	if len(found) == 0 {
		lacking = append(lacking, "any metric")
	}
	for _, s := range found {
		has, ok := e[s[1]]
		if !ok {
			lacking = append(lacking, s[1])
		}
		labels = append(labels, has...)
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(has, m[1]) && m[1] != "instance" { // which Prometheus adds
				lacking = append(lacking, s[1]+"{"+m[1]+"}")
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(g[1], ", ") {
			if !slices.Contains(labels, label) && label != "instance" {
				lacking = append(lacking, "by "+label)
			}
		}
	}
	return lacking
}

// dashboardQueries returns every query of the dashboard.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var queries []string
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the id of another", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	if len(queries) < 20 {
		t.Fatalf("only %d queries", len(queries))
	}
	return queries
}

// TestDashboard holds the queries of the Grafana dashboard against a service
// that has done everything once: each finds what it asks for, and nothing of
// ours is left out.
func TestDashboard(t *testing.T) {
	storetest.SQLiteOnly(t) // whose log is on it
	t.Parallel()
	s := busyService(t)
	queries := dashboardQueries(t)
	var e exposed
	eventually(t, startWithin, "all is counted", func() bool {
		e = scrape(t, s)
		return e["domaind_deliveries_total"] != nil && e["domaind_event_deliveries_total"] != nil && e["domaind_checks_total"] != nil
	})
	for _, query := range queries {
		if lacking := e.lacking(query); lacking != nil {
			t.Errorf("nobody exposes %q of %s", lacking, query)
		}
	}
	for name := range e {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if strings.HasPrefix(name, "domaind_") && !strings.Contains(strings.Join(queries, "\n"), base) {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
	for _, wrong := range []string{
		`domaind_nothing{}`, `max by (nothing) (domaind_domains{})`, `domaind_domains{nothing="x"}`, `up`,
	} {
		if e.lacking(wrong) == nil {
			t.Errorf("%s passes: this test cannot fail", wrong)
		}
	}
}

// busyService has counted something everywhere, or will soon have.
func busyService(t *testing.T) *service {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	s := serve(t, mailSettings(t, "DOMAIND_SMTP_LISTEN=127.0.0.1:0", "DOMAIND_EVENTS_WEBHOOK_URL="+hook.URL,
		"DOMAIND_EVENTS_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")...)
	s.activate(t)
	must[client.DomainDetails](t)(s.verify(t.Context(), mailDomain))
	if err := smtp.SendMail(s.smtp, nil, "a@sender.example", []string{"inbox@" + mailDomain}, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := smtp.SendMail(s.smtp, nil, "a@sender.example", []string{"inbox@nowhere.example"}, nil); err == nil {
		t.Fatal("mail for nobody was taken")
	}
	return s
}
