package store

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domaind/domaind/dnscheck"
)

// judgeExpectations holds what checks look for against the records, at the end
// of every test: whatever wrote a record must have told.
func (w *world) judgeExpectations(s *Store) {
	w.tb.Helper()
	ctx := context.Background()
	rows, err := s.read.query(ctx, `SELECT domain.id, user_id, records FROM domain
		LEFT JOIN expectation ON domain_id = domain.id ORDER BY domain.id LIMIT 1000`)
	if err != nil {
		return // closed, or broken by the test
	}
	defer rows.Close()
	packed := map[int64]string{}
	var claims []claim
	for rows.Next() {
		var c claim
		var text *string
		if err := rows.Scan(&c.ID, &c.UserID, &text); err != nil {
			w.tb.Fatal(err)
		}
		if text == nil {
			w.tb.Errorf("domain %d has no expectation", c.ID)
			continue
		}
		claims, packed[c.ID] = append(claims, c), *text
	}
	if err := rows.Err(); err != nil {
		w.tb.Fatal(err)
	}
	for _, c := range claims {
		_ = s.write(ctx, func(x *tx) error {
			lines, err := x.lines(c)
			if err == nil && pack(lines) != packed[c.ID] {
				w.tb.Errorf("domain %d: checks look for %q, its records are %q", c.ID, packed[c.ID], pack(lines))
			}
			return err
		})
	}
}

// What is packed comes out again, as a check wants it.
func TestPack(t *testing.T) {
	record := func(id int64, purpose dnscheck.Purpose, status RecordStatus) line {
		return line{Record: Record{ID: id, Purpose: purpose, Name: "x.example", Value: `v=1; "ü"`, Status: status}}
	}
	mx, old := record(1, dnscheck.PurposeMX, RecordStatusPending), record(2, dnscheck.PurposeDKIM, RecordStatusVerified)
	mx.Priority, mx.Looks, mx.Situation = 65535, 7, -1<<62
	old.KeyState = keyRetired
	key := record(1<<52, dnscheck.PurposeDKIM, RecordStatusVerified)
	key.KeyState, key.Retired = keyActive, []string{"v=DKIM1; p=a", `"`}
	got, err := unpack(pack([]line{mx, record(3, dnscheck.PurposeSPF, RecordStatusDisabled), old, key}))
	if err != nil {
		t.Fatal(err)
	}
	want := []dnscheck.Expectation{
		{ID: 1, Purpose: dnscheck.PurposeMX, Name: "x.example", Value: mx.Value, Priority: 65535, Failures: 7, Situation: -1 << 62},
		{ID: 1 << 52, Purpose: dnscheck.PurposeDKIM, Name: "x.example", Value: mx.Value, Verified: true, Retired: key.Retired},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if list, err := unpack(pack(nil)); err != nil || list != nil {
		t.Errorf("none: %v, %v", list, err)
	}
	for _, bad := range []string{"1", "1" + fieldEnd + "mx", pack([]line{mx}) + recordEnd} {
		if list, err := unpack(bad); err == nil {
			t.Errorf("%q became %v", bad, list)
		}
	}
}

// A database from before the expectations gets them from its records, those of
// a retired key, of a deleted domain and of odd text too: that they are as they
// would be written now is judged at the end.
func TestExpectationMigration(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "customer.com")
	other := w.create("u1", "other.com")
	w.check("u1", "customer.com", isMatch, nil)
	if _, err := w.RotateDKIM(context.Background(), tenant("u1"), "customer.com"); err != nil {
		t.Fatal(err)
	}
	w.check("u1", "customer.com", isMatch, nil)
	if n := count(w.events("u1", "customer.com"), EventDKIMRotated); n != 1 {
		t.Fatalf("%d keys were retired", n)
	}
	w.create("u1", "gone.com")
	if err := w.DeleteDomain(context.Background(), tenant("u1"), "gone.com"); err != nil {
		t.Fatal(err)
	}
	w.create("u1", "odd.com")
	w.create("u1", "empty.com")
	w.clock.forward(time.Minute)
	w.check("u1", "other.com", isMissing, nil)
	if _, err := w.MarkRecord(context.Background(), tenant("u1"), "other.com",
		Mark{RecordID: other.Records[1].ID, Status: RecordStatusDisabled}); err != nil {
		t.Fatal(err)
	}
	target := func() (list []dnscheck.Target) {
		for _, name := range []string{"customer.com", "other.com"} {
			x, err := w.Target(context.Background(), tenant("u1"), name)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, x)
		}
		return list
	}
	before := target()
	p, err := w.dialect.provider(w.writeDB)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DownTo(context.Background(), 4); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`UPDATE record SET value = '"ü" ''x'' \ ,|' || value || ' ', situation = -1, priority = 0 WHERE name LIKE '%odd.com'`,
		`DELETE FROM record WHERE name LIKE '%empty.com'`,
	} {
		if _, err := w.writeDB.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	if diff := cmp.Diff(before, target()); diff != "" {
		t.Error(diff)
	}
}

// What checks look for may be missing or old, where an older program made or
// changed a domain: no other domain waits for that, and the next check is right.
func TestExpectationHeals(t *testing.T) {
	for name, damage := range map[string]string{
		"missing": `DELETE FROM expectation WHERE domain_id = ?`,
		"old":     `UPDATE expectation SET records = '' WHERE domain_id = ?`,
		"broken":  `UPDATE expectation SET records = 'x' WHERE domain_id = ?`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.log = slog.New(slog.DiscardHandler)
			ctx := context.Background()
			bad := w.create("u1", "a.com").Domain.ID
			w.create("u1", "b.com")
			err := w.write(ctx, func(x *tx) error { _, err := x.exec(damage, bad); return err })
			if err != nil {
				t.Fatal(err)
			}
			jobs, err := w.Due(ctx, 10)
			if err != nil || len(jobs) != 2 {
				t.Fatalf("claimed %+v, %v", jobs, err)
			}
			for _, j := range jobs {
				if len(j.Target.Records) != 4 && j.DomainID != bad {
					t.Errorf("another has %+v", j.Target.Records)
				}
				if err := w.Record(ctx, j, report(j, isMatch, nil)); err != nil {
					t.Fatal(err)
				}
			}
			jobs, err = w.Due(ctx, 10)
			if err != nil || len(jobs) != 1 || jobs[0].DomainID != bad || len(jobs[0].Target.Records) != 4 {
				t.Errorf("then %+v, %v", jobs, err)
			}
		})
	}
}
