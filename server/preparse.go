package server

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxJSONDepth is how many arrays and objects may stand inside each other,
// the outermost counted.
const maxJSONDepth = 16

// bodyFault is why a body goes no further: the entry for the problem document
// and the status to answer with, 400 for octets that are not strict JSON, 422
// for a number that no integer member can have.
type bodyFault struct {
	fieldError
	Status int
}

// preparse checks a request body before anything decodes it. It wants exactly
// one JSON value (RFC 8259) in UTF-8, without a byte order mark, NUL, lone
// surrogates, or members that encoding/json would take for each other, nested
// at most 16 deep. The API has whole numbers only, so 1.0, 1e0, -0 and what
// does not fit int64 are refused as well, after all else. Nil means that every
// JSON decoder reads the same in it. Its time is linear in the body.
func preparse(body []byte) *bodyFault {
	var s jsonScan
	s.init(body)
	if err := s.document(); err != nil {
		return &bodyFault{*err, 400}
	}
	if s.number != nil {
		return &bodyFault{*s.number, 422}
	}
	return nil
}

// jsonScan walks a body once, without recursion.
type jsonScan struct {
	b      []byte
	pos    int
	frames []jsonFrame
	names  nameSet
	number *fieldError // the first number that is no integer

	frameBuf [maxJSONDepth]jsonFrame
}

// jsonFrame is one open array or object.
type jsonFrame struct {
	object bool
	// index counts the elements of an array.
	index int
	// nameStart and nameEnd hold the current member's name, quotes excluded.
	nameStart, nameEnd int
	names              nameMark
}

func (s *jsonScan) init(body []byte) {
	s.b = body
	s.frames = s.frameBuf[:0]
	s.names.init()
}

// document reads the one value and makes sure that nothing follows.
func (s *jsonScan) document() *fieldError {
	if bytes.HasPrefix(s.b, []byte("\xEF\xBB\xBF")) {
		return s.fault("byte-order-mark", "the body begins with a byte order mark")
	}
	s.space()
	if s.pos == len(s.b) {
		return s.fault("empty-body", "the body has no JSON value")
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		more, err := s.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if s.pos < len(s.b) {
		if s.b[s.pos] == 0 {
			return s.badOctet()
		}
		return s.fault("trailing-data", "something follows the JSON value")
	}
	return nil
}

// value reads a scalar, or opens containers down to the first scalar or the
// first empty container.
func (s *jsonScan) value() *fieldError {
	for {
		s.space()
		switch c := s.peek(); {
		case c == '{' || c == '[':
			done, err := s.open(c)
			if done || err != nil {
				return err
			}
		case c == '"':
			s.pos++
			_, err := s.str()
			return err
		case c == '-' || '0' <= c && c <= '9':
			return s.num()
		default:
			return s.literal()
		}
	}
}

// open enters a container; done says that it was empty and is closed again.
func (s *jsonScan) open(c byte) (done bool, err *fieldError) {
	if len(s.frames) == maxJSONDepth {
		return false, s.fault("too-deep", "the body is nested more than %d deep", maxJSONDepth)
	}
	s.pos++
	s.space()
	if next := s.peek(); c == '{' && next == '}' || c == '[' && next == ']' {
		s.pos++
		return true, nil
	}
	s.frames = append(s.frames, jsonFrame{object: c == '{', names: s.names.mark()})
	if c == '{' {
		return false, s.member()
	}
	return false, nil
}

// next goes on after a value: over a comma to the next value (true), or out of
// the containers that end here and, after the last, to the end (false).
func (s *jsonScan) next() (bool, *fieldError) {
	for {
		s.space()
		if len(s.frames) == 0 {
			return false, nil
		}
		f := &s.frames[len(s.frames)-1]
		switch c := s.peek(); {
		case c == ',':
			s.pos++
			if f.object {
				s.space()
				return true, s.member()
			}
			f.index++
			return true, nil
		case f.object && c == '}' || !f.object && c == ']':
			s.pos++
			s.names.release(f.names)
			s.frames = s.frames[:len(s.frames)-1]
		default:
			return false, s.badOctet()
		}
	}
}

// member reads a name and its colon.
func (s *jsonScan) member() *fieldError {
	f := &s.frames[len(s.frames)-1]
	f.nameEnd = 0
	if s.peek() != '"' {
		return s.badOctet()
	}
	s.pos++
	start := s.pos
	plain, err := s.str()
	if err != nil {
		return err
	}
	f.nameStart, f.nameEnd = start, s.pos-1
	if !s.names.add(f.names, s.b[f.nameStart:f.nameEnd], plain) {
		return s.fault("duplicate-member", "an object has this member twice, letter case aside")
	}
	s.space()
	if s.peek() != ':' {
		return s.badOctet()
	}
	s.pos++
	return nil
}

// literal reads true, false or null.
func (s *jsonScan) literal() *fieldError {
	for _, word := range [...]string{"true", "false", "null"} {
		if len(s.b)-s.pos >= len(word) && string(s.b[s.pos:s.pos+len(word)]) == word {
			s.pos += len(word)
			return nil
		}
	}
	return s.badOctet()
}

// num reads a number and notes the first one that is no int64 as it stands.
func (s *jsonScan) num() *fieldError {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.badOctet()
	}
	integer := true
	if s.peek() == '.' {
		s.pos++
		integer = false
		if !s.digits() {
			return s.badOctet()
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		integer = false
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.badOctet()
		}
	}
	if s.number != nil {
		return nil
	}
	text := s.b[start:s.pos]
	if !integer || string(text) == "-0" {
		s.number = s.fault("not-an-integer", "numbers here are whole and written in plain digits")
	} else if len(text) > 18 {
		if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
			s.number = s.fault("out-of-range", "this number is too large")
		}
	}
	return nil
}

func (s *jsonScan) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// space skips the white space of JSON, which is these four octets only.
func (s *jsonScan) space() {
	for s.pos < len(s.b) {
		switch s.b[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the octet at pos, and 0 at the end; a real NUL is refused
// wherever it stands, so the two need not be told apart.
func (s *jsonScan) peek() byte {
	if s.pos < len(s.b) {
		return s.b[s.pos]
	}
	return 0
}

// badOctet says what is wrong at pos, outside a string.
func (s *jsonScan) badOctet() *fieldError {
	if s.pos >= len(s.b) {
		return s.fault("unexpected-end", "the body ends inside the JSON value")
	}
	if s.b[s.pos] == 0 {
		return s.fault("nul", "the body has a NUL")
	}
	if r, n := utf8.DecodeRune(s.b[s.pos:]); r == utf8.RuneError && n == 1 {
		return s.fault("invalid-utf8", "the body is not valid UTF-8")
	}
	return s.fault("syntax", "the body is not JSON")
}

// fault makes an entry for the place where the scan stands.
func (s *jsonScan) fault(code, format string, args ...any) *fieldError {
	detail := fmt.Sprintf(format, args...) + fmt.Sprintf(" (at octet %d)", s.pos)
	return &fieldError{s.pointer(), code, detail}
}
