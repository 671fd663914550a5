package store

import "time"

// Event is one entry of a domain's history: who changed what, from what, to
// what, and when. Types are noun.past_participle.
type Event struct {
	ID       int64
	Type     string // domain.created, record.verified, route.updated, …
	Actor    string
	RecordID int64 // 0 when it is not about one record
	From, To string
	Detail   string
	At       time.Time
}
