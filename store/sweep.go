package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// orphanAge is how old a spool file without a row must be to be swept at the
// start: a younger one may be about to get its row.
const orphanAge = time.Hour

// What pairs a database with its spool: both have the same mark, a number that
// each start draws anew; and since when they have been used together, in ms.
const (
	pairMark  = "spool_mark" // the setting
	pairSince = "spool_since"
	pairFile  = "mark" // of the spool
)

// SweepSpool removes files that no message names: what a crash left between
// the file and its row. It is meant for the start; it returns how many.
//
// It removes only what came while this database and this spool have been used
// together without a break. Else an empty database, another, or an older one
// beside a spool would cost all mail that it does not know of. How many files
// are left for that reason is logged.
func (s *Store) SweepSpool(ctx context.Context) (int, error) {
	var since time.Time
	if s.dialect.spool {
		var err error
		if since, err = s.pair(ctx); err != nil {
			return 0, err
		}
	}
	removed, left := 0, 0
	err := walkSpool(ctx, s.spool().dir, func(sum, path string) error {
		info, err := os.Lstat(path)
		if err != nil || s.now().Sub(info.ModTime()) < orphanAge {
			return nil //nolint:nilerr // it went in the meantime
		}
		switch {
		case sum == "" && !s.spool().unfinished(path):
			return nil // none of ours
		case sum != "" && info.ModTime().Before(since):
			named, err := s.named(ctx, sum)
			if err == nil && !named {
				left++
			}
			return err
		}
		gone, err := s.removeSpooled(ctx, path)
		if gone {
			removed++
		}
		return err
	})
	if left > 0 {
		s.log.Warn("spool has files of no message, left because they came before this database was used with it",
			"files", left, "since", since.UTC())
	}
	return removed, spoolErr("sweep spool", err)
}

// unfinished reports whether a file is of a message that was never accepted.
func (p *spool) unfinished(path string) bool {
	return filepath.Dir(path) == filepath.Join(p.dir, "tmp") && strings.HasPrefix(filepath.Base(path), "in-")
}

// pair returns since when the database and the spool have been used together,
// which is now where their marks differ, and marks both anew: a copy of either
// from before is no pair with the other.
func (s *Store) pair(ctx context.Context) (time.Time, error) {
	file := filepath.Join(s.spool().dir, pairFile)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, unusable("read mark of spool", err)
	}
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return time.Time{}, fmt.Errorf("store: draw mark of spool: %w", err)
	}
	mark := number.Int64() + 1 // none is 0
	var since int64
	err = s.write(ctx, func(x *tx) error {
		since, err = x.pair(strings.TrimSpace(string(text)), mark)
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("store: mark spool: %w", err)
	}
	return at(since), s.spool().mark(file, mark)
}

func (x *tx) pair(found string, mark int64) (since int64, err error) {
	var was int64
	err = x.queryRow(context.Background(), `SELECT coalesce(max(CASE WHEN name = ? THEN value END), 0),
		coalesce(max(CASE WHEN name = ? THEN value END), 0) FROM setting WHERE name IN (?, ?)`,
		pairMark, pairSince, pairMark, pairSince).Scan(&was, &since)
	if err != nil {
		return 0, wrap("read mark of spool", err)
	}
	if found != strconv.FormatInt(was, 10) || was == 0 {
		since = ms(x.now)
	}
	_, err = x.exec(`INSERT INTO setting (name, value) VALUES (?, ?), (?, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, pairMark, mark, pairSince, since)
	return since, wrap("write mark of spool", err)
}

// mark writes the file, whole or not at all.
func (p *spool) mark(file string, mark int64) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return unusable("make spool", err)
	}
	f, err := os.CreateTemp(p.dir, ".mark-") // 0600
	if err != nil {
		return unusable("mark spool", err)
	}
	_, err = fmt.Fprintln(f, mark)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(unusable("mark spool", err), os.Remove(f.Name()))
	}
	return unusable("sync spool", syncDir(p.dir))
}

// unpair has a copy of a database belong to no spool: when it is put in the
// place of its original, the spool has mail that the copy does not know.
func unpair(ctx context.Context, file string) error {
	db, err := openSQLite(sqliteDSN(file, map[string][]string{"mode": {"rw"}}), 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `DELETE FROM setting WHERE name = ?`, pairMark)
	return errors.Join(wrap("change backup", err), db.Close())
}

// named reports whether a message's octets are in the spool file.
func (s *Store) named(ctx context.Context, sum string) (bool, error) {
	var n int
	err := s.read.queryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM message
		WHERE sha256 = ? AND raw IS NULL LIMIT 1) AS m`, sum).Scan(&n)
	return n > 0, wrap("read spooled message", err)
}

// removeSpooled removes a file of the spool unless a message still names it.
func (s *Store) removeSpooled(ctx context.Context, path string) (bool, error) {
	p := s.spool()
	p.mu.Lock()
	defer p.mu.Unlock()
	if sum := sumOf(p.dir, path); sum != "" {
		if named, err := s.named(ctx, sum); named || err != nil {
			return false, err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, spoolErr("remove spool file", err)
	}
	return true, nil
}
