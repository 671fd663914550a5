package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// used is a service that has seen some load, and is stopped.
func used(t *testing.T) *load {
	t.Helper()
	l := newLoad(t, newService(t), 1)
	l.writers, l.senders = l.writers[:1], l.senders[:1]
	l.begin(t)
	l.more()
	l.stop()
	return l
}

func (l *load) more() {
	for range 40 {
		l.writers[0].step()
		l.senders[0].step()
	}
	l.senders[0].hangUp()
}

// copied returns a service on a copy of the files, without a program.
func (s *service) copied(t *testing.T) *service {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return &service{t: t, dir: dir}
}

// TestHalvesAreSeen damages a database, and has each fault found.
func TestHalvesAreSeen(t *testing.T) {
	l := used(t)
	if found, err := l.audit(""); err != nil || len(found) > 0 {
		t.Fatalf("without damage: %v %v", found, err)
	}
	for _, c := range []struct{ damage, want string }{
		{`DELETE FROM record WHERE purpose = 'spf'`, "a domain without its four records"},
		{`DELETE FROM record WHERE purpose = 'dkim'`, "a key without its record"},
		{`DELETE FROM expectation`, "a domain whose checks look for something else"},
		{`UPDATE record SET situation = 7`, "a domain whose checks look for something else"},
		{`DELETE FROM dkim_key`, "a domain without an active key"},
		{`DELETE FROM dkim_key`, "a DKIM record without its key"},
		{`UPDATE domain SET route_version = 0`, "a domain without a route"},
		{`DELETE FROM event`, "a domain without the event of its making"},
		{`UPDATE domain SET deleted_at = 1, holder = 0, lane = -1, status = 'pending';
			DELETE FROM event WHERE type = 'domain.deleted'`, "a deleted domain without the event"},
		{`DELETE FROM delivery`, "a message without recipients"},
		{`UPDATE message SET raw = x'00' WHERE raw IS NOT NULL`, "a message with other octets"},
		{`UPDATE message SET raw = NULL`, "a message with other octets"},
		{`DELETE FROM domain WHERE user_id = 'mail'`, "what foreign_key_check says"},
		{`PRAGMA writable_schema = 1; DELETE FROM sqlite_schema WHERE name = 'delivery_keep'`, "what integrity_check says"},
	} {
		t.Run(c.want, func(t *testing.T) {
			s := l.copied(t)
			db, err := s.database("rw")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(c.damage); err != nil {
				t.Fatal(err)
			}
			found, err := s.audit("")
			if err != nil || !strings.Contains(strings.Join(found, "\n"), c.want) {
				t.Errorf("%s: found %v, %v", c.damage, found, err)
			}
		})
	}
}

// TestLossIsSeen starts the program on an older state of its database, which is
// what a lost commit leaves, and on one without its spool.
func TestLossIsSeen(t *testing.T) {
	l := used(t)
	older := l.copied(t)
	l.start()
	l.more()
	if m := l.missing(); len(m) > 0 {
		t.Fatalf("nothing was lost: %v", m)
	}
	l.more()
	l.stop()
	newer := l.dir
	l.dir, l.settings = older.dir, append(l.settings, "DOMAIND_DATABASE="+older.file())
	l.start()
	w, acks := l.writers[0].check(), l.senders[0].acks
	if m := l.lost(acks); len(w) == 0 || len(m) < len(acks) || len(acks) == 0 {
		t.Errorf("of the writes it misses %v, of %d messages %d", w, len(acks), len(m))
	}
	l.stop()

	l.dir, l.settings = newer, append(l.settings, "DOMAIND_DATABASE="+filepath.Join(newer, "domaind.db"))
	if err := os.RemoveAll(filepath.Join(newer, "spool")); err != nil {
		t.Fatal(err)
	}
	l.start()
	if m := l.lost(acks); len(m) == 0 {
		t.Error("it does not miss the spool")
	}
}
