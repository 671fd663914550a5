package main_test

import (
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

// faultyDisk mounts an ext4 of its own in a file, and returns what has it turn
// read-only as it does by itself when its device fails: with files open for
// writing, which a mere remount refuses.
func faultyDisk(t *testing.T) (dir string, fail func()) {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if os.WriteFile(image, nil, 0o600) != nil || os.Truncate(image, 16<<20) != nil || os.Geteuid() != 0 {
		t.Skip("no right to make a disk")
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-O", "^has_journal", image).CombinedOutput(); err != nil {
		t.Skipf("no disk to make: %v %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop,errors=remount-ro", image, dir).CombinedOutput(); err != nil {
		t.Skipf("no right to mount a disk: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(deviceOf(t, dir)), "trigger_fs_error")
	if _, err := os.Stat(trigger); err != nil {
		t.Skip("the kernel lets nobody make a disk fail: ", err)
	}
	return dir, func() {
		if err := os.WriteFile(trigger, []byte("1"), 0o200); err != nil {
			t.Fatal(err)
		}
	}
}

func deviceOf(t *testing.T, dir string) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); fields[1] == dir {
			return fields[0]
		}
	}
	t.Fatalf("%s is not mounted", dir)
	return ""
}

// TestReadOnlyDisk has writes forbidden under the service, for a while and then
// for good: they are refused for now, reads go on, it says that it is not ready,
// and why, and it works again by itself.
func TestReadOnlyDisk(t *testing.T) {
	storetest.SQLiteOnly(t)
	t.Parallel()
	dir, fail := faultyDisk(t)
	s := serve(t, mailSettings(t, "DOMAIND_SMTP_LISTEN=127.0.0.1:0", "DOMAIND_RATE_LIMIT=0",
		"DOMAIND_DATABASE="+filepath.Join(dir, "domaind.db"))...)
	s.activate(t)
	chattr := func(flag string) {
		if out, err := exec.Command("chattr", flag, filepath.Join(dir, "domaind.db-wal")).CombinedOutput(); err != nil {
			t.Skipf("chattr: %v %s", err, out)
		}
	}

	chattr("+i")
	s.wantNoWrites(t)
	eventually(t, startWithin, "not ready", func() bool { return s.notReady(t, "cannot be written") })
	chattr("-i")
	eventually(t, startWithin, "ready again", func() bool { return s.ready(t) == http.StatusOK })
	must[client.DomainDetails](t)(s.create(t.Context(), "after.example"))

	fail()
	s.wantNoWrites(t)
	eventually(t, startWithin, "not ready", func() bool { return s.notReady(t, "storage is read-only") })
	if !strings.Contains(string(s.log.Whole()), "read-only file system") {
		t.Error("the log does not say why")
	}
	if exec.Command("mount", "-o", "remount,rw", dir).Run() != nil {
		return // this kernel wants the disk unmounted first, and so the service ended
	}
	eventually(t, startWithin, "ready again", func() bool { return s.ready(t) == http.StatusOK })
}

// wantNoWrites expects refusals that ask to come back, and reads.
func (s *service) wantNoWrites(t *testing.T) {
	t.Helper()
	reply, err := s.CreateDomainWithResponse(t.Context(), client.CreateDomainJSONRequestBody{Domain: "refused.example", UserID: labUser})
	if err != nil || reply.StatusCode() != http.StatusServiceUnavailable || reply.HTTPResponse.Header.Get("Retry-After") == "" {
		t.Errorf("create: %v %s %v", err, reply.Body, reply.HTTPResponse.Header)
	}
	must[client.DomainDetails](t)(s.info(t.Context(), mailDomain))
	for what, size := range map[string]int{"small": 100, "large": 100_000} { // into the row, or the spool
		err = smtp.SendMail(s.smtp, nil, "ann@sender.example", []string{"inbox@" + mailDomain},
			[]byte("Subject: x\r\n\r\n"+strings.Repeat("12345678\r\n", size/10)))
		if err == nil || !strings.HasPrefix(err.Error(), "452") {
			t.Errorf("a %s message: %v", what, err)
		}
	}
}
