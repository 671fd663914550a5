package inbound

import (
	"bufio"
	"errors"
	"io"

	"github.com/emersion/go-smtp"
)

// dots reads the text of one DATA command (RFC 5321 sections 4.1.1.4 and
// 4.5.2): up to CR LF "." CR LF and to nothing that only looks like it, with
// the first dot of a line removed and every other octet as it came. The
// library's own reader misses the end behind CR CR LF, so that such mail never
// arrives, and refuses a message as large as the limit.
type dots struct {
	in    *bufio.Reader
	limit int    // of the octets of a line; 0: none
	rest  []byte // of the piece that was read last
	size  int    // octets of its line so far
	mid   bool   // the next piece does not begin a line: no CR LF before it
	cr    bool   // the last piece ended with a CR, in the middle of a line
	err   error
}

// Read implements io.Reader. io.EOF is the end of the text,
// io.ErrUnexpectedEOF that of the connection, smtp.ErrTooLongLine a line above
// the limit.
func (d *dots) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(d.rest) == 0 {
			if d.err != nil {
				return n, d.err
			}
			d.next()
		}
		m := copy(p[n:], d.rest)
		d.rest = d.rest[m:]
		n += m
	}
	return n, nil
}

// next reads a line, or what the buffer takes of a long one.
func (d *dots) next() {
	piece, err := d.in.ReadSlice('\n')
	switch {
	case err == nil, errors.Is(err, bufio.ErrBufferFull):
	case err == io.EOF: //nolint:errorlint // a wrapped one is an error of the connection
		d.err = io.ErrUnexpectedEOF
	default:
		d.err = err
	}
	if !d.mid && len(piece) > 0 && piece[0] == '.' {
		if string(piece) == ".\r\n" {
			d.err = io.EOF
			return
		}
		piece = piece[1:]
	}
	d.rest = piece
	d.size += len(piece)
	if d.limit > 0 && d.size > d.limit {
		d.rest, d.err = nil, smtp.ErrTooLongLine
	}
	n := len(piece)
	if err != nil { // the line goes on
		d.mid, d.cr = true, n > 0 && piece[n-1] == '\r'
		return
	}
	d.mid = !(n > 1 && piece[n-2] == '\r' || n == 1 && d.cr)
	d.size, d.cr = 0, false
}

// discard reads to the end of the text, however long its lines are.
func (d *dots) discard() error {
	d.rest, d.limit = nil, 0
	if errors.Is(d.err, smtp.ErrTooLongLine) {
		d.err = nil
	}
	_, err := io.Copy(io.Discard, struct{ io.Reader }{d})
	return err
}
