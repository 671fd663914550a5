package store

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/domaind/domaind/store/storetest"
)

// everyCall makes the calls of the API, and has two users contend for a name.
func (w *world) everyCall() {
	w.tb.Helper()
	ctx, who := context.Background(), tenant("u1")
	ok := func(err error) {
		w.tb.Helper()
		if err != nil {
			w.tb.Fatal(err)
		}
	}
	for _, user := range []string{"u1", "rival"} {
		w.create(user, "plan.example.com")
		w.check(user, "plan.example.com", isMatch, nil)
	}
	_, secret, err := w.CreateKey(ctx, NewKey{Scope: ScopeAdmin})
	ok(err)
	_, err = w.KeyBySecret(ctx, secret)
	ok(err)
	d := w.get("u1", "plan.example.com")
	_, err = w.PutRoute(ctx, who, d.Domain.Name, PutRoute{Mode: ForwardModeWebhook, WebhookURL: "https://example.org/"})
	ok(err)
	_, err = w.MarkRecord(ctx, who, d.Domain.Name, Mark{RecordID: d.Records[0].ID, Status: RecordStatusVerified})
	ok(err)
	_, _, err = w.Events(ctx, who, d.Domain.Name, 0, "")
	ok(err)
	_, _, err = w.Messages(ctx, who, d.Domain.Name, 0, "")
	ok(err)
	_, err = w.RotateDKIM(ctx, who, d.Domain.Name)
	ok(err)
	_, err = w.Due(ctx, 4)
	ok(err)
	ok(w.Ready(ctx))
	_, _, err = w.QueueDepth(ctx)
	ok(err)
	ok(w.DeleteDomain(ctx, who, d.Domain.Name))
	_, _, err = w.CreateDomain(ctx, who, NewDomain{Name: d.Domain.Name}) // takes it back
	ok(err)
	for _, f := range listFilters() {
		_, _, err = w.Domains(ctx, who, f)
		ok(err)
	}
}

func listFilters() []DomainFilter {
	return []DomainFilter{
		{}, {Status: DomainStatusFailed}, {OrganizationID: "org"}, {Status: DomainStatusFailed, OrganizationID: "org"},
	}
}

// statements returns the texts of all that was asked so far.
func (s *statements) asked() (list []string) {
	s.bound.Range(func(q, _ any) bool {
		list = append(list, q.(string))
		return true
	})
	return list
}

// No call reads more of a table because there is more in it: each statement
// finds its rows by an index, without statistics too, which SQLite has none of.
func TestPlans(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	w.read.sql = &statements{d: &dialect{numbered: true}} // so that it remembers them
	w.everyCall()
	if _, err := w.Stats(context.Background()); err != nil {
		t.Fatal(err)
	}
	asked := w.read.sql.asked()
	if len(asked) < 40 {
		t.Fatalf("only %d statements", len(asked))
	}
	whole := []string{ // that may be read
		"SCAN master_key",
		"SCAN domain USING COVERING INDEX domain_held", // none, but after a mass fault
	}
	for _, q := range asked {
		for _, step := range w.explain(q) {
			if strings.HasPrefix(step, "SCAN ") && q != countQuery && !slices.Contains(whole, step) {
				t.Errorf("%s\n%s", q, step)
			}
		}
	}
}

// explain returns the steps of SQLite's plan.
func (w *world) explain(q string) (steps []string) {
	w.tb.Helper()
	rows, err := w.writeDB.Query("EXPLAIN QUERY PLAN "+q, make([]any, strings.Count(q, "?"))...)
	if err != nil {
		w.tb.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			w.tb.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		w.tb.Fatal(err)
	}
	return steps
}

// Of very many domains of a user, a list reads those that it shows.
func TestListPlans(t *testing.T) {
	storetest.SQLiteOnly(t)
	for want, f := range map[string]DomainFilter{
		"(user_id=? AND name>?)":                                    {},
		"(user_id=? AND status=? AND name>?)":                       {Status: DomainStatusFailed},
		"(user_id=? AND organization_id=? AND name>?)":              {OrganizationID: "org"},
		"(user_id=? AND organization_id=? AND status=? AND name>?)": {Status: DomainStatusFailed, OrganizationID: "org"},
	} {
		w := newWorld(t)
		w.read.sql = &statements{d: &dialect{numbered: true}}
		if _, _, err := w.Domains(context.Background(), tenant("u1"), f); err != nil {
			t.Fatal(err)
		}
		for _, q := range w.read.sql.asked() {
			if steps := w.explain(q); len(steps) != 1 || !strings.HasSuffix(steps[0], want) {
				t.Errorf("%+v: %q, want one search by %s", f, steps, want)
			}
		}
	}
}

// On PostgreSQL the rows are counted that the calls read. An index that is read
// from end to end for one row does not show in that, so that the lock of a name,
// which all writes begin with, shows its plan.
func TestRowsRead(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip("about PostgreSQL only")
	}
	const many, few = 2000, 500
	w := newWorld(t)
	w.fill(many / 8)
	storetest.Grow(t, w.database, many)
	before := w.rowsRead()
	w.everyCall()
	for table, n := range w.rowsRead() {
		if read := n - before[table]; read > few {
			t.Errorf("%d rows of %s were read", read, table)
		}
	}
	lock := strings.Replace(w.dialect.lockName, "?", "'plan.example.com'", 1)
	var plan []string
	if err := w.read.db.Select(&plan, "EXPLAIN "+lock); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); !strings.Contains(text, " domain_claims ") {
		t.Errorf("%s\n%s", lock, text)
	}
}

// rowsRead returns how many rows of each table were read so far. A session tells
// of its own when it ends.
func (w *world) rowsRead() map[string]int64 {
	w.tb.Helper()
	if err := w.Close(); err != nil {
		w.tb.Fatal(err)
	}
	w.open()
	rows, err := w.read.db.Query(`SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables
		WHERE schemaname = current_schema()`)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var table string
		var n int64
		if err := rows.Scan(&table, &n); err != nil {
			w.tb.Fatal(err)
		}
		out[table] = n
	}
	if err := rows.Err(); err != nil {
		w.tb.Fatal(err)
	}
	return out
}
