package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lmtpScheme is what the path of a unix socket for LMTP stands behind.
const lmtpScheme = "lmtp+unix:"

// mailListener takes mail by SMTP, or by LMTP (RFC 2033).
type mailListener struct {
	net.Listener
	lmtp bool
}

// mailAddress is a place to listen for mail.
type mailAddress struct {
	network, address string
}

func (a mailAddress) lmtp() bool { return a.network == "unix" }

// smtpListenVariable names the setting in errors.
const smtpListenVariable = "DOMAIND_SMTP_LISTEN (--smtp-listen)"

// listensTo reads DOMAIND_SMTP_LISTEN: TCP addresses, and unix sockets for LMTP
// as lmtp+unix:/path, separated by commas; none when it is off.
func (f mailFlags) listensTo() ([]mailAddress, error) {
	if f.SMTPListen == "" || f.SMTPListen == off {
		return nil, nil
	}
	var list []mailAddress
	for text := range strings.SplitSeq(f.SMTPListen, ",") {
		if path, ok := strings.CutPrefix(text, lmtpScheme); ok {
			if !filepath.IsAbs(path) {
				return nil, fmt.Errorf("%s: %s needs an absolute path", smtpListenVariable, lmtpScheme)
			}
			list = append(list, mailAddress{"unix", path})
			continue
		}
		if err := listenAddr(smtpListenVariable, text); err != nil {
			return nil, err
		}
		list = append(list, mailAddress{"tcp", text})
	}
	return list, nil
}

// listen opens the place. Whoever can reach the directory of a socket may hand
// mail in: it is no more than what a TCP port lets everybody do.
func (a mailAddress) listen(ctx context.Context) (net.Listener, error) {
	if a.lmtp() {
		if err := dropStale(ctx, a.address); err != nil {
			return nil, err
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, a.network, a.address)
	if err != nil || !a.lmtp() {
		return l, err
	}
	if err := os.Chmod(a.address, 0o666); err != nil { //nolint:gosec // see above
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// dropStale removes the socket of a process that was killed.
func dropStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is no socket", path)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("%s is in use", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	default:
		return err
	}
}

// listenForMail opens all the places; on an error those that it opened are the
// caller's to close.
func (a *app) listenForMail(ctx context.Context, f mailFlags) error {
	places, err := f.listensTo()
	if err != nil {
		return err
	}
	for _, p := range places {
		l, err := p.listen(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", smtpListenVariable, err)
		}
		a.smtp = append(a.smtp, mailListener{l, p.lmtp()})
	}
	return nil
}

// smtpAddresses are those of the open places, for the log.
func (a *app) smtpAddresses() string {
	if len(a.smtp) == 0 {
		return off
	}
	var list []string
	for _, l := range a.smtp {
		text := l.Addr().String()
		if l.lmtp {
			text = lmtpScheme + text
		}
		list = append(list, text)
	}
	return strings.Join(list, ",")
}
