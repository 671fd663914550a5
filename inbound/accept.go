package inbound

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/domaind/domaind/store"
)

// postmaster is the mailbox that every server has to take mail for, in any case
// (RFC 5321 section 4.5.1).
const postmaster = "postmaster"

// forPostmaster reports whether an address is that of this host's postmaster;
// the postmaster of a managed domain is one of its mailboxes.
func (s *Server) forPostmaster(address string) bool {
	local, domain := store.SplitAddress(address)
	return strings.EqualFold(local, postmaster) &&
		strings.EqualFold(strings.TrimSuffix(domain, "."), strings.TrimSuffix(s.c.Hostname, "."))
}

// accepted logs a message that was made durable: its id is the one of the reply,
// so that the sender's log can be matched. Addresses and names are not logged.
func (x *session) accepted(id string, octets int64) {
	ctx := context.Background()
	if !x.s.c.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	var modes []string
	for _, r := range x.rcpts {
		if mode := string(r.Mode); !slices.Contains(modes, mode) {
			modes = append(modes, mode)
		}
	}
	x.s.c.Log.InfoContext(ctx, "message accepted", "message", id, "session", x.id, "bytes", octets,
		"recipients", len(x.rcpts), "modes", strings.Join(modes, ","), "tls", x.conn.version())
}
