package inbound

import (
	"context"
	"sync"
	"time"
)

// levelFor is how long a measured level holds: often enough for a disk that
// fills, seldom enough to cost nothing.
const levelFor = time.Second

// level is a limit that was looked at.
type level struct {
	at   time.Time
	over bool
}

func (l level) fresh(now time.Time) bool {
	return !l.at.IsZero() && now.Sub(l.at) < levelFor && !now.Before(l.at)
}

// gauge remembers one level.
type gauge struct {
	mu   sync.Mutex
	last level
}

// low reports whether the disk has too little left to take mail. A disk that
// cannot be asked has enough: the write itself will tell.
func (s *Server) low() bool {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	now := s.c.Now()
	if s.space.last.fresh(now) {
		return s.space.last.over
	}
	free, err := s.c.FreeSpace()
	if err != nil {
		s.c.Log.Warn("free space unknown", "error", err)
	}
	s.space.last = level{at: now, over: err == nil && free < s.c.MinFree}
	return s.space.last.over
}

// backlogs remembers the level of each domain that has got mail lately.
type backlogs struct {
	mu   sync.Mutex
	last map[int64]level
}

// maxLevels bounds what is remembered.
const maxLevels = 4096

// behind reports whether a domain has too many deliveries that wait.
func (s *Server) behind(ctx context.Context, domainID int64) bool {
	now := s.c.Now()
	s.backlog.mu.Lock()
	last := s.backlog.last[domainID]
	s.backlog.mu.Unlock()
	if last.fresh(now) {
		return last.over
	}
	n, err := s.c.Store.Backlog(ctx, domainID, s.c.MaxBacklog)
	if err != nil {
		s.c.Log.Warn("backlog unknown", "error", err)
		return false
	}
	s.backlog.mu.Lock()
	defer s.backlog.mu.Unlock()
	if len(s.backlog.last) >= maxLevels {
		clear(s.backlog.last)
	}
	s.backlog.last[domainID] = level{at: now, over: n >= s.c.MaxBacklog}
	return n >= s.c.MaxBacklog
}
