package chaos

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	_ "github.com/mattn/go-sqlite3" // the driver

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store"
)

// halves has a statement for each thing that a transaction cut in two would
// leave behind; what it returns is such a thing.
var halves = []struct{ what, sql string }{
	{"a domain without its four records", `SELECT name FROM domain WHERE (SELECT count(DISTINCT purpose)
		FROM record WHERE domain_id = domain.id AND record.user_id = domain.user_id) <> 4`},
	// As migration 00005 packs them: fields and records end with US and RS of ASCII.
	{"a domain whose checks look for something else", `SELECT name FROM domain WHERE COALESCE((SELECT records
		FROM expectation WHERE domain_id = domain.id), 'none') <> COALESCE((SELECT string_agg(concat_ws('` + "\x1f" + `',
		id, purpose, name, value, priority, CASE WHEN status = 'verified' THEN 1 ELSE 0 END, bad_looks, situation, retired),
		'` + "\x1e" + `' ORDER BY seq) FROM record WHERE domain_id = domain.id AND status <> 'disabled'
		AND key_state <> 'retired'), '')`},
	{"a domain without an active key", `SELECT name FROM domain WHERE (SELECT count(*) FROM dkim_key
		WHERE domain_id = domain.id AND state = 'active' AND length(sealed) > 0) <> 1`},
	{"a DKIM record without its key", `SELECT name FROM record WHERE purpose = 'dkim' AND NOT EXISTS (SELECT 1
		FROM dkim_key k WHERE k.domain_id = record.domain_id AND k.state = record.key_state
		AND k.selector || '._domainkey' = record.host)`},
	{"a key without its record", `SELECT selector FROM dkim_key WHERE NOT EXISTS (SELECT 1 FROM record
		WHERE record.domain_id = dkim_key.domain_id AND record.host = selector || '._domainkey')`},
	{"a domain without a route", `SELECT name FROM domain WHERE route_mode = '' OR route_version < 1`},
	{"a domain without the event of its making", `SELECT name FROM domain WHERE NOT EXISTS (SELECT 1 FROM event
		WHERE domain_id = domain.id AND type = 'domain.created')`},
	{"a deleted domain without the event", `SELECT name FROM domain WHERE deleted_at > 0 AND NOT EXISTS (SELECT 1
		FROM event WHERE domain_id = domain.id AND type = 'domain.deleted')`},
	{"a message without recipients", `SELECT id FROM message WHERE kind = 'mail'
		AND NOT EXISTS (SELECT 1 FROM delivery WHERE message_id = message.id)`},
	{"what integrity_check says", `SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`},
	{"what foreign_key_check says", `SELECT "table" || ' ' || "parent" FROM pragma_foreign_key_check`},
}

// audit looks into the database file, also while the program runs, and returns
// what is half written; of the messages it looks at those with an id after
// this one.
func (s *service) audit(after string) ([]string, error) {
	db, err := s.database("ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var found []string
	for _, h := range halves {
		list, err := column(db, h.sql)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.what, err)
		}
		for _, text := range list {
			found = append(found, h.what+": "+text)
		}
	}
	torn, err := s.torn(db, after)
	return append(found, torn...), err
}

func (s *service) file() string { return filepath.Join(s.dir, "domaind.db") }

// database opens the file without the program's store.
func (s *service) database(mode string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: s.file(), RawQuery: "_busy_timeout=5000&mode=" + mode}
	return sql.Open("sqlite3", dsn.String())
}

// torn returns the messages whose octets are not those that were hashed as
// they came in, acknowledged or not.
func (s *service) torn(db *sql.DB, after string) (found []string, err error) {
	rows, err := db.Query(`SELECT id, sha256, raw FROM message WHERE id > ?`, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, sum string
		var raw []byte
		if err := rows.Scan(&id, &sum, &raw); err != nil {
			return nil, err
		}
		if raw == nil {
			raw, err = os.ReadFile(filepath.Join(s.dir, "spool", sum[:2], sum[2:4], sum))
		}
		if is := sha256.Sum256(raw); err != nil || hex.EncodeToString(is[:]) != sum {
			found = append(found, fmt.Sprintf("a message with other octets: %s: %v", id, err))
		}
	}
	return found, rows.Err()
}

func column(db *sql.DB, query string) (list []string, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

// unlisted returns which of the messages have no row.
func (s *service) unlisted(acks []ack) (missing []string, err error) {
	db, err := s.database("ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	ids, err := column(db, `SELECT id FROM message ORDER BY id`)
	for _, a := range acks {
		if _, ok := slices.BinarySearch(ids, a.id); !ok {
			missing = append(missing, "message "+a.id+" has no row")
		}
	}
	return missing, err
}

// openKeys opens the sealed key of every live domain, with the program's own
// store, and returns those that do not open. The program must not run.
func (s *service) openKeys() (int, []string, error) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Database: s.file(), Service: dnscheck.Service{
		MXHost: mxHost, MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;", DMARCRequired: true,
	}})
	if err != nil {
		return 0, nil, err
	}
	defer db.Close()
	plain, err := s.database("ro")
	if err != nil {
		return 0, nil, err
	}
	defer plain.Close()
	rows, err := plain.Query(`SELECT user_id, name FROM domain WHERE deleted_at = 0`)
	if err != nil {
		return 0, nil, err
	}
	defer rows.Close()
	opened, shut := 0, []string(nil)
	for rows.Next() {
		var user, name string
		if err := rows.Scan(&user, &name); err != nil {
			return 0, nil, err
		}
		opened++
		if _, err := db.DKIMKey(ctx, store.Tenant{UserID: user}, name); err != nil {
			shut = append(shut, fmt.Sprintf("the key of %s: %v", name, err))
		}
	}
	return opened, shut, rows.Err()
}
