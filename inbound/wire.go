package inbound

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// wireBuffer is what is read from a connection at once.
	wireBuffer = 16 << 10
	// handshakeTimeout bounds all of a TLS handshake.
	handshakeTimeout = time.Minute
)

// wire is what the library has for a connection. It stands above TLS and hands
// the commands on line by line, so that it can do what the library does not:
// take RCPT TO:<Postmaster>, and read the text of DATA as it is meant (see
// dots). STARTTLS is done here too, for the library would set its TLS above.
type wire struct {
	*conn
	tls      *tls.Config // nil: STARTTLS is not offered
	hostname string

	mu     sync.Mutex
	secure *tls.Conn // nil: in the clear

	// What follows is for the one goroutine that reads commands.
	in      *bufio.Reader
	out     []byte // what the library reads next
	mid     bool   // the next piece belongs to a line that did not fit
	chunk   uint64 // octets of a chunk (RFC 3030) that are still to come
	text    *dots  // of a DATA whose end has not been handed on; nil: none
	swallow bool   // the next reply is to a command of our own
	unnamed bool   // after STARTTLS: EHLO has to come again (RFC 3207 section 4.2)
}

func newWire(c *conn, config *tls.Config, hostname string) *wire {
	return &wire{conn: c, tls: config, hostname: hostname, in: bufio.NewReaderSize(c, wireBuffer)}
}

// version is that of TLS, "" in the clear.
func (w *wire) version() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.secure == nil {
		return ""
	}
	return tls.VersionName(w.secure.ConnectionState().Version)
}

// body returns the reader of a message: of the text of DATA our own, in place
// of the library's, of chunks the one that it has.
func (w *wire) body(r io.Reader) io.Reader {
	if _, chunks := r.(*io.PipeReader); chunks {
		return r
	}
	w.text = &dots{in: w.in, limit: maxLine}
	return w.text
}

// Read implements net.Conn, for the library.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.out) == 0 {
		switch {
		case w.text != nil:
			// The session is done with the text: the library looks for its end.
			if err := w.text.discard(); err != nil {
				return 0, err
			}
			w.text, w.out = nil, []byte(".\r\n")
		case w.chunk > 0:
			n, err := w.in.Read(p[:min(uint64(len(p)), w.chunk)])
			w.chunk -= uint64(n) //nolint:gosec // never below 0
			return n, err
		default:
			if err := w.command(); err != nil {
				return 0, err
			}
		}
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

// command reads one line, and leaves it for the library or answers it. A line
// that does not fit is handed on as it is: none of ours is that long.
func (w *wire) command() error {
	line, err := w.in.ReadSlice('\n')
	full := errors.Is(err, bufio.ErrBufferFull)
	if err != nil && !full {
		return err // half a command is none
	}
	inside := w.mid
	if w.mid = full; inside || full {
		w.out = line
		return nil
	}
	verb, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	switch verb = strings.ToUpper(verb); {
	case strings.HasPrefix(verb, "STARTTLS"):
		return w.startTLS(verb + strings.TrimSpace(rest))
	case verb == "EHLO" || verb == "HELO" || verb == "LHLO":
		w.unnamed = false
	case w.unnamed && (verb == "MAIL" || verb == "RCPT" || verb == "DATA" || verb == "BDAT"):
		return w.say("503 5.5.1 Say EHLO again after STARTTLS\r\n")
	case verb == "RCPT":
		line = withPostmaster(line, rest, w.hostname)
	case verb == "BDAT":
		w.chunk = chunkSize(rest)
	}
	w.out = line
	return nil
}

// startTLS answers STARTTLS (RFC 3207), and has the library forget what was
// said before. What the client sent ahead of the handshake is dropped.
func (w *wire) startTLS(line string) error {
	switch {
	case line != "STARTTLS":
		return w.say("501 5.5.4 STARTTLS takes no arguments\r\n")
	case w.tls == nil:
		return w.say("502 5.5.1 TLS not supported\r\n")
	case w.version() != "":
		return w.say("503 5.5.1 Already running in TLS\r\n")
	}
	if err := w.say("220 2.0.0 Ready to start TLS\r\n"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	secure := tls.Server(w.conn, w.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		w.fail(err) // nothing can be said any more
		return net.ErrClosed
	}
	w.mu.Lock()
	w.secure = secure
	w.mu.Unlock()
	w.in.Reset(secure)
	w.unnamed, w.swallow, w.out = true, true, []byte("RSET\r\n")
	return nil
}

// say writes a reply of our own.
func (w *wire) say(reply string) error {
	_, err := w.send([]byte(reply))
	return err
}

func (w *wire) send(p []byte) (int, error) {
	w.mu.Lock()
	secure := w.secure
	w.mu.Unlock()
	if secure != nil {
		return secure.Write(p)
	}
	return w.conn.Write(p)
}

// Write implements net.Conn, for the library, which writes a line at a time.
func (w *wire) Write(p []byte) (int, error) {
	if w.swallow {
		w.swallow = false
		return len(p), nil
	}
	if w.tls != nil && w.version() == "" && bytes.Equal(p, []byte("250-PIPELINING\r\n")) {
		if err := w.say("250-STARTTLS\r\n"); err != nil {
			return 0, err
		}
	}
	return w.send(p)
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.mu.Lock()
	secure := w.secure
	w.mu.Unlock()
	if secure != nil {
		return secure.Close()
	}
	return w.conn.Close()
}

// withPostmaster gives the one mailbox without a domain that a server has to
// take, in any case (RFC 5321 sections 4.1.1.3 and 4.5.1), the name of this
// host. Any other line comes back as it is.
func withPostmaster(line []byte, rest, hostname string) []byte {
	const to, mailbox = "TO:", "<postmaster>"
	rest = strings.TrimLeft(rest, " ")
	if len(rest) < len(to) || !strings.EqualFold(rest[:len(to)], to) {
		return line
	}
	path := strings.TrimLeft(rest[len(to):], " ")
	if len(path) < len(mailbox) || !strings.EqualFold(path[:len(mailbox)], mailbox) {
		return line
	}
	return []byte("RCPT TO:<" + postmaster + "@" + hostname + ">" + path[len(mailbox):] + "\r\n")
}

// chunkSize returns how many octets follow a BDAT command that the library can
// read; the chunk comes whether it likes the command or not.
func chunkSize(args string) uint64 {
	f := strings.Fields(args)
	if len(f) == 0 || len(f) > 2 || len(f) == 2 && !strings.EqualFold(f[1], "LAST") {
		return 0
	}
	n, err := strconv.ParseUint(f[0], 10, 64)
	if err != nil || n > math.MaxUint32 {
		return 0
	}
	return n
}
