package inbound

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"

	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// A return path of ours is b, the delivery's id, and the start of an HMAC over
// it: opaque, short of the 64 octets of a local part (RFC 5321 section
// 4.5.3.1.1), and in letters and digits that survive a change of case.
const (
	returnPathMark = "b"
	returnPathMAC  = 10 // octets, 16 characters
	returnPathLen  = len(returnPathMark) + 26 + 16
)

// returnPath is where reports about a forwarded delivery go.
func (s *Server) returnPath(deliveryID string) string {
	return returnPathMark + strings.ToLower(deliveryID) + s.returnMAC(deliveryID) + "@" + s.c.BounceDomain
}

func (s *Server) returnMAC(deliveryID string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte("return-path\x00"))
	h.Write([]byte(strings.ToUpper(deliveryID)))
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:returnPathMAC]))
}

// openReturnPath returns the delivery that a local part of ours stands for.
func (s *Server) openReturnPath(local string) (deliveryID string, ok bool) {
	if !isReturnPath(local) {
		return "", false
	}
	id, mac := strings.ToUpper(local[1:27]), strings.ToLower(local[27:])
	return id, hmac.Equal([]byte(mac), []byte(s.returnMAC(id)))
}

// bounce takes a recipient that is a return path of ours. A report comes with
// the null reverse path, alone, and only to a path that we gave out; it goes on
// to the original sender when SPF had passed for that one, and is kept in any
// case.
func (x *session) bounce(ctx context.Context, local string) error {
	id, ok := x.s.openReturnPath(local)
	if !ok || x.from != "" {
		return x.refuse(RefusedBounce, reply(550, "5.1.1", "no such return path"))
	}
	if len(x.rcpts) > 0 {
		return x.refuse(RefusedBounce, reply(452, "4.5.3", "one recipient at a time for a return path"))
	}
	from, err := x.s.c.Store.Returned(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return x.refuse(RefusedBounce, reply(550, "5.1.1", "no such return path"))
	case err != nil:
		x.s.c.Log.Error("return path not looked up", "error", err)
		return x.refuse(RefusedInternal, internal())
	}
	r := from.Recipient
	r.Mode, r.Target = store.ForwardModeForwardEmail, from.MailFrom
	// Only once: whoever has seen the path could write to the sender for ever.
	r.Done = from.State != store.DeliveryStateDelivered ||
		from.MailFrom == "" || from.Auth == nil || from.Auth.SPF.Result != resultPass
	x.rcpts, x.returned = []store.Recipient{r}, id
	return nil
}

// saysFailed reports whether what came to a return path means that a message
// was not delivered. A report says so itself (RFC 3464 section 2.3.3): it may
// be of a delay too. Other automatic replies, of people who are away, are none
// (RFC 3834); anything else is taken for an old form of report.
func saysFailed(text []byte) bool {
	flags := parse.ReadHeader(text).Flags()
	if !flags.Bounce {
		return !flags.AutoSubmitted
	}
	lower, other := bytes.ToLower(text), false
	for _, action := range []string{"delayed", "delivered", "relayed", "expanded"} {
		other = other || bytes.Contains(lower, []byte("\naction: "+action))
	}
	return !other || bytes.Contains(lower, []byte("\naction: failed"))
}

// noteReturned marks a delivery that the next hop took and then gave back.
func (s *Server) noteReturned(ctx context.Context, deliveryID string, head []byte) {
	subject := parse.ReadHeader(head).Decoded("Subject", 200)
	err := s.c.Store.MarkReturned(ctx, deliveryID, store.Attempt{
		At: s.c.Now(), Error: "returned after it was accepted", Answer: subject,
	})
	if err != nil {
		s.c.Log.Error("returned delivery not marked", "delivery", deliveryID, "error", err)
	}
}
