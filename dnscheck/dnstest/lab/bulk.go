package lab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Master is one zone of a Bulk authority: its apex without the final dot, and
// the records in it, as a master file has them. SOA and NS are added.
type Master struct{ Apex, Records string }

// Bulk is a Knot of one UDP worker that serves many zones and none of a Lab.
type Bulk struct {
	// Addr is the listen address, UDP and TCP.
	Addr netip.AddrPort
	// PID is that of the server, for those who measure it.
	PID int
}

// StartBulk returns a Bulk authority, which ends with the test. It fails the
// test where knotd is missing.
func StartBulk(t testing.TB, zones []Master) *Bulk {
	t.Helper()
	if _, err := exec.LookPath(sbin("knotd")); err != nil {
		t.Fatal("knotd is missing: apt-get install knot")
	}
	dir, err := os.MkdirTemp("", "bulk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	list, err := writeMasters(dir, zones)
	if err != nil {
		t.Fatal(err)
	}
	b := &Bulk{}
	knot, err := onFreePort(zones[len(zones)-1].Apex, func(at netip.AddrPort) (*process, error) {
		b.Addr = at
		return runKnot(dir, at, list)
	})
	if err != nil {
		t.Fatalf("start the authority: %v", err)
	}
	t.Cleanup(knot.stop)
	b.PID = knot.cmd.Process.Pid
	return b
}

// writeMasters writes one file a zone, and returns Knot's list of them.
func writeMasters(dir string, zones []Master) (list string, err error) {
	var b strings.Builder
	for _, z := range zones {
		file := filepath.Join(dir, z.Apex+".zone")
		if err := os.WriteFile(file, []byte(master(z.Apex, z.Records)), 0o600); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "  - domain: %q\n    file: %q\n", z.Apex+".", file)
	}
	return b.String(), nil
}
