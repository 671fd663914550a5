package main_test

import (
	"bytes"
	"context"
	"errors"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

// TestRestore goes by the README: a backup while the service runs, put in place
// in another directory, has the large mail, too.
func TestRestore(t *testing.T) {
	t.Parallel()
	storetest.SQLiteOnly(t)
	settings := mailSettings(t, "DOMAIND_SMTP_LISTEN=127.0.0.1:0", "DOMAIND_RELAY=off")
	s := serve(t, settings...)
	s.activate(t)
	letter := "From: ann@sender.example\r\nSubject: Hello\r\n\r\n" + strings.Repeat("text\r\n", 20_000)
	if err := smtp.SendMail(s.smtp, nil, "ann@sender.example", []string{"inbox@" + mailDomain}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, restored := filepath.Join(dir, "copy.db"), filepath.Join(dir, "domaind.db")
	said, code := backUp(t, settings, file)
	if code != 0 || !strings.Contains(said, "copy.db.spool: 1 files of large messages, 12") {
		t.Errorf("%d %s", code, said)
	}
	key, err := os.ReadFile(filepath.Join(filepath.Dir(databaseOf(settings)), "master.key"))
	if err := errors.Join(err, os.Rename(file, restored), os.Rename(file+".spool", filepath.Join(dir, "spool")),
		os.WriteFile(filepath.Join(dir, "master.key"), key, 0o600)); err != nil {
		t.Fatal(err)
	}
	again := slices.Concat(settings, []string{"DOMAIND_DATABASE=" + restored, "DOMAIND_MASTER_KEY_FILE=" + filepath.Join(dir, "master.key")})
	s = serve(t, again...)
	list, err := s.ListMessagesWithResponse(t.Context(), mailDomain, &client.ListMessagesParams{UserID: labUser})
	if err != nil || list.JSON200 == nil || len(list.JSON200.Messages) != 1 {
		t.Fatalf("messages: %v %s", err, list.Body)
	}
	user := labUser
	raw, err := s.GetMessageRawWithResponse(t.Context(), mailDomain, list.JSON200.Messages[0].ID, &client.GetMessageRawParams{UserID: &user})
	if err != nil || !bytes.HasSuffix(raw.Body, []byte(letter)) {
		t.Errorf("raw: %v, %d octets", err, len(raw.Body))
	}

	if err := os.RemoveAll(filepath.Join(dir, "spool")); err != nil {
		t.Fatal(err)
	}
	said, code = backUp(t, again, file)
	if _, err := os.Stat(file); err != nil || code != 1 || !strings.Contains(said, "domaind: back up to "+file+": of 1 files") {
		t.Errorf("without the spool: %d %s, %v", code, said, err)
	}
}

// backUp runs the command and returns all that it says, and its exit code.
func backUp(t *testing.T, settings []string, file string) (said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "backup", file)
	cmd.Env = settings
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// databaseOf returns the last database of settings.
func databaseOf(settings []string) (file string) {
	for _, s := range settings {
		if v, ok := strings.CutPrefix(s, "DOMAIND_DATABASE="); ok {
			file = v
		}
	}
	return file
}
