package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
)

// maxBatch bounds one transaction, and so the longest wait of the first in it.
const maxBatch = 128

// queryer reads: from the pool, or inside a write.
type queryer interface {
	query(ctx context.Context, q string, args ...any) (*sql.Rows, error)
	queryRow(ctx context.Context, q string, args ...any) *sql.Row
}

// pool is the read-only side. The driver keeps the prepared statements of each
// connection. A read is not cancellable: it ends soon, a client that closed its
// side may still wait for the answer, and on PostgreSQL it would cost the
// connection. There a time limit of the pool's own ends it.
type pool struct {
	db       *sqlx.DB
	sql      *statements
	patience *patience
}

func (p pool) query(_ context.Context, q string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(p.patience.context(), p.sql.text(q), values(args)...)
}

func (p pool) queryRow(_ context.Context, q string, args ...any) *sql.Row {
	return p.db.QueryRowContext(p.patience.context(), p.sql.text(q), values(args)...)
}

// tx is one write inside a writer's transaction. All that it writes carries
// one now.
type tx struct {
	sql *sql.Tx
	ctx context.Context //nolint:containedctx // of the transaction
	now time.Time
	s   *Store
	// wrote says that there may be something to undo.
	wrote bool
}

func (x *tx) query(_ context.Context, q string, args ...any) (*sql.Rows, error) {
	x.note(q)
	return x.sql.QueryContext(x.ctx, x.s.read.sql.text(q), values(args)...)
}

func (x *tx) queryRow(_ context.Context, q string, args ...any) *sql.Row {
	x.note(q)
	return x.sql.QueryRowContext(x.ctx, x.s.read.sql.text(q), values(args)...)
}

// exec returns how many rows the statement touched.
func (x *tx) exec(q string, args ...any) (n int64, err error) {
	defer func() { x.wrote = x.wrote || n > 0 || err != nil }()
	r, err := x.sql.ExecContext(x.ctx, x.s.read.sql.text(q), values(args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (x *tx) note(q string) { x.wrote = x.wrote || !strings.HasPrefix(q, "SELECT") }

// lockName has the transaction be the only one, of all processes, that works on
// the claims on a name, until it ends. Every write that reads a claim before it
// writes it starts with it, but for a create: that touches its own claim only.
func (x *tx) lockName(name string) error { return x.lock(x.s.dialect.lockName, name) }

// lockMessage does so for a message.
func (x *tx) lockMessage(id string) error { return x.lock(x.s.dialect.lockMessage, id) }

func (x *tx) lock(q string, args ...any) error {
	if q == "" {
		return nil
	}
	_, err := x.exec(q, args...)
	return wrap("lock rows", err)
}

// The life of an op: whoever moves it away from waiting owns it.
const (
	opWaiting int32 = iota
	opTaken
	opAbandoned
)

type op struct {
	do    func(*tx) error
	state atomic.Int32
	err   error
	done  chan struct{}
}

// writer owns the connections that write. Each of its goroutines takes what
// waits into one transaction, commits once, and answers all. There is no timer:
// a lone op pays no delay. Where an op fails after it has written, all are done
// again, each with a savepoint: to set one costs as much as a small write, and
// hardly any op fails like that.
type writer struct {
	s    *Store
	db   *sqlx.DB
	ops  chan *op
	quit chan struct{}
	end  sync.WaitGroup
	once sync.Once
}

func newWriter(s *Store) *writer {
	w := &writer{s: s, db: s.writeDB, ops: make(chan *op, maxBatch), quit: make(chan struct{})}
	for range s.dialect.writers {
		w.end.Go(w.run)
	}
	return w
}

// close answers what waits with ErrUnavailable and ends the goroutine.
func (w *writer) close() {
	w.once.Do(func() { close(w.quit) })
	w.end.Wait()
}

// write runs do in a transaction and returns after it is durable. When ctx
// ends first, either nothing was done, or the outcome is returned all the same.
func (s *Store) write(ctx context.Context, do func(*tx) error) error {
	o := &op{do: do, done: make(chan struct{})}
	select {
	case s.writer.ops <- o:
	case <-s.writer.quit:
		return ErrUnavailable
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
	case <-s.writer.quit:
	}
	if o.state.CompareAndSwap(opWaiting, opAbandoned) {
		if err := ctx.Err(); err != nil {
			return err
		}
		return ErrUnavailable
	}
	<-o.done
	return o.err
}

func (w *writer) run() {
	batch := make([]*op, 0, w.s.dialect.batch)
	for {
		select {
		case <-w.quit:
			return
		case o := <-w.ops:
			batch = w.gather(append(batch[:0], o))
		}
		if len(batch) > 0 {
			w.commit(batch)
		}
	}
}

// gather takes what waits, first included, without waiting for more.
func (w *writer) gather(batch []*op) []*op {
	first := batch[0]
	batch = batch[:0]
	if first.state.CompareAndSwap(opWaiting, opTaken) {
		batch = append(batch, first)
	}
	for len(batch) < w.s.dialect.batch {
		select {
		case o := <-w.ops:
			if o.state.CompareAndSwap(opWaiting, opTaken) {
				batch = append(batch, o)
			}
		default:
			return batch
		}
	}
	return batch
}

// tries is how often a write is done that other transactions were in the way of.
const tries = 8

// undo says how what an op of a batch has written is undone when it fails.
type undo int

const (
	undoAll       undo = iota // with the whole transaction: it is alone in it
	undoAgain                 // not at all: the batch is to be done again, with savepoints
	undoSavepoint             // back to its savepoint
)

// errAgain: an op failed after it had written, and has no savepoint.
var errAgain = errors.New("do again")

// commit runs a batch and answers it.
func (w *writer) commit(batch []*op) {
	how := undoAll
	if len(batch) > 1 {
		how = undoAgain
	}
	ctx := w.s.read.patience.context()
	err := w.transact(ctx, batch, how)
	if errors.Is(err, errAgain) {
		how = undoSavepoint
		err = w.transact(ctx, batch, how)
	}
	for try := 0; errors.Is(err, errConflict) && try < tries-1 && w.pause(try); try++ {
		err = w.transact(ctx, batch, how)
	}
	for _, o := range batch {
		if err != nil && (o.err == nil || lost(o.err)) {
			o.err = err
		}
		close(o.done)
	}
}

// pause waits a little, longer each time and never the same, so that those who
// were in each other's way meet no more. It returns false at the end of all.
func (w *writer) pause(try int) bool {
	wait := time.Duration(float64(time.Millisecond<<try) * (0.5 + w.s.rand()))
	select {
	case <-time.After(wait):
		return true
	case <-w.quit:
		return false
	}
}

// transact returns an error when nothing of the batch was kept.
func (w *writer) transact(ctx context.Context, batch []*op, how undo) error {
	t, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("begin", err)
	}
	now, err := w.now(ctx, t)
	for i := 0; err == nil && i < len(batch); i++ {
		err = w.one(batch[i], &tx{sql: t, ctx: ctx, now: now, s: w.s}, how)
	}
	if err != nil {
		_ = t.Rollback() // it may have been rolled back already
		return err
	}
	if how == undoAll && batch[0].err != nil {
		return wrap("roll back", t.Rollback())
	}
	err = t.Commit()
	w.s.wal.wrote()
	return wrap("commit", err)
}

// now is the time of a transaction: that of the database, where several
// processes share one, so that a lease means the same to all of them.
func (w *writer) now(ctx context.Context, t *sql.Tx) (time.Time, error) {
	if w.s.dialect.clock == "" || w.s.ownClock {
		return at(ms(w.s.now())), nil
	}
	var now int64
	err := t.QueryRowContext(ctx, w.s.dialect.clock).Scan(&now)
	return at(now), wrap("read clock", err)
}

// one runs an op. Its own error stays with it; the returned one ends the batch.
func (w *writer) one(o *op, x *tx, how undo) error {
	if how == undoSavepoint {
		if err := x.do("SAVEPOINT op"); err != nil {
			return wrap("set savepoint", err)
		}
	}
	o.err = o.do(x)
	if o.err != nil {
		o.err = mapErr(o.err)
		if lost(o.err) {
			return fmt.Errorf("store: batch dropped: %w", o.err)
		}
	}
	switch {
	case how == undoAgain && o.err != nil && x.wrote:
		return errAgain
	case how != undoSavepoint:
		return nil
	case o.err != nil:
		if err := x.do("ROLLBACK TO op"); err != nil {
			return wrap("roll back", err)
		}
	}
	return wrap("release savepoint", x.do("RELEASE op"))
}

func (x *tx) do(q string) error {
	_, err := x.sql.ExecContext(x.ctx, q)
	return err
}
