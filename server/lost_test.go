package server_test

import (
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domaind/domaind/store/storetest"
)

// TestMessageLost reads a message whose file is not there: that is said, and is
// not the same as no such message.
func TestMessageLost(t *testing.T) {
	storetest.SQLiteOnly(t) // mail lies in its row
	h := start(t)
	h.create("customer.com", "u1")
	m := h.mail("u1", "customer.com", letter+strings.Repeat("text\r\n", 20_000))
	ok(t, os.RemoveAll(filepath.Join(h.dir, "spool")))
	for path, want := range map[string]bool{
		m.message: true, m.message + "/raw": true, m.message + "/attachments/0": true, "01ARZ3NDEKTSV4RRFFQ69G5FAV": false,
	} {
		r, body := h.do(http.MethodGet, "/v2/domains/customer.com/messages/"+path+"?user_id=u1", "")
		if r.StatusCode != http.StatusNotFound || strings.Contains(body, "octets are lost") != want {
			t.Errorf("%s: %d %s", path, r.StatusCode, body)
		}
	}
	if n := strings.Count(h.logs.String(), `"message":"`+m.message); n != 3 {
		t.Errorf("logged %d times", n)
	}
}

// TestReadyMasterKey has another process seal with a key that is not here.
func TestReadyMasterKey(t *testing.T) {
	storetest.SQLiteOnly(t) // it is changed as a file
	h := start(t)
	db, err := sql.Open("sqlite3", filepath.Join(h.dir, "domaind.db"))
	ok(t, err)
	defer func() { ok(t, db.Close()) }()
	_, err = db.ExecContext(t.Context(), `UPDATE master_key SET current = 0;
		INSERT INTO master_key (id, canary, current, created_at) VALUES ('other', x'00', 1, 0)`)
	ok(t, err)
	r, body := h.do(http.MethodGet, "/readyz", "")
	if r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "master key") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}
