package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/miekg/dns"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/store"
	"github.com/domaind/domaind/store/storetest"
)

var memory = flag.Bool("memory", false, "measure the service's memory with a million due domains")

const (
	memoryDomains = 1_000_000
	memoryUsers   = 1000
	memoryChecks  = 20_000 // looked at before the memory is read
	memoryWithin  = 5 * time.Minute
	memoryLimit   = 256 << 20
	memoryZone    = "memory-lab.net"
	memoryUser    = "user_0"
)

// TestMemory has the service claim and check domains out of a million that are
// all due, and reads the most memory that it ever held.
func TestMemory(t *testing.T) {
	if !*memory {
		t.Skip("a benchmark: make bench-memory")
	}
	storetest.SQLiteOnly(t)
	file := filepath.Join(t.TempDir(), "domaind.db")
	d := memoryTemplate(t, file)
	began := time.Now()
	db := multiply(t, file, d)
	fmt.Printf("filled %d domains in %.0f s\n", memoryDomains, time.Since(began).Seconds())
	s := serve(t, "DOMAIND_API_KEY="+labKey, "DOMAIND_MX_HOST="+mxHost, "DOMAIND_DATABASE="+file,
		"DOMAIND_DNS_SERVERS="+memoryDNS(t, d), "DOMAIND_DNS_DIRECT=false", "DOMAIND_DKIM_POOL=4")
	began = time.Now()
	var checked int
	eventually(t, memoryWithin, "enough checks", func() bool {
		checked = active(t, db)
		return checked >= memoryChecks
	})
	rate := float64(checked) / time.Since(began).Seconds()
	peak, now := residentOf(t, s.pid, "VmHWM"), residentOf(t, s.pid, "VmRSS")
	fmt.Printf("memory: %d MiB RSS, %d MiB at most, with %d domains, %.0f checked and activated a second\n",
		now>>20, peak>>20, memoryDomains, rate)
	if peak > memoryLimit {
		t.Errorf("the service held %d MiB, and may hold %d", peak>>20, memoryLimit>>20)
	}
}

// memoryTemplate makes one domain as the service does.
func memoryTemplate(t *testing.T, file string) store.Details {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{
		Database: file,
		Service:  dnscheck.Service{MXHost: mxHost, MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;", DMARCRequired: true},
		NewKey:   func(context.Context) (dkim.Key, error) { return dkim.Generate() },
	})
	if err != nil {
		t.Fatal(err)
	}
	const name = "template." + memoryZone
	d, _, err := db.CreateDomain(t.Context(), store.Tenant{UserID: memoryUser}, store.NewDomain{Name: name, Unicode: name})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return d
}

// multiply copies the template's rows, each column as it is but for those that
// tell one domain from another. It returns the database, which it keeps open.
func multiply(t *testing.T, file string, d store.Details) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	selector := selectorOf(t, d)
	const name, user = "printf('c%07d." + memoryZone + "', n)", "printf('user_%d', n % ?1)"
	renamed := func(column string) string {
		return fmt.Sprintf("replace(replace(%s, '%s', %s), '%s', printf('s%%07d', n))", column, d.Domain.Name, name, selector)
	}
	run := func(query string, args ...any) {
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	// A crash may lose it all; the service sets its own mode again.
	run("PRAGMA journal_mode = OFF")
	run("PRAGMA synchronous = OFF")
	for _, table := range []struct {
		name    string
		differs map[string]string
	}{
		{"domain", map[string]string{"id": "n", "name": name, "unicode": name}},
		{"record", map[string]string{"domain_id": "n", "host": renamed("host"), "name": renamed("name")}},
		{"dkim_key", map[string]string{"domain_id": "n", "selector": renamed("selector")}},
		{"expectation", map[string]string{"domain_id": "n", "records": renamed("records")}},
	} {
		table.differs["user_id"] = user
		columns, err := storetest.Columns(t.Context(), db, table.name)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]string, len(columns))
		for i, c := range columns {
			if values[i] = table.differs[c]; values[i] == "" {
				values[i] = c
			}
		}
		run(fmt.Sprintf(`WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < ?2)
			INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM series, (SELECT * FROM %[1]s)`,
			table.name, strings.Join(columns, ", "), strings.Join(values, ", ")), memoryUsers, memoryDomains)
	}
	run("PRAGMA journal_mode = WAL")
	return db
}

func active(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM domain WHERE status = 'active'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func selectorOf(t *testing.T, d store.Details) string {
	t.Helper()
	for _, r := range d.Records {
		if selector, ok := strings.CutSuffix(r.Host, "._domainkey"); ok {
			return selector
		}
	}
	t.Fatal("the domain has no DKIM record")
	return ""
}

// memoryDNS serves the template's records for all domains, and returns where.
func memoryDNS(t *testing.T, d store.Details) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	byPurpose := map[dnscheck.Purpose]string{}
	for _, r := range d.Records {
		byPurpose[r.Purpose] = quoted(r.Value)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		line, section := memoryRecord(byPurpose, q.Question[0]), &reply.Answer
		if line == "" { // the proof that there is none (RFC 2308 section 2.2)
			line, section = "SOA ns."+memoryZone+". root."+memoryZone+". 1 3600 600 86400 60", &reply.Ns
		}
		rr, err := dns.NewRR(q.Question[0].Name + " 60 " + line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			return
		}
		*section = append(*section, rr)
		_ = w.WriteMsg(reply)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-ended
	})
	return conn.LocalAddr().String()
}

// memoryRecord returns type and data of the answer, "" for none.
func memoryRecord(byPurpose map[dnscheck.Purpose]string, q dns.Question) string {
	name := strings.ToLower(q.Name)
	ours := strings.HasSuffix(name, "."+memoryZone+".")
	switch {
	case q.Qtype == dns.TypeA && name == mxHost+".":
		return "A " + mxIP
	case q.Qtype == dns.TypeMX && ours:
		return "MX 10 " + mxHost + "."
	case q.Qtype != dns.TypeTXT || !ours:
		return ""
	case strings.HasPrefix(name, "_dmarc."):
		return "TXT " + byPurpose[dnscheck.PurposeDMARC]
	case strings.Contains(name, "._domainkey."):
		return "TXT " + byPurpose[dnscheck.PurposeDKIM]
	}
	return "TXT " + byPurpose[dnscheck.PurposeSPF]
}

// residentOf reads a size from proc(5)'s status, in octets.
func residentOf(t *testing.T, pid int, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(field+":"))
	size, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" kB"))
	n, err := strconv.Atoi(string(size))
	if err != nil {
		t.Fatalf("%s of %d: %v", field, pid, err)
	}
	return n << 10
}
