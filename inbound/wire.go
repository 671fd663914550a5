package inbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	// wireBuffer is what is read from a connection at once, and above the
	// longest command.
	wireBuffer = 16 << 10
	// handshakeTimeout bounds all of a TLS handshake.
	handshakeTimeout = time.Minute
)

// wire is what the library has for a connection. It stands above TLS and hands
// the commands on line by line, so that it can do what the library does not:
// take RCPT TO:<Postmaster>, and read the text of DATA as it is meant (see
// dots). STARTTLS is done here too, for the library would set its TLS above.
//
// CHUNKING (RFC 3030) is not offered. The library runs its transfers beside its
// commands, and after an RSET the one that was broken off may answer for the
// next; without it only one goroutine has to do with a connection.
type wire struct {
	*conn
	tls      *tls.Config // nil: STARTTLS is not offered
	hostname string

	mu  sync.Mutex
	top net.Conn // what is spoken through: conn, or the TLS on it

	// What follows is for the one goroutine that reads commands.
	in      *bufio.Reader
	out     []byte // what the library reads next
	lines   []byte // of a reply that has more to come
	text    *dots  // of a DATA whose end has not been handed on; nil: none
	unnamed bool   // after STARTTLS: EHLO has to come again (RFC 3207 section 4.2)
}

func newWire(c *conn, config *tls.Config, hostname string) *wire {
	return &wire{conn: c, tls: config, hostname: hostname, top: c, in: bufio.NewReaderSize(c, wireBuffer)}
}

func (w *wire) spoken() net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.top
}

// version is that of TLS, "" in the clear.
func (w *wire) version() string {
	if secure, ok := w.spoken().(*tls.Conn); ok {
		return tls.VersionName(secure.ConnectionState().Version)
	}
	return ""
}

// body returns the reader of the text of DATA, in place of the library's.
func (w *wire) body() io.Reader {
	w.text = &dots{in: w.in, limit: maxLine}
	return w.text
}

// Read implements net.Conn, for the library.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.out) == 0 {
		if w.text == nil {
			if err := w.command(); err != nil {
				return 0, err
			}
			continue
		}
		// The session is done with the text: the library looks for its end.
		if err := w.text.discard(); err != nil {
			return 0, err
		}
		w.text, w.out = nil, []byte(".\r\n")
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

// command reads one line, and leaves it for the library or answers it. After
// the end of a connection there is none, whatever was read ahead.
func (w *wire) command() error {
	if err := w.await(w.door.idle); err != nil {
		return err
	}
	line, err := w.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return smtp.ErrTooLongLine // which the library answers, and closes
	case err != nil:
		return err // half a command is none
	}
	verb, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	switch verb = strings.ToUpper(verb); {
	case strings.HasPrefix(verb, "STARTTLS"):
		return w.startTLS(verb + strings.TrimSpace(rest))
	case verb == "AUTH":
		return w.say("502 5.5.1 AUTH is not offered\r\n")
	case verb == "BDAT":
		// What comes behind it is no command, and how much that is may not be said.
		return errors.Join(w.say("502 5.5.1 CHUNKING is not offered\r\n"), net.ErrClosed)
	case verb == "QUIT" || verb == "EHLO" || verb == "HELO" || verb == "LHLO":
	case w.unnamed:
		return w.say("503 5.5.1 Say EHLO again after STARTTLS\r\n")
	case verb == "RCPT":
		line = withPostmaster(line, rest, w.hostname)
	}
	w.out = line
	return nil
}

// startTLS answers STARTTLS (RFC 3207). What the client sent ahead of the
// handshake is dropped, and what it said before with the EHLO that must follow.
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
	if err := w.await(handshakeTimeout); err != nil {
		return err
	}
	secure := tls.Server(w.conn, w.tls)
	if err := secure.HandshakeContext(context.Background()); err != nil {
		return net.ErrClosed // nothing can be said any more
	}
	w.mu.Lock()
	w.top = secure
	w.mu.Unlock()
	w.in.Reset(secure)
	w.unnamed = true
	return nil
}

// say writes a reply of our own.
func (w *wire) say(reply string) error {
	_, err := io.WriteString(w.spoken(), reply)
	return err
}

// Write implements net.Conn, for the library, which writes a line at a time. A
// reply goes out whole (RFC 2920 section 3.2).
func (w *wire) Write(p []byte) (int, error) {
	switch string(p) {
	case "250-CHUNKING\r\n":
		if w.tls != nil && w.version() == "" {
			w.lines = append(w.lines, "250-STARTTLS\r\n"...)
		}
		return len(p), nil
	case "250-SIZE\r\n":
		w.lines = fmt.Appendf(w.lines, "250-SIZE %d\r\n", w.door.maxBytes)
		return len(p), nil
	}
	if w.lines = append(w.lines, p...); len(p) > 3 && p[3] == '-' {
		return len(p), nil
	}
	if string(p[:min(3, len(p))]) == "250" {
		w.unnamed = false // while it is set, only a greeting gets here
	}
	_, err := w.spoken().Write(w.lines)
	w.lines = w.lines[:0]
	return len(p), err
}

// Close implements net.Conn.
func (w *wire) Close() error { return w.spoken().Close() }

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
