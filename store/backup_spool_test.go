package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A backup has the files that its messages name, by hard links or as copies,
// and tells those that are lost from those that were deleted.
func TestBackupSpool(t *testing.T) {
	damage := func(w *world, sum string) error {
		path := w.spool().path(sum)
		return errors.Join(os.Remove(path), os.WriteFile(path, []byte(strings.ToUpper(largeText("first.example"))), 0o600))
	}
	for name, c := range map[string]struct {
		fault func(w *world, sum string) error
		link  error // of all links
		want  BackedUp
	}{
		"linked":           {want: BackedUp{Files: 2}},
		"copied":           {link: syscall.EXDEV, want: BackedUp{Files: 2}},
		"lost":             {fault: func(w *world, sum string) error { return os.Remove(w.spool().path(sum)) }, want: BackedUp{Files: 1, Lost: 1}},
		"cut":              {fault: func(w *world, sum string) error { return os.Truncate(w.spool().path(sum), 10) }, want: BackedUp{Files: 2, Lost: 1}},
		"damaged, as copy": {fault: damage, link: syscall.EXDEV, want: BackedUp{Files: 2, Lost: 1}},
		"no spool there":   {fault: func(w *world, _ string) error { return os.RemoveAll(w.spool().dir) }, want: BackedUp{Lost: 2}},
		"with an orphan":   {fault: func(w *world, _ string) error { w.orphan(); return nil }, want: BackedUp{Files: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := mailWorld(t)
			id := w.mail("u1", "customer.com", largeText("first.example"))
			w.mail("u1", "customer.com", largeText("second.example"))
			m, err := w.Message(t.Context(), tenant("u1"), "customer.com", id)
			if err != nil {
				t.Fatal(err)
			}
			if c.fault != nil {
				if err := c.fault(w, m.SHA256); err != nil {
					t.Fatal(err)
				}
			}
			got, spool := w.backUp(c.link)
			if got.Files != c.want.Files || got.Lost != c.want.Lost || got.Deleted != 0 {
				t.Errorf("%+v", got)
			}
			files, octets := 0, int64(0)
			err = walkSpool(t.Context(), spool, func(sum, path string) error {
				info, err := os.Stat(path)
				if sum == "" || info.Mode().Perm() != 0o600 || sameFile(path, w.spool().path(sum)) != (c.link == nil) {
					t.Errorf("%s: %v", path, info)
				}
				files, octets = files+1, octets+info.Size()
				return err
			})
			if err != nil || files != got.Files || octets != got.Octets {
				t.Errorf("%d files of %d octets, %+v: %v", files, octets, got, err)
			}
		})
	}
}

// backUp makes a backup where each link fails with an error, if not nil.
func (w *world) backUp(fault error) (BackedUp, string) {
	w.tb.Helper()
	dir := w.tb.TempDir()
	b := w.newBackup(filepath.Join(dir, "stage"), filepath.Join(dir, "copy.db.spool"))
	if fault != nil {
		b.link = func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: fault} }
	}
	if err := errors.Join(os.Mkdir(b.done.Spool, 0o700), b.run(context.Background(), filepath.Join(dir, "temp.db"), filepath.Join(dir, "copy.db"))); err != nil {
		w.tb.Fatal(err)
	}
	return b.done, b.done.Spool
}

// A message that is deleted after the copy was made keeps its octets in it, if
// they were there when the backup began; else they are no loss.
func TestBackupDeletedMeanwhile(t *testing.T) {
	for name, want := range map[string]BackedUp{"there at the start": {Files: 1}, "came later": {Deleted: 1}} {
		t.Run(name, func(t *testing.T) {
			w := mailWorld(t)
			id := w.mail("u1", "customer.com", largeText("gone.example"))
			dir := t.TempDir()
			b := w.newBackup(filepath.Join(dir, "stage"), filepath.Join(dir, "copy.db.spool"))
			if want.Files > 0 {
				if err := b.takeAll(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			sizes, err := spooledIn(t.Context(), w.database)
			err = errors.Join(err, w.DeleteMessage(t.Context(), tenant("u1"), "customer.com", id))
			for sum, size := range sizes {
				err = errors.Join(err, b.gather(t.Context(), sum, size))
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.done.Deleted != want.Deleted || b.done.Lost != 0 || b.done.Files != want.Files {
				t.Errorf("%+v", b.done)
			}
		})
	}
}

// A backup replaces the one before: it keeps no file that no message of its
// names, saves one that the spool has lost since, and is never half done.
func TestBackupAgain(t *testing.T) {
	w := mailWorld(t)
	file := filepath.Join(t.TempDir(), "copy.db")
	first := w.mail("u1", "customer.com", largeText("first.example"))
	second := w.mail("u1", "customer.com", largeText("second.example"))
	if b, err := w.Backup(t.Context(), file); err != nil || b.Files != 2 {
		t.Fatalf("%+v, %v", b, err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.Message(t.Context(), tenant("u1"), "customer.com", second)
	if err := errors.Join(err, w.DeleteMessage(t.Context(), tenant("u1"), "customer.com", first), os.Remove(w.spool().path(m.SHA256))); err != nil {
		t.Fatal(err)
	}

	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := w.Backup(ended, file); err == nil {
		t.Error("an interrupted backup")
	}
	after, err := os.ReadFile(file)
	if err != nil || string(after) != string(before) {
		t.Error("it has changed the one before:", err)
	}
	unlock, err := lockBackup(file + ".spool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Backup(t.Context(), file); err == nil || !strings.Contains(err.Error(), "another one") {
		t.Error("two at a time:", err)
	}
	unlock()
	b, err := w.Backup(t.Context(), file)
	if err != nil || b.Files != 1 || b.Lost != 0 || !hasSize(spoolPath(b.Spool, m.SHA256), m.Bytes) {
		t.Errorf("%+v, %v", b, err)
	}
	files := 0
	err = walkSpool(t.Context(), b.Spool, func(string, string) error { files++; return nil })
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || files != 1 || len(left) > 0 {
		t.Errorf("%d files, %v: %v", files, left, err)
	}
	if _, err := w.Backup(ended, file+".none"); err == nil {
		t.Error("an interrupted first backup")
	}
	if left, _ := filepath.Glob(file + ".none*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func hasSize(file string, size int64) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() == size
}
