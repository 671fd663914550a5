package resolve

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// tcpTimeout bounds one exchange over TCP.
const tcpTimeout = 4 * time.Second

// replyRoom is how many packets may wait for a call: answers, duplicates and
// errors of three attempts fit.
const replyRoom = 8

// plan is how one question is put to servers.
type plan struct {
	question question
	servers  []*upstream     // tried in this order, and over again
	schedule []time.Duration // when attempts start; the first is at 0
	timeout  time.Duration
	tcp      bool // no UDP at all
	onQuery  func(rcode, transport string)
	life     context.Context // ends with the resolver
}

// outcome is what became of a call.
type outcome struct {
	answer Answer
	again  bool      // the answer ends in the middle of a chain: chase.name is next
	bare   *upstream // it said SERVFAIL and not why
	ends   time.Time // when the time for the lookup is up; zero if it never began
	err    *Error
}

// call is one question on its way to its outcome. Attempts overlap: a server
// that is slow still counts while the next is asked.
type call struct {
	plan
	outcome
	chase   *chase
	query   query
	buf     [maxQuery]byte // of query
	replies chan delivery

	open   []*attempt
	held   []*upstream // whose slots we hold
	failed []*upstream // which said that they have no answer
	last   int         // index of the server asked last
	want   *upstream   // to be asked next
	cause  *Error      // the most telling reason so far for having no answer

	timer   *time.Timer
	started bool // the schedule has begun
	event   int  // points of the schedule that have passed
}

// calls lends calls: a sweep makes millions, and each needs a channel and a
// timer.
var calls = sync.Pool{New: func() any {
	c := &call{replies: make(chan delivery, replyRoom), timer: time.NewTimer(time.Hour)}
	c.timer.Stop()
	return c
}}

// ask puts the question that the chase has come to, until there is an outcome:
// an answer, no server left, no time left, or ctx ended.
func ask(ctx context.Context, p plan, ch *chase) outcome {
	c := calls.Get().(*call)
	c.plan, c.chase, c.last = p, ch, -1
	c.question.name, c.question.qtype = ch.name, ch.qtype
	defer c.release()
	var err error
	if c.query, err = c.question.pack(c.buf[:]); err != nil {
		return outcome{err: ch.fail(CodeMalformed, "The name cannot be asked for in DNS.").because(err)}
	}
	c.run(ctx)
	return c.outcome
}

func (c *call) run(ctx context.Context) {
	for over := false; !over; {
		if c.want == nil && len(c.open) == 0 {
			c.want = c.nextServer()
		}
		switch {
		case c.want == nil && len(c.open) == 0:
			c.err, over = c.cause, true
		case c.want != nil && slices.Contains(c.held, c.want):
			over = c.send(ctx)
		default:
			over = c.wait(ctx)
		}
	}
}

// nextServer returns the next one in turn that has not failed, or nil.
func (c *call) nextServer() *upstream {
	for range c.servers {
		c.last = (c.last + 1) % len(c.servers)
		if up := c.servers[c.last]; !slices.Contains(c.failed, up) {
			return up
		}
	}
	return nil
}

// wait takes the next thing that happens, and reports whether it is the last.
func (c *call) wait(ctx context.Context) (over bool) {
	var slot chan<- struct{}
	if c.want != nil {
		slot = c.want.slots
		select { // mostly there is one, and a select of one case is cheap
		case slot <- struct{}{}:
			c.start()
			return false
		default:
		}
	}
	select {
	case slot <- struct{}{}:
		c.start()
		return false
	case d := <-c.replies:
		defer d.free()
		return c.take(ctx, d)
	case <-c.timer.C:
		return c.tick()
	case <-ctx.Done():
		return c.ended(ctx)
	case <-c.life.Done():
		return c.ended(ctx)
	}
}

// ended reports whether the call has to stop because of its caller or because
// of Close.
func (c *call) ended(ctx context.Context) bool {
	switch {
	case c.life.Err() != nil:
		c.err = c.chase.fail(CodeResolverDown, "The resolver is shut down.").because(errClosed)
	case ctx.Err() != nil:
		c.err = c.timedOut().because(ctx.Err())
	default:
		return false
	}
	return true
}

// start takes note of a slot at the next server. The first one begins the
// schedule: waiting for it costs a lookup none of its time, ctx bounds that.
func (c *call) start() {
	c.held = append(c.held, c.want)
	if !c.started {
		c.started = true
		c.ends = time.Now().Add(c.timeout)
		c.timer.Reset(c.gap())
	}
}

// gap returns the time from the present point of the schedule to the next.
func (c *call) gap() time.Duration {
	if c.event+1 < len(c.schedule) {
		return c.schedule[c.event+1] - c.schedule[c.event]
	}
	return c.timeout - c.schedule[c.event]
}

func (c *call) tick() (over bool) {
	if c.event+1 == len(c.schedule) {
		c.err = c.timedOut()
		return true
	}
	c.event++
	c.timer.Reset(c.gap())
	if c.want == nil {
		c.want = c.nextServer()
	}
	return false
}

// send starts an attempt at the server that is next.
func (c *call) send(ctx context.Context) (over bool) {
	up := c.want
	c.want = nil
	if c.tcp {
		return c.overTCP(ctx, up, c.query, c.silent())
	}
	countSent(ctx)
	a := &attempt{up: up, query: c.query, replies: c.replies}
	c.open = append(c.open, a)
	if err := up.send(a); err != nil {
		c.close(a, "ERROR")
		c.fault(up, c.unreachable().because(err))
	}
	return false
}

// take looks at what a socket delivered.
func (c *call) take(ctx context.Context, d delivery) (over bool) {
	a := d.to
	if a.sock == nil {
		return false // closed in the meantime
	}
	if errors.Is(d.err, errCase) || errors.Is(d.err, errSuspect) {
		c.close(a, "SUSPECT")
		return c.overTCP(ctx, a.up, a.query, c.silent())
	}
	if d.err != nil {
		c.close(a, "ERROR")
		c.fault(a.up, c.unreachable().because(d.err))
		return false
	}
	m, err := parseMessage(d.packet(), a.query)
	if err != nil {
		c.keep(a.up, c.malformed()) // it may be forged: the true one may follow
		return false
	}
	c.close(a, m.outcome())
	if m.tc {
		return c.overTCP(ctx, a.up, a.query, c.chase.fail(CodeTruncated,
			"The answer is too long for UDP, and the name server does not give it over TCP."))
	}
	return c.read(a.up, a.query, m)
}

// overTCP asks a server again over TCP; without an answer, failure is why the
// server counts as failed.
func (c *call) overTCP(ctx context.Context, up *upstream, q query, failure *Error) (over bool) {
	tcp, cancel := context.WithTimeout(ctx, min(tcpTimeout, time.Until(c.ends)))
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	countSent(ctx)
	pkt, err := exchangeTCP(tcp, up.addr, q)
	if err != nil {
		c.observe("ERROR", "tcp")
		if c.ended(ctx) {
			return true
		}
		c.fault(up, failure.because(err))
		return false
	}
	m, err := parseMessage(pkt, q)
	if err != nil {
		c.observe("MALFORMED", "tcp")
		c.fault(up, c.malformed())
		return false
	}
	c.observe(m.outcome(), "tcp")
	if m.tc {
		c.fault(up, failure)
		return false
	}
	return c.read(up, q, m)
}

// read judges a whole message.
func (c *call) read(up *upstream, q query, m message) (over bool) {
	if m.rcode == dns.RcodeFormatError && q.hasEDNS() {
		c.query, c.want = q.withoutEDNS(), up
		return false
	}
	err := m.trouble(c.chase)
	if err == nil && !c.question.recurse && !m.aa {
		err = c.chase.fail(CodeLame, "The name server does not answer for the zone by its own authority.")
	}
	var a Answer
	done := false
	if err == nil {
		a, done, err = c.chase.read(m)
	}
	if err == nil {
		a.Server = up.addr
		c.answer, c.again = a, !done
		return true
	}
	if m.rcode == dns.RcodeServerFailure && err.Code == CodeServFail && !m.hasEDE(edeNetwork) {
		c.bare = up
	}
	if c.fault(up, err); err.Code == CodeBogus || err.Code == CodeCNAMELoop {
		c.err = err // another server cannot know better
		return true
	}
	return false
}

// fault notes that a server has no answer to this question.
func (c *call) fault(up *upstream, err *Error) {
	c.failed = append(c.failed, up)
	c.keep(up, err)
}

// keep remembers a reason unless there is one already that tells more.
func (c *call) keep(up *upstream, err *Error) {
	err.Server = up.addr
	if c.cause == nil || c.cause.Code == CodeTimeout || c.cause.Code == CodeResolverDown {
		c.cause = err
	}
}

// timedOut returns why there is no answer when no time is left.
func (c *call) timedOut() *Error {
	if c.cause != nil && c.cause.Code != CodeResolverDown {
		return c.cause
	}
	return c.silent()
}

func (c *call) silent() *Error {
	return c.chase.fail(CodeTimeout, "No name server answered in time.")
}

func (c *call) malformed() *Error {
	return c.chase.fail(CodeMalformed, "The name server sent an answer that cannot be read.")
}

// unreachable tells our own resolver from a server of the zone.
func (c *call) unreachable() *Error {
	if c.question.recurse {
		return c.chase.fail(CodeResolverDown, "The resolver cannot be reached.")
	}
	return c.chase.fail(CodeTimeout, "The name server cannot be reached.")
}

// close ends an attempt; result goes to the metrics.
func (c *call) close(a *attempt, result string) {
	a.cancel()
	c.open = slices.DeleteFunc(c.open, func(o *attempt) bool { return o == a })
	c.observe(result, "udp")
}

func (c *call) observe(rcode, transport string) {
	if c.onQuery != nil {
		c.onQuery(rcode, transport)
	}
}

// release gives back all that the call holds, and the call itself.
func (c *call) release() {
	for len(c.open) > 0 {
		c.close(c.open[0], "TIMEOUT")
	}
	for _, up := range c.held {
		<-up.slots
	}
	c.timer.Stop()
	for len(c.replies) > 0 { // nobody sends any more
		d := <-c.replies
		d.free()
	}
	*c = call{replies: c.replies, timer: c.timer, open: c.open[:0], held: c.held[:0], failed: c.failed[:0]}
	calls.Put(c)
}
