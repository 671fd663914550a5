package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// RecordStatus is a record's state over time.
type RecordStatus string

// The four states of a record; frozen.
const (
	RecordStatusPending  RecordStatus = "pending"
	RecordStatusVerified RecordStatus = "verified"
	RecordStatusFailed   RecordStatus = "failed"
	RecordStatusDisabled RecordStatus = "disabled"
)

// Record is one DNS record that a domain must publish, with what is known of it.
type Record struct {
	ID       int64 // positive, below 2^53, unique within the domain
	Type     string
	Purpose  dnscheck.Purpose
	Host     string // relative: "@", "_dmarc", "<selector>._domainkey"
	Name     string // FQDN, no final dot
	Value    string
	Priority uint16 // MX only
	TTL      int    // seconds
	Required bool

	Status    RecordStatus
	Override  bool // set by an admin's mark, until a mark "pending"
	Degraded  bool // verified, but last seen bad
	Code      string
	Detail    string
	Hint      string
	Observed  []string
	Suggested string
	Warnings  []dnscheck.Warning

	LastCheckedAt time.Time // zero: never yet
	VerifiedAt    time.Time // zero: never yet
}

const recordColumns = `id, type, purpose, host, name, value, priority, ttl, required, status, override,
	degraded, code, detail, hint, observed, suggested, warnings, last_checked_at, verified_at`

type recordScan struct {
	observed, warnings string
	checked, verified  int64
}

func (c *recordScan) dest(r *Record) []any {
	return []any{&r.ID, &r.Type, &r.Purpose, &r.Host, &r.Name, &r.Value, &r.Priority, &r.TTL, &r.Required,
		&r.Status, &r.Override, &r.Degraded, &r.Code, &r.Detail, &r.Hint, &c.observed, &r.Suggested,
		&c.warnings, &c.checked, &c.verified}
}

func (c *recordScan) put(r *Record) error {
	r.LastCheckedAt, r.VerifiedAt = at(c.checked), at(c.verified)
	if err := fromText(c.observed, &r.Observed); err != nil {
		return err
	}
	return fromText(c.warnings, &r.Warnings)
}

// records reads those of a domain, and at which revision the domain is now; none
// and -1 where it is gone.
func records(ctx context.Context, q queryer, d Domain) (list []Record, revision int64, err error) {
	rows, err := q.query(ctx, `SELECT `+recordColumns+`, (SELECT revision FROM domain WHERE id = ?) FROM record
		WHERE domain_id = ? AND user_id = ? ORDER BY seq`, d.ID, d.ID, d.UserID)
	if err != nil {
		return nil, 0, wrap("read records", err)
	}
	defer rows.Close()
	list, revision = make([]Record, 0, 4), -1
	for rows.Next() {
		var r Record
		var scan recordScan
		if err := rows.Scan(append(scan.dest(&r), &revision)...); err != nil {
			return nil, 0, wrap("read records", err)
		}
		if err := scan.put(&r); err != nil {
			return nil, 0, wrap("read records", err)
		}
		list = append(list, r)
	}
	return list, revision, wrap("read records", rows.Err())
}

// The states of a DKIM record and its key in a rotation.
const (
	keyActive  = "active"
	keyNext    = "next"
	keyRetired = "retired"
)

// line is a whole record row, as a write sees it.
type line struct {
	Record
	Seq          int
	PendingSince time.Time
	evidence
	// Situation is that of the look whose words are kept (dnscheck.Result).
	Situation int64
	KeyState  string   // DKIM only
	Retired   []string // older values, so that an old key is told from a foreign one
}

func (r *line) state() state {
	return state{
		Status: r.Status, Override: r.Override, Degraded: r.Degraded,
		VerifiedAt: r.VerifiedAt, PendingSince: r.PendingSince, evidence: r.evidence,
	}
}

func (r *line) setState(s state) {
	r.Status, r.Override, r.Degraded = s.Status, s.Override, s.Degraded
	r.VerifiedAt, r.PendingSince, r.evidence = s.VerifiedAt, s.PendingSince, s.evidence
}

func parts(lines []line) []part {
	list := make([]part, 0, len(lines))
	for _, r := range lines {
		if r.KeyState == keyRetired {
			continue
		}
		list = append(list, part{
			Purpose: r.Purpose, Status: r.Status, Required: r.Required,
			Override: r.Override, Degraded: r.Degraded,
		})
	}
	return list
}

func (x *tx) lines(c claim) ([]line, error) {
	rows, err := x.query(context.Background(), `SELECT `+recordColumns+`, seq, pending_since, bad_count,
		bad_first_at, bad_last_at, suspect_at, suspect_ttl, match_ttl, bad_looks, situation, key_state, retired FROM record
		WHERE domain_id = ? AND user_id = ? ORDER BY seq`, c.ID, c.UserID)
	if err != nil {
		return nil, wrap("read records", err)
	}
	defer rows.Close()
	list := make([]line, 0, 4)
	for rows.Next() {
		r, err := scanLine(rows)
		if err != nil {
			return nil, wrap("read records", err)
		}
		list = append(list, r)
	}
	return list, wrap("read records", rows.Err())
}

func scanLine(row scanner) (line, error) {
	var r line
	var scan recordScan
	var pending, first, last, suspect, suspectTTL, matchTTL int64
	var retired string
	err := row.Scan(append(scan.dest(&r.Record), &r.Seq, &pending, &r.Bad, &first, &last, &suspect,
		&suspectTTL, &matchTTL, &r.Looks, &r.Situation, &r.KeyState, &retired)...)
	if err != nil {
		return line{}, err
	}
	r.PendingSince, r.First, r.Last, r.Suspect = at(pending), at(first), at(last), at(suspect)
	r.SuspectTTL = time.Duration(suspectTTL) * time.Millisecond
	r.MatchTTL = time.Duration(matchTTL) * time.Millisecond
	if err := scan.put(&r.Record); err != nil {
		return line{}, err
	}
	return r, fromText(retired, &r.Retired)
}

// putLine writes all of a record that changes after its creation.
func (x *tx) putLine(c claim, r line) error {
	_, err := x.exec(`UPDATE record SET required = ?, status = ?, override = ?, degraded = ?, code = ?,
		detail = ?, hint = ?, observed = ?, suggested = ?, warnings = ?, last_checked_at = ?, verified_at = ?,
		pending_since = ?, bad_count = ?, bad_first_at = ?, bad_last_at = ?, suspect_at = ?, suspect_ttl = ?,
		match_ttl = ?, bad_looks = ?, situation = ?, key_state = ?, retired = ? WHERE domain_id = ? AND seq = ? AND user_id = ?`,
		r.Required, r.Status, r.Override, r.Degraded, r.Code, r.Detail, r.Hint, toText(r.Observed),
		r.Suggested, toText(r.Warnings), ms(r.LastCheckedAt), ms(r.VerifiedAt), ms(r.PendingSince), r.Bad,
		ms(r.First), ms(r.Last), ms(r.Suspect), r.SuspectTTL.Milliseconds(), r.MatchTTL.Milliseconds(),
		r.Looks, r.Situation, r.KeyState, toText(r.Retired), c.ID, r.Seq, c.UserID)
	return wrap("write record", err)
}

func (x *tx) insertLine(c claim, r line) error {
	_, err := x.exec(`INSERT INTO record (domain_id, seq, user_id, id, type, purpose, host, name, value,
		priority, ttl, required, status, pending_since, key_state, retired)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ID, r.Seq, c.UserID, r.ID, r.Type, r.Purpose, r.Host, r.Name, r.Value, r.Priority, r.TTL,
		r.Required, r.Status, ms(r.PendingSince), r.KeyState, toText(r.Retired))
	return wrap("insert record", err)
}

// toText and fromText keep a list in one column: JSON, and "" for none.
func toText[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "" // strings always marshal
	}
	return string(b)
}

func fromText[T any](text string, list *[]T) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), list)
}
