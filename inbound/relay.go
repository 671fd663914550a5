package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// RelayMode says how mail is forwarded.
type RelayMode int

// The modes.
const (
	RelayDirect    RelayMode = iota // to the MX of the target
	RelaySmarthost                  // through one server
	RelayOff                        // not at all
)

// Relay is where forwarded mail goes next. The zero value is direct.
type Relay struct {
	Mode RelayMode
	// Addr is host:port of the smarthost.
	Addr     string
	User     string
	Password store.Secret
}

// ParseRelay reads DOMAIND_RELAY: "direct" or "", "off", or
// smtp://user:password@host:587, where user and password may be left out and
// the port is 587 by default. The error never shows the password.
func ParseRelay(s string) (Relay, error) {
	switch s {
	case "", "direct":
		return Relay{}, nil
	case "off":
		return Relay{Mode: RelayOff}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "smtp" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" ||
		strings.Trim(u.Path, "/") != "" {
		return Relay{}, errors.New(`must be "direct", "off" or smtp://user:password@host:587`)
	}
	r := Relay{Mode: RelaySmarthost, Addr: net.JoinHostPort(u.Hostname(), or(u.Port(), "587"))}
	if n, err := strconv.ParseUint(or(u.Port(), "587"), 10, 16); err != nil || n == 0 {
		return Relay{}, errors.New("the port must be 1 to 65535")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		r.User, r.Password = u.User.Username(), store.NewSecret(password)
		if r.User == "" || password == "" {
			return Relay{}, errors.New("a user needs a password, and a password a user")
		}
	}
	return r, nil
}

// relayed is what came of handing a message to the next hop.
type relayed struct {
	status    int    // the SMTP reply, 0: there was none
	text      string // of the reply
	err       error  // nil: accepted
	permanent bool   // the next hop refused it for good
}

// Timeouts towards the next hop, within RFC 5321 section 4.5.3.2, and for one
// try in all, within the lease of a claimed delivery.
const (
	commandTimeout = time.Minute
	dataTimeout    = 5 * time.Minute
	relayTimeout   = 9 * time.Minute
)

// mail is one message on its way to one recipient.
type mail struct {
	from, to string
	data     io.ReadSeeker
}

// relay hands a message to the next hop.
func (s *Server) relay(ctx context.Context, m mail) relayed {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	if s.c.Relay.Mode == RelaySmarthost {
		conn, err := s.c.DialRelay(ctx, "tcp", s.c.Relay.Addr)
		if err != nil {
			return relayed{err: fmt.Errorf("connect to the relay: %w", err)}
		}
		host, _, _ := net.SplitHostPort(s.c.Relay.Addr)
		h := hop{s: s, host: host, auth: s.c.Relay.User != "", verify: true}
		return h.send(ctx, conn, m)
	}
	return s.direct(ctx, m)
}

// maxHops bounds the addresses that one direct try goes through.
const maxHops = 4

// direct sends to the first of the target's mail hosts that talks to us.
func (s *Server) direct(ctx context.Context, m mail) relayed {
	_, domain := store.SplitAddress(m.to)
	addrs, err := s.route(ctx, domain)
	if err != nil {
		return relayed{err: err, permanent: errors.Is(err, errNoMail)}
	}
	last := relayed{err: fmt.Errorf("no address of a mail host of %s", domain)}
	for _, a := range addrs[:min(len(addrs), maxHops)] {
		last = s.directTo(ctx, a, m)
		if last.err == nil || last.permanent || ctx.Err() != nil {
			return last
		}
	}
	return last
}

// directTo tries one address: with TLS where it is offered, and without when
// the handshake fails, which is no worse than not asking (RFC 7435).
func (s *Server) directTo(ctx context.Context, a target, m mail) relayed {
	var last relayed
	for _, plain := range []bool{false, true} {
		conn, err := s.c.Dial(ctx, "tcp", a.addr)
		if err != nil {
			return relayed{err: fmt.Errorf("connect to %s: %w", a.host, err)}
		}
		h := hop{s: s, host: a.host, plain: plain}
		if last = h.send(ctx, conn, m); !errors.Is(last.err, errHandshake) {
			return last
		}
	}
	return last
}

// target is one address of a mail host.
type target struct{ host, addr string }

// errNoMail: the domain says that it takes no mail (RFC 7505), or is not there.
var errNoMail = errors.New("the domain takes no mail")

// route lists the addresses for a domain's mail, the preferred ones first
// (RFC 5321 section 5.1).
func (s *Server) route(ctx context.Context, domain string) ([]target, error) {
	if s.c.Resolver == nil {
		return nil, errors.New("no DNS resolver")
	}
	look := lookups{s.c.Resolver}
	mx, err := look.LookupMX(ctx, domain)
	var dnsErr *net.DNSError
	switch {
	case errors.As(err, &dnsErr) && dnsErr.IsNotFound:
		mx = []*net.MX{{Host: domain}}
	case err != nil:
		return nil, fmt.Errorf("look up mail hosts: %w", err)
	case len(mx) == 1 && mx[0].Host == "":
		return nil, errNoMail
	}
	sortMX(mx)
	var list []target
	missing := true
	for _, m := range mx {
		if strings.EqualFold(m.Host, s.c.Hostname) {
			break // us, and nothing behind us: it would come back
		}
		ips, err := look.LookupIPAddr(ctx, m.Host)
		if !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
			missing = false
		}
		for _, ip := range ips {
			list = append(list, target{m.Host, net.JoinHostPort(ip.String(), strconv.Itoa(s.c.MXPort))})
		}
	}
	if missing && len(list) == 0 {
		return nil, errNoMail
	}
	return list, nil
}

func sortMX(mx []*net.MX) {
	for i := 1; i < len(mx); i++ {
		for k := i; k > 0 && mx[k].Pref < mx[k-1].Pref; k-- {
			mx[k], mx[k-1] = mx[k-1], mx[k]
		}
	}
}

// hop is one connection to the next server.
type hop struct {
	s      *Server
	host   string
	auth   bool // credentials are needed, and so is TLS
	verify bool // the certificate has to be right
	plain  bool // do not ask for TLS
}

// errHandshake: TLS was offered and did not come about.
var errHandshake = errors.New("TLS handshake failed")

// maxReplies bounds what a server may say in all, TLS included: the library
// would keep a line of any length, and the server is whoever the target names.
const maxReplies = 256 << 10

// brief is a connection on which little is said.
type brief struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (b *brief) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("the server says too much")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (h hop) send(ctx context.Context, conn net.Conn, m mail) relayed {
	conn = &brief{Conn: conn, left: maxReplies}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	c, err := h.open(conn)
	if err != nil {
		return refusedBy(err, false)
	}
	for _, step := range []func() error{
		func() error { return c.Mail(m.from) },
		func() error { return c.Rcpt(m.to) },
	} {
		_ = conn.SetDeadline(time.Now().Add(commandTimeout))
		if err := step(); err != nil {
			return refusedBy(err, true)
		}
	}
	_ = conn.SetDeadline(time.Now().Add(dataTimeout))
	w, err := c.Data()
	if err != nil {
		return refusedBy(err, true)
	}
	if _, err := io.Copy(w, m.data); err != nil {
		return refusedBy(err, false) // never closed: no end of data, no half message
	}
	if err := w.Close(); err != nil {
		return refusedBy(err, true)
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_ = c.Quit()
	return relayed{status: 250, text: "accepted by " + h.host}
}

// open greets the server, with TLS and credentials where they are due.
func (h hop) open(conn net.Conn) (*smtp.Client, error) {
	_ = conn.SetDeadline(time.Now().Add(commandTimeout))
	c, err := smtp.NewClient(conn, h.host)
	if err != nil {
		return nil, err
	}
	if err := c.Hello(h.s.c.Hostname); err != nil {
		return nil, err
	}
	offered, _ := c.Extension("STARTTLS")
	if h.auth && !offered {
		return nil, errors.New("the relay offers no STARTTLS, and credentials go over nothing else")
	}
	if offered && !h.plain {
		config := &tls.Config{
			ServerName: h.host, RootCAs: h.s.c.Roots, MinVersion: tls.VersionTLS12,
			InsecureSkipVerify: !h.verify, //nolint:gosec // opportunistic: the MX is not authenticated either way
		}
		if err := c.StartTLS(config); err != nil {
			return nil, fmt.Errorf("%w: %w", errHandshake, err)
		}
	}
	if h.auth {
		if err := c.Auth(h.credentials(c)); err != nil {
			return nil, fmt.Errorf("the relay refused the credentials: %w", err)
		}
	}
	return c, nil
}

// refusedBy reads a reply out of an error. Only what answers the message itself
// is for good: a server that does not greet or authenticate us is a fault that
// somebody will mend.
func refusedBy(err error, message bool) relayed {
	r := relayed{err: err}
	var e *textproto.Error
	if errors.As(err, &e) {
		r.status, r.text = e.Code, parse.Printable(e.Msg, keptAnswer)
		r.permanent = message && e.Code >= 500 && e.Code < 600
	}
	return r
}

// credentials picks PLAIN, or LOGIN where the server has nothing else.
func (h hop) credentials(c *smtp.Client) smtp.Auth {
	r := h.s.c.Relay
	_, offered := c.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	for _, m := range mechanisms {
		if m == "PLAIN" {
			return smtp.PlainAuth("", r.User, r.Password.Reveal(), h.host)
		}
	}
	return login{r}
}

// login is the LOGIN mechanism, which some servers offer alone.
type login struct{ relay Relay }

// Start implements smtp.Auth.
func (l login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("no TLS")
	}
	return "LOGIN", nil, nil
}

// Next implements smtp.Auth.
func (l login) Next(prompt []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case strings.HasPrefix(strings.ToLower(string(prompt)), "user"):
		return []byte(l.relay.User), nil
	case strings.HasPrefix(strings.ToLower(string(prompt)), "pass"):
		return []byte(l.relay.Password.Reveal()), nil
	default:
		return nil, errors.New("unknown prompt")
	}
}
