package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 || syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m") != nil {
		t.Skip("no right to mount a small disk")
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fillDisk takes all room that is left, and returns the file that has it.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// TestFullDisk fills the disk under the service: writes are refused with 507
// and when to come back, reads go on, it says that it is not ready, and all is
// well again, in the same process, once there is room.
func TestFullDisk(t *testing.T) {
	storetest.SQLiteOnly(t)
	t.Parallel()
	dir := smallDisk(t)
	s := serve(t, "DOMAIND_API_KEY="+labKey, "DOMAIND_MX_HOST=mx.mail.example", "DOMAIND_DKIM_POOL=1", "DOMAIND_RATE_LIMIT=0",
		"DOMAIND_DNS_SERVERS=127.0.0.1:1", "DOMAIND_ALLOW_SPECIAL_USE=true", "DOMAIND_DATABASE="+filepath.Join(dir, "domaind.db"))
	must[client.DomainDetails](t)(s.create(t.Context(), "before.example"))
	ballast := fillDisk(t, dir)
	var full *client.CreateDomainResponse
	for n := 0; full == nil && n < 50; n++ {
		reply, err := s.CreateDomainWithResponse(t.Context(), client.CreateDomainJSONRequestBody{
			Domain: fmt.Sprintf("d%d.example", n), UserID: labUser,
		})
		if err != nil {
			t.Fatal(err)
		}
		if reply.StatusCode() != http.StatusCreated {
			full = reply
		}
	}
	if full == nil || full.StatusCode() != http.StatusInsufficientStorage || full.HTTPResponse.Header.Get("Retry-After") == "" {
		t.Fatalf("on a full disk: %s %v %s", full.Status(), full.HTTPResponse.Header, full.Body)
	}
	must[client.DomainDetails](t)(s.info(t.Context(), "before.example"))
	eventually(t, startWithin, "not ready", func() bool { return s.notReady(t, "storage is full") })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, startWithin, "ready again", func() bool { return s.ready(t) == http.StatusOK })
	must[client.DomainDetails](t)(s.create(t.Context(), "after.example"))
}

// ready returns the status of the readiness probe.
func (s *service) ready(t *testing.T) int {
	t.Helper()
	status, _ := s.probe(t)
	return status
}

// notReady reports whether the probe says no, and this why.
func (s *service) notReady(t *testing.T, why string) bool {
	t.Helper()
	status, body := s.probe(t)
	return status == http.StatusServiceUnavailable && strings.Contains(body, why)
}

func (s *service) probe(t *testing.T) (int, string) {
	t.Helper()
	reply, err := http.Get(s.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(body)
}
