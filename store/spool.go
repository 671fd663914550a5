package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// maxBlob is up to where the octets of a message lie in its row; more go to a
// file. Above some 64 KB a file is faster to write and to read.
const maxBlob = 64 << 10

// ErrNoOctets is an ErrNotFound: the message is there, but the file with its
// octets is not, as after a restore without the spool.
var ErrNoOctets = fmt.Errorf("octets of the message %w", ErrNotFound)

// spool keeps large messages as files named by their content,
// aa/bb/<sha256>. Whoever moves a file into place holds mu for reading until
// its row is committed; whoever removes one holds it alone, so that no row is
// ever committed for a file that is going.
type spool struct {
	dir string
	mu  sync.RWMutex
	// rooted says that the directory itself is durable in its parent.
	rooted atomic.Bool
}

func (s *Store) spool() *spool { return s.mail.spoolOf(s.c) }

// mailState is what the mail part of a Store keeps in memory.
type mailState struct {
	once sync.Once
	sp   spool
	keys sync.Mutex
	key  []byte
}

func (m *mailState) spoolOf(c Config) *spool {
	m.once.Do(func() {
		m.sp.dir = c.SpoolDir
		if m.sp.dir == "" {
			m.sp.dir = filepath.Join(filepath.Dir(c.Database), "spool")
			if isURL(c.Database) {
				m.sp.dir = filepath.Join(os.TempDir(), fmt.Sprintf("domaind-spool-%d", os.Getuid())) // only while mail comes in
			}
		}
	})
	return &m.sp
}

func (p *spool) path(sum string) string { return spoolPath(p.dir, sum) }

// spoolPath is where the octets with a SHA-256 lie, in the spool as in a backup.
func spoolPath(dir, sum string) string {
	return filepath.Join(dir, sum[:2], sum[2:4], sum)
}

// sumOf returns the SHA-256 that names a file of a spool, "" for another file.
func sumOf(dir, path string) string {
	sum := filepath.Base(path)
	if len(sum) != 2*sha256.Size || strings.Trim(sum, "0123456789abcdef") != "" || spoolPath(dir, sum) != path {
		return ""
	}
	return sum
}

// walkSpool calls f for each file below a spool's directory, which need not be
// there: with the SHA-256 that names it, or "" for what is no message.
func walkSpool(ctx context.Context, dir string, f func(sum, path string) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || d.IsDir():
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		return f(sumOf(dir, path), path)
	})
}

// Body takes the octets of a message as they come in. Close it in any case; it
// is kept only by a successful AddMessage.
type Body struct {
	spool *spool
	hash  hash.Hash
	n     int64
	buf   []byte
	file  *os.File
}

// NewBody returns an empty Body.
func (s *Store) NewBody() *Body {
	return &Body{spool: s.spool(), hash: sha256.New(), buf: make([]byte, 0, 16<<10)}
}

// Write implements io.Writer. The error is ErrFull when the disk is.
func (b *Body) Write(p []byte) (int, error) {
	b.hash.Write(p)
	b.n += int64(len(p))
	if b.file == nil && b.n <= maxBlob {
		b.buf = append(b.buf, p...)
		return len(p), nil
	}
	if b.file == nil {
		if err := b.spill(); err != nil {
			return 0, err
		}
	}
	n, err := b.file.Write(p)
	return n, spoolErr("write spool file", err)
}

// spill moves what came so far to a file.
func (b *Body) spill() error {
	tmp := filepath.Join(b.spool.dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return spoolErr("make spool", err)
	}
	f, err := os.CreateTemp(tmp, "in-")
	if err != nil {
		return spoolErr("make spool file", err)
	}
	b.file = f
	_, err = f.Write(b.buf)
	b.buf = nil
	return spoolErr("write spool file", err)
}

// Len returns how many octets came.
func (b *Body) Len() int64 { return b.n }

// Sum returns the SHA-256 of what came, in lower-case hex.
func (b *Body) Sum() string { return hex.EncodeToString(b.hash.Sum(nil)) }

// Spooled reports whether the octets are in a file.
func (b *Body) Spooled() bool { return b.file != nil }

// place makes a spooled body durable under its name. The caller holds mu.
func (b *Body) place() error {
	if err := b.file.Sync(); err != nil {
		return spoolErr("sync spool file", err)
	}
	to := b.spool.path(b.Sum())
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return spoolErr("make spool", err)
	}
	if err := os.Rename(b.file.Name(), to); err != nil {
		return spoolErr("place spool file", err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		if err := syncDir(d); err != nil {
			return spoolErr("sync spool", err)
		}
		if d == b.spool.dir || len(d) <= len(b.spool.dir) {
			return b.spool.root()
		}
	}
}

// root makes the entry of the spool in its parent durable, once.
func (p *spool) root() error {
	if p.rooted.Load() {
		return nil
	}
	if err := syncDir(filepath.Dir(p.dir)); err != nil {
		return spoolErr("sync spool", err)
	}
	p.rooted.Store(true)
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Close releases the Body, and its temporary file where it was not kept.
func (b *Body) Close() error {
	if b.file == nil {
		return nil
	}
	f := b.file
	b.file = nil
	_ = os.Remove(f.Name()) // gone already when it was moved into place
	return f.Close()
}

// spoolErr maps what the file system says to the sentinels.
func spoolErr(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("store: %s: %w", doing, ErrFull)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("store: %s: %w: %w", doing, ErrReadOnly, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("store: %s: %w", doing, ErrNotFound)
	default:
		return fmt.Errorf("store: %s: %w: %w", doing, ErrUnavailable, err)
	}
}

// FreeSpace returns how many octets the spool's file system has left.
func (s *Store) FreeSpace() (uint64, error) {
	var st syscall.Statfs_t
	dir := filepath.Dir(s.spool().dir)
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, spoolErr("read free space", err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// openSpooled opens the octets of a spooled message.
func (s *Store) openSpooled(ctx context.Context, id, sum string) (io.ReadCloser, error) {
	f, err := os.Open(s.spool().path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.noOctets(ctx, id, sum)
	}
	if err != nil {
		return nil, spoolErr("open spool file", err)
	}
	return f, nil
}

// noOctets says why a message has no file: it was deleted just now, or the file
// was lost.
func (s *Store) noOctets(ctx context.Context, id, sum string) error {
	var n int
	err := s.read.queryRow(ctx, `SELECT 1 FROM message WHERE id = ?`, id).Scan(&n)
	if err != nil {
		return wrap("read message", err)
	}
	s.log.Error("message not in the spool", "message", id, "sha256", sum)
	return fmt.Errorf("store: open spool file: %w", ErrNoOctets)
}
