package store

import (
	"context"
	"sync"
	"time"
)

// useEvery is how often the last uses of keys are written.
const useEvery = time.Minute

// uses gathers when keys were last used, so that no request waits for a write.
type uses struct {
	s    *Store
	mu   sync.Mutex
	last map[string]time.Time
	quit chan struct{}
	end  sync.WaitGroup
	once sync.Once
}

func newUses(s *Store) *uses {
	u := &uses{s: s, last: make(map[string]time.Time), quit: make(chan struct{})}
	u.end.Go(u.run)
	return u
}

func (u *uses) note(id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[id] = now
}

func (u *uses) run() {
	tick := time.NewTicker(useEvery)
	defer tick.Stop()
	for {
		select {
		case <-u.quit:
			return
		case <-tick.C:
			u.log(u.flush(context.Background()))
		}
	}
}

// close writes what is left.
func (u *uses) close() {
	u.once.Do(func() {
		close(u.quit)
		u.end.Wait()
		u.log(u.flush(context.Background()))
	})
}

func (u *uses) log(err error) {
	if err != nil {
		u.s.log.Warn("key_uses_not_written", "error", err)
	}
}

// flush writes what was noted since the last time. What it cannot write is
// dropped: a last use is a hint, and the next one brings it back.
func (u *uses) flush(ctx context.Context) error {
	u.mu.Lock()
	last := u.last
	u.last = make(map[string]time.Time)
	u.mu.Unlock()
	if len(last) == 0 {
		return nil
	}
	return u.s.write(ctx, func(x *tx) error {
		for id, when := range last {
			_, err := x.exec(`UPDATE api_key SET last_used_at = ? WHERE id = ? AND last_used_at < ?`,
				ms(when), id, ms(when))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
