package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domaind/domaind/store/storetest"
)

func TestSecretNeverPrints(t *testing.T) {
	s := NewSecret("hunter2")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S Secret }{s})
	b, err := json.Marshal(map[string]any{"a": s, "b": []Secret{s}, "c": &s})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v", s, s, s, s, s, s, s, &s, struct{ S Secret }{s}) +
		string(b) + log.String() + fmt.Sprint(errors.Join(fmt.Errorf("%v", s)))
	if strings.Contains(all, "hunter2") || strings.Contains(all, "68756e74") {
		t.Errorf("printed: %s", all)
	}
	if s.Reveal() != "hunter2" {
		t.Error("Reveal does not give it back")
	}
}

func TestSealBindsTheRow(t *testing.T) {
	k, err := newMasterKey(generateMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	sealed := k.seal("row/1", []byte("secret"))
	if plain, err := k.open("row/1", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("open: %q, %v", plain, err)
	}
	if _, err := k.open("row/2", sealed); !errors.Is(err, ErrMasterKey) {
		t.Errorf("another row: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.open("row/1", bad); err == nil {
			t.Fatalf("octet %d changed, and it opened", i)
		}
	}
}

func TestMasterKeyFile(t *testing.T) {
	w := newWorld(t)
	w.create("u1", "customer.com")
	file := filepath.Join(w.dir, "master.key")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("master key file: %v, %v", info.Mode(), err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	other, _ := newMasterKey(generateMasterKey())
	for name, content := range map[string]string{
		"another key": other.secret.Reveal() + "\n", "no key": "# nothing\n", "rubbish": "x!\n", "short": "AAAA\n",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), w.config()); !errors.Is(err, ErrMasterKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), w.config()); !errors.Is(err, ErrMasterKey) {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a new key was made for a sealed database")
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	if k, err := w.DKIMKey(context.Background(), tenant("u1"), "customer.com"); err != nil ||
		!strings.HasPrefix(string(k.Private), "PRIVATE-CANARY") {
		t.Errorf("key after reopening: %q, %v", k.Private, err)
	}
}

func TestRekey(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for i := range rekeyBatch + 5 {
		w.create("u1", fmt.Sprintf("d%d.example.com", i))
	}
	route := PutRoute{Mode: ForwardModeWebhook, WebhookURL: "https://hook.example.com/"}
	d, err := w.PutRoute(ctx, tenant("u1"), "d1.example.com", route)
	if err != nil {
		t.Fatal(err)
	}
	replaced := "the-second-secret"
	route.Secret = &replaced
	if _, err := w.PutRoute(ctx, tenant("u1"), "d1.example.com", route); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(w.dir, "master.key"))

	// Interrupted after its first step: both keys are in use.
	if _, err := w.beginRekey(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.create("u1", "between.example.com")
	if n, err := w.Rekey(ctx, nil); err != nil || n != rekeyBatch+5+2 {
		t.Fatalf("rekey: %d, %v", n, err)
	}
	after, _ := os.ReadFile(filepath.Join(w.dir, "master.key"))
	if bytes.Equal(before, after) || bytes.Count(after, []byte("\n")) != 2 {
		t.Errorf("master key file: %d lines", bytes.Count(after, []byte("\n")))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	for _, name := range []string{"d0.example.com", "between.example.com"} {
		if _, err := w.DKIMKey(ctx, tenant("u1"), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := w.DeliveryRoute(ctx, d.Domain.ID)
	if err != nil || len(r.Secrets) != 2 || r.Secrets[0].Reveal() != replaced || r.Secrets[1].Reveal() != d.Route.NewSecret.Reveal() {
		t.Errorf("webhook secrets: %d, %v", len(r.Secrets), err)
	}
	if _, err := w.Rekey(ctx, []byte("short")); !errors.Is(err, ErrMasterKey) {
		t.Errorf("short key: %v", err)
	}
}

// Nothing of a known secret is in the database, its log, or a backup.
func TestSecretsAtRest(t *testing.T) {
	storetest.SQLiteOnly(t) // it reads the files
	w := newWorld(t)
	ctx := context.Background()
	w.create("u1", "customer.com")
	secret := "whsec_CANARY0123456789"
	route := PutRoute{Mode: ForwardModeWebhook, WebhookURL: "https://hook.example.com/", Secret: &secret}
	if _, err := w.PutRoute(ctx, tenant("u1"), "customer.com", route); err != nil {
		t.Fatal(err)
	}
	_, apiKey, err := w.CreateKey(ctx, NewKey{Scope: ScopeAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Backup(ctx, filepath.Join(w.dir, "backup.db")); err != nil {
		t.Fatal(err)
	}
	master, _ := readKeyFile(filepath.Join(w.dir, "master.key"))
	files, _ := filepath.Glob(filepath.Join(w.dir, "*.db*"))
	if len(files) < 2 {
		t.Fatalf("files %v", files)
	}
	for _, file := range files {
		if filepath.Ext(file) == ".spool" { // a directory, of mail
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{secret, "PRIVATE-CANARY", apiKey, master[0].secret.Reveal()} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds a secret", filepath.Base(file))
			}
		}
	}
}
