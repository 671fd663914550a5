package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// canaryText is what the canary of each master key holds.
const canaryText = "domaind"

func canaryBinding(id string) string { return "master_key.canary/" + id }

// keyring holds the master keys of the master key file: one, or two while a
// rekey is under way. Which of them seals is said by the database, so that
// several processes agree.
type keyring struct {
	file string
	mu   sync.RWMutex
	keys map[string]masterKey
}

// openKeyring reads the master key file and opens the canary of every key that
// the database was sealed with. A database that has none yet gets a new key.
func (s *Store) openKeyring(ctx context.Context) (*keyring, error) {
	ring := &keyring{file: s.c.masterKeyFile()}
	canaries, err := s.canaries(ctx)
	if err != nil {
		return nil, err
	}
	if isURL(s.c.Database) && s.c.MasterKeyFile == "" {
		return nil, fmt.Errorf("store: PostgreSQL needs one, the same for every replica: %w", ErrMasterKey)
	}
	// Replicas on several hosts would each make another key.
	if len(canaries) == 0 && !isURL(s.c.Database) {
		if err := createKeyFile(ring.file); err != nil {
			return nil, err
		}
	}
	if err := ring.load(); err != nil {
		return nil, err
	}
	if len(canaries) > 0 {
		return ring, ring.openAll(canaries)
	}
	keys, err := readKeyFile(ring.file)
	if err != nil {
		return nil, err
	}
	return ring, s.write(ctx, func(x *tx) error { return x.firstCanary(ring, keys[0]) })
}

// openAll opens the canary of every key.
func (r *keyring) openAll(canaries map[string][]byte) error {
	for id, sealed := range canaries {
		if _, err := r.openWith(id, canaryBinding(id), sealed); err != nil {
			return fmt.Errorf("store: master key file %s does not hold the key %s that this database was sealed with: %w",
				r.file, id, ErrMasterKey)
		}
	}
	return nil
}

// firstCanary binds a new database to a key. Of two replicas that start on it
// at once, the second waits for the row that is never seen, and then finds the
// first one's.
func (x *tx) firstCanary(ring *keyring, k masterKey) error {
	for _, q := range []string{
		`INSERT INTO setting (name, value) VALUES ('sealing', 1) ON CONFLICT (name) DO NOTHING`,
		`DELETE FROM setting WHERE name = 'sealing'`,
	} {
		if _, err := x.exec(q); err != nil {
			return wrap("lock canaries", err)
		}
	}
	canaries, err := canaries(context.Background(), x)
	if err != nil {
		return err
	}
	if len(canaries) > 0 {
		return ring.openAll(canaries)
	}
	return x.insertCanary(k)
}

func (s *Store) canaries(ctx context.Context) (map[string][]byte, error) {
	return canaries(ctx, s.read)
}

func canaries(ctx context.Context, q queryer) (map[string][]byte, error) {
	rows, err := q.query(ctx, `SELECT id, canary FROM master_key`)
	if err != nil {
		return nil, wrap("read canaries", err)
	}
	defer rows.Close()
	list := make(map[string][]byte)
	for rows.Next() {
		var id string
		var canary []byte
		if err := rows.Scan(&id, &canary); err != nil {
			return nil, wrap("read canaries", err)
		}
		list[id] = canary
	}
	return list, wrap("read canaries", rows.Err())
}

func (x *tx) insertCanary(k masterKey) error {
	if _, err := x.exec(`UPDATE master_key SET current = 0 WHERE id <> ?`, k.id); err != nil {
		return wrap("retire master key", err)
	}
	_, err := x.exec(`INSERT INTO master_key (id, canary, current, created_at) VALUES (?, ?, 1, ?)
		ON CONFLICT (id) DO UPDATE SET current = 1`,
		k.id, k.seal(canaryBinding(k.id), []byte(canaryText)), ms(x.now))
	return wrap("insert canary", err)
}

// load reads the file again.
func (r *keyring) load() error {
	list, err := readKeyFile(r.file)
	if err != nil {
		return err
	}
	keys := make(map[string]masterKey, len(list))
	for _, k := range list {
		keys[k.id] = k
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	return nil
}

// find returns a key; another process may have added it to the file since.
func (r *keyring) find(id string) (masterKey, error) {
	if k, ok := r.get(id); ok {
		return k, nil
	}
	if err := r.load(); err != nil {
		return masterKey{}, err
	}
	if k, ok := r.get(id); ok {
		return k, nil
	}
	return masterKey{}, fmt.Errorf("store: find master key %s in %s: %w", id, r.file, ErrMasterKey)
}

func (r *keyring) get(id string) (masterKey, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.keys[id]
	return k, ok
}

// current returns the key that seals. It is read in the transaction of the
// write, so that no value is ever sealed with a key that a rekey has dropped.
func (r *keyring) current(x *tx) (masterKey, error) {
	var id string
	err := x.queryRow(context.Background(), `SELECT id FROM master_key WHERE current = 1`).Scan(&id)
	if err != nil {
		return masterKey{}, wrap("read master key", err)
	}
	return r.find(id)
}

func (r *keyring) seal(x *tx, binding string, plain []byte) ([]byte, error) {
	k, err := r.current(x)
	if err != nil {
		return nil, err
	}
	return k.seal(binding, plain), nil
}

func (r *keyring) open(binding string, sealed []byte) ([]byte, error) {
	return r.openWith(sealedBy(sealed), binding, sealed)
}

func (r *keyring) openWith(id, binding string, sealed []byte) ([]byte, error) {
	k, err := r.find(id)
	if err != nil {
		return nil, err
	}
	return k.open(binding, sealed)
}

// readKeyFile returns the keys of a master key file, one a line in base64, at
// least one.
func readKeyFile(file string) ([]masterKey, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store: master key file %s is missing: %w", file, ErrMasterKey)
	}
	if err != nil {
		return nil, fmt.Errorf("store: read master key file: %w: %w", ErrMasterKey, err)
	}
	var keys []masterKey
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("store: master key file %s: a line is not base64: %w", file, ErrMasterKey)
		}
		k, err := newMasterKey(raw)
		if err != nil {
			return nil, fmt.Errorf("store: master key file %s: %w", file, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("store: master key file %s holds no key: %w", file, ErrMasterKey)
	}
	return keys, nil
}

// createKeyFile makes a master key file unless there is one: whole or not at
// all, even when two processes start at once.
func createKeyFile(file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	k, err := newMasterKey(generateMasterKey())
	if err != nil {
		return err
	}
	temp, err := writeKeys(file, k)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("store: create master key file: %w", err)
	}
	return syncParent(file)
}

// replaceKeyFile puts other keys in place of a master key file, atomically.
func replaceKeyFile(file string, keys ...masterKey) error {
	temp, err := writeKeys(file, keys...)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, file); err != nil {
		return errors.Join(fmt.Errorf("store: replace master key file: %w", err), os.Remove(temp))
	}
	return syncParent(file)
}

// writeKeys writes a temporary file beside file, 0600 and on disk.
func writeKeys(file string, keys ...masterKey) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".master-key-*") // 0600
	if err != nil {
		return "", fmt.Errorf("store: create master key file: %w", err)
	}
	text := "# The master key of a domaind database. Without it its secrets are lost.\n"
	for _, k := range keys {
		text += k.secret.Reveal() + "\n"
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(fmt.Errorf("store: write master key file: %w", err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncParent makes the name of a file durable.
func syncParent(file string) error {
	d, err := os.Open(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("store: open directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("store: sync directory: %w", err)
	}
	return nil
}
