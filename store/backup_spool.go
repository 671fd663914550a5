package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// BackedUp says what a backup has of the spool.
type BackedUp struct {
	// Spool is the directory beside the copy, with as many Files of large
	// messages, of so many Octets in all. Messages of one content share a file.
	Spool  string
	Files  int
	Octets int64
	// Deleted is how many files went with their messages while the copy was
	// made. It may have such a message, without its octets.
	Deleted int
	// Lost is how many files the messages name that are not in the spool, or
	// are there with other content. The backup has the latter as they are.
	Lost int
}

// Backup writes a consistent copy of the database to a file, while it is in
// use: complete, on disk and checked, or not there at all. It replaces a file
// of that name, though never the database itself or the master key file. The
// master key is not in it: keep that apart. A PostgreSQL database is backed up
// by its own tools: then this returns an error that says so.
//
// The files of the spool that the copy names go to the directory FILE.spool,
// as hard links where that can be. Whenever it is interrupted, what is at FILE
// is whole with that directory: the backup before, or this one.
func (s *Store) Backup(ctx context.Context, file string) (BackedUp, error) {
	if isURL(s.c.Database) {
		return BackedUp{}, errors.New("store: this backs up SQLite files; use pg_dump for PostgreSQL")
	}
	spool := file + ".spool"
	for _, c := range [][2]string{{s.c.Database, file}, {s.c.masterKeyFile(), file}, {s.spool().dir, spool}} {
		if ours, target := c[0], c[1]; sameFile(ours, target) {
			return BackedUp{}, fmt.Errorf("store: create backup: %s is in use", target)
		}
	}
	unlock, err := lockBackup(spool)
	if err != nil {
		return BackedUp{}, err
	}
	defer unlock()
	stage, err := os.MkdirTemp(filepath.Dir(file), ".backup-*") // 0700
	if err != nil {
		return BackedUp{}, fmt.Errorf("store: create backup: %w", err)
	}
	b := s.newBackup(filepath.Join(stage, "spool"), spool)
	err = b.run(ctx, filepath.Join(stage, "copy.db"), file)
	if err = errors.Join(err, os.RemoveAll(stage)); err != nil {
		_ = os.Remove(spool) // only one that is empty
		return BackedUp{}, err
	}
	return b.done, nil
}

// lockBackup makes the directory for the spool and keeps other backups from it,
// which would remove files of this one.
func lockBackup(dir string) (unlock func(), err error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("store: create backup: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("store: create backup: %w", err)
	}
	// Not every file system can: there, nobody else is kept away.
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("store: create backup: another one writes %s", dir), d.Close())
	}
	return func() { _ = d.Close() }, nil
}

// backup is one under way.
type backup struct {
	s    *Store
	from string // the spool
	// stage is beside the target, on its file system.
	stage string
	link  func(from, to string) error
	// changed are the copies that do not have the content of their name.
	changed map[string]bool
	done    BackedUp
}

func (s *Store) newBackup(stage, spool string) *backup {
	return &backup{s: s, from: s.spool().dir, stage: stage, link: os.Link, changed: map[string]bool{}, done: BackedUp{Spool: spool}}
}

// run first takes what is in the spool, so that nothing of it can go, then
// copies the database, then takes what came meanwhile.
func (b *backup) run(ctx context.Context, temp, file string) error {
	if err := b.takeAll(ctx); err != nil {
		return err
	}
	if err := copyTo(ctx, b.s.c.Database, temp); err != nil {
		return err
	}
	sizes, err := spooledIn(ctx, temp)
	if err != nil {
		return err
	}
	for sum, size := range sizes {
		if err := errors.Join(ctx.Err(), b.gather(ctx, sum, size)); err != nil {
			return err
		}
	}
	// Content has one name: what is added takes nothing from the backup before.
	if err := b.place(sizes); err != nil {
		return err
	}
	if err := nameCopy(temp, file); err != nil {
		return err
	}
	return walkSpool(ctx, b.done.Spool, func(sum, path string) error {
		if _, needed := sizes[sum]; needed || sum == "" {
			return nil
		}
		return spoolErr("remove from backup", os.Remove(path))
	})
}

// takeAll takes all that is in the spool now.
func (b *backup) takeAll(ctx context.Context) error {
	return walkSpool(ctx, b.from, func(sum, _ string) error {
		if sum == "" {
			return nil
		}
		if err := b.take(sum); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// spooledIn returns the size of each file that a database names.
func spooledIn(ctx context.Context, file string) (map[string]int64, error) {
	db, err := openSQLite(readerDSN(file), 1)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		SHA256 string `db:"sha256"`
		Bytes  int64  `db:"bytes"`
	}
	err = db.SelectContext(ctx, &rows, `SELECT sha256, max(bytes) AS bytes FROM message WHERE raw IS NULL GROUP BY sha256`)
	if err := errors.Join(wrap("read backup", err), db.Close()); err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(rows))
	for _, r := range rows {
		sizes[r.SHA256] = r.Bytes
	}
	return sizes, nil
}

// gather takes a file that the copy names, and says what became of it.
func (b *backup) gather(ctx context.Context, sum string, size int64) error {
	err := b.take(sum)
	if errors.Is(err, fs.ErrNotExist) {
		var named bool
		if named, err = b.s.named(ctx, sum); err != nil {
			return err
		}
		if err = b.take(sum); errors.Is(err, fs.ErrNotExist) && !named { // the content may have come again
			b.done.Deleted++
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := os.Stat(spoolPath(b.stage, sum))
	if errors.Is(err, fs.ErrNotExist) { // the backup before may have it still
		info, err = os.Stat(spoolPath(b.done.Spool, sum))
	}
	if err != nil {
		b.done.Lost++
		return nil //nolint:nilerr // it is told by its number
	}
	if info.Size() != size || b.changed[sum] {
		b.done.Lost++
	}
	b.done.Files++
	b.done.Octets += info.Size()
	return nil
}

// take links or copies a file of the spool, unless that is done: fs.ErrNotExist
// where there is none.
func (b *backup) take(sum string) error {
	from, to := spoolPath(b.from, sum), spoolPath(b.stage, sum)
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return spoolErr("stage spool", err)
	}
	switch err := b.link(from, to); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return err
	}
	return b.copy(sum, from, to)
}

// copy is for another file system, or one without links.
func (b *backup) copy(sum, from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return spoolErr("read spool file", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return spoolErr("copy spool file", err)
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, hash), in)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return spoolErr("copy spool file", err)
	}
	b.changed[sum] = hex.EncodeToString(hash.Sum(nil)) != sum
	return nil
}

// place puts what was taken into the directory beside the file, and on disk.
func (b *backup) place(sizes map[string]int64) error {
	to := b.done.Spool
	dirs := map[string]bool{to: true, filepath.Dir(to): true}
	for sum := range sizes {
		path := spoolPath(to, sum)
		dir := filepath.Dir(path)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return spoolErr("place in backup", err)
		}
		dirs[dir], dirs[filepath.Dir(dir)] = true, true
		if err := os.Rename(spoolPath(b.stage, sum), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return spoolErr("place in backup", err)
		}
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return spoolErr("sync backup", err)
		}
	}
	return nil
}
