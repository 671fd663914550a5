package store

import (
	"context"
	"database/sql"
	"fmt"
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
// connection. A point read is not cancellable: it ends in microseconds, and the
// driver's watch over a context costs more than the read.
type pool struct{ db *sqlx.DB }

func (p pool) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(context.WithoutCancel(ctx), p.db.Rebind(q), args...)
}

func (p pool) queryRow(ctx context.Context, q string, args ...any) *sql.Row {
	return p.db.QueryRowContext(context.WithoutCancel(ctx), p.db.Rebind(q), args...)
}

// tx is one write inside the writer's transaction. All that it writes carries
// one now.
type tx struct {
	conn *sqlx.Conn
	now  time.Time
	s    *Store
}

func (x *tx) query(_ context.Context, q string, args ...any) (*sql.Rows, error) {
	return x.conn.QueryContext(context.Background(), x.conn.Rebind(q), args...)
}

func (x *tx) queryRow(_ context.Context, q string, args ...any) *sql.Row {
	return x.conn.QueryRowContext(context.Background(), x.conn.Rebind(q), args...)
}

// exec returns how many rows the statement touched.
func (x *tx) exec(q string, args ...any) (int64, error) {
	r, err := x.conn.ExecContext(context.Background(), x.conn.Rebind(q), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
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

// writer owns the one connection that writes. Its goroutine takes whatever
// waits into one immediate transaction, gives each op a savepoint, commits
// once, and answers all. There is no timer: a lone op pays no delay.
type writer struct {
	s    *Store
	conn *sqlx.Conn
	ops  chan *op
	quit chan struct{}
	end  sync.WaitGroup
	once sync.Once
}

func newWriter(s *Store, conn *sqlx.Conn) *writer {
	w := &writer{s: s, conn: conn, ops: make(chan *op, maxBatch), quit: make(chan struct{})}
	w.end.Go(w.run)
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
	batch := make([]*op, 0, maxBatch)
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
	for len(batch) < maxBatch {
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

// commit runs a batch and answers it.
func (w *writer) commit(batch []*op) {
	err := w.transact(batch)
	for _, o := range batch {
		if err != nil && (o.err == nil || lost(o.err)) {
			o.err = err
		}
		close(o.done)
	}
}

// transact returns an error when nothing of the batch was kept.
func (w *writer) transact(batch []*op) error {
	if err := w.do("BEGIN IMMEDIATE"); err != nil {
		return wrap("begin", err)
	}
	for _, o := range batch {
		if err := w.one(o, len(batch) > 1); err != nil {
			_ = w.do("ROLLBACK") // it may have been rolled back already
			return err
		}
	}
	if len(batch) == 1 && batch[0].err != nil {
		return wrap("roll back", w.do("ROLLBACK"))
	}
	if err := w.do("COMMIT"); err != nil {
		_ = w.do("ROLLBACK")
		return wrap("commit", err)
	}
	return nil
}

// one runs an op. Its own error stays with it; the returned one ends the batch.
func (w *writer) one(o *op, save bool) error {
	if save {
		if err := w.do("SAVEPOINT op"); err != nil {
			return wrap("set savepoint", err)
		}
	}
	o.err = o.do(&tx{conn: w.conn, now: at(ms(w.s.now())), s: w.s})
	if o.err != nil {
		o.err = mapErr(o.err)
		if lost(o.err) {
			return fmt.Errorf("store: batch dropped: %w", o.err)
		}
	}
	if !save {
		return nil
	}
	if o.err != nil {
		if err := w.do("ROLLBACK TO op"); err != nil {
			return wrap("roll back", err)
		}
	}
	return wrap("release savepoint", w.do("RELEASE op"))
}

func (w *writer) do(q string) error {
	_, err := w.conn.ExecContext(context.Background(), q)
	return err
}
