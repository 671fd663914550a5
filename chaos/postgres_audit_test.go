package chaos

import (
	"fmt"
	"testing"
)

// auditSQL has the database write down each change of a checked domain that has
// to do with its checks: who made it, and from which epoch to which.
const auditSQL = `
CREATE TABLE audit (n BIGSERIAL PRIMARY KEY, domain_id BIGINT, who TEXT, kind TEXT, was BIGINT, epoch BIGINT,
	next_at BIGINT, at BIGINT, vain BOOLEAN);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO audit (domain_id, who, kind, was, epoch, next_at, at, vain) VALUES (NEW.id,
		current_setting('application_name'),
		CASE WHEN NEW.last_checked_at <> OLD.last_checked_at THEN 'record' WHEN NEW.epoch <> OLD.epoch THEN 'claim' ELSE 'due' END,
		OLD.epoch, NEW.epoch, NEW.next_check_at, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT,
		NEW.unknowns > 0);
	RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON domain FOR EACH ROW
	WHEN (NEW.user_id = '` + checkedUser + `' AND (OLD.epoch <> NEW.epoch OR OLD.next_check_at <> NEW.next_check_at
		OR OLD.last_checked_at <> NEW.last_checked_at))
	EXECUTE FUNCTION audit()`

// auditRow is one row of it.
type auditRow struct {
	domain, was, epoch, next, at int64
	who, kind                    string
}

// judgement is what the audit shows.
type judgement struct {
	claims, records, takeovers int
	doubles                    []string
}

// judge holds the audit against the rules: nobody claims what another holds, and
// a result is accepted only from who made the last claim, in its epoch.
func (f *fleet) judge() (j judgement, err error) {
	rows, err := f.db.Query(`SELECT domain_id, who, kind, was, epoch, next_at, at FROM audit ORDER BY n`)
	if err != nil {
		return j, err
	}
	defer rows.Close()
	held := make(map[int64]auditRow) // the claim in flight, by domain
	for rows.Next() {
		var e auditRow
		if err := rows.Scan(&e.domain, &e.who, &e.kind, &e.was, &e.epoch, &e.next, &e.at); err != nil {
			return j, err
		}
		j.add(held, e)
	}
	return j, rows.Err()
}

func (j *judgement) add(held map[int64]auditRow, e auditRow) {
	last, busy := held[e.domain]
	switch e.kind {
	case "due": // given back, or made due by the test: the lease ends earlier
		if busy {
			last.next = e.next
			held[e.domain] = last
		}
	case "record":
		j.records++
		if !busy || last.who != e.who || last.epoch != e.was {
			j.doubles = append(j.doubles, fmt.Sprintf("%+v was accepted; the claim is %+v", e, last))
		}
		delete(held, e.domain)
	default:
		j.claims++
		if busy && e.at < last.next {
			j.doubles = append(j.doubles, fmt.Sprintf("%+v claims what is held: %+v", e, last))
		}
		if busy && e.who != last.who {
			j.takeovers++
		}
		held[e.domain] = e
	}
}

// TestDoublesAreSeen gives the judge an audit with each fault.
func TestDoublesAreSeen(t *testing.T) {
	row := func(at int64, who, kind string, was, next int64) auditRow {
		epoch := was
		if kind != "due" {
			epoch++
		}
		return auditRow{domain: 1, at: at, who: who, kind: kind, was: was, epoch: epoch, next: next}
	}
	claim := row(0, "r0", "claim", 0, 90)
	for name, c := range map[string]struct {
		rows    []auditRow
		doubles int
	}{
		"recorded, claimed by another":   {[]auditRow{claim, row(1, "r0", "record", 1, 50), row(60, "r1", "claim", 2, 150)}, 0},
		"taken over after the lease":     {[]auditRow{claim, row(90, "r1", "claim", 1, 180), row(91, "r1", "record", 2, 0)}, 0},
		"given back, and taken":          {[]auditRow{claim, row(5, "r0", "due", 1, 5), row(5, "r1", "claim", 1, 95)}, 0},
		"made due, yet nobody took it":   {[]auditRow{claim, row(5, "", "due", 1, 5), row(6, "r0", "record", 1, 0)}, 0},
		"claimed while it is held":       {[]auditRow{claim, row(89, "r1", "claim", 1, 179)}, 1},
		"a late result":                  {[]auditRow{claim, row(90, "r1", "claim", 1, 180), row(91, "r0", "record", 1, 0)}, 1},
		"a late result after the result": {[]auditRow{claim, row(1, "r0", "record", 1, 50), row(2, "r0", "record", 1, 0)}, 1},
		"a result without a claim":       {[]auditRow{row(1, "r0", "record", 1, 50)}, 1},
		"the result of another":          {[]auditRow{claim, row(1, "r1", "record", 1, 50)}, 1},
	} {
		var j judgement
		held := make(map[int64]auditRow)
		for _, r := range c.rows {
			j.add(held, r)
		}
		if len(j.doubles) != c.doubles {
			t.Errorf("%s: %v, want %d", name, j.doubles, c.doubles)
		}
	}
}
