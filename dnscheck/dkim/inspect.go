package dkim

import (
	"errors"
	"strings"
)

// Problem names the most telling reason why published records do not serve a
// key.
type Problem int

// The problems, each of which makes signatures fail.
const (
	ProblemNone         Problem = iota
	ProblemSyntax               // no verifier can read it
	ProblemMismatch             // another key
	ProblemOldKey               // a key of ours that was rotated out
	ProblemTruncated            // our value, cut off
	ProblemReordered            // the strings of our value in the wrong order
	ProblemQuoted               // our value with characters that do not belong to it
	ProblemCase                 // our value with upper and lower case lost
	ProblemWeak                 // an RSA key below MinBits
	ProblemWrongType            // k= and the key in p= do not fit
	ProblemPKCS1                // our key as a bare RSAPublicKey
	ProblemRevoked              // p= is empty
	ProblemMultiple             // more than one record
	ProblemSplitRecords         // our value over several records
	ProblemHash                 // our key, but h= forbids sha256
	ProblemService              // our key, but s= forbids mail
)

// Finding is what Inspect saw.
type Finding struct {
	Problem Problem
	// Detail says what is wrong with the syntax. It quotes what was published:
	// escape it before it is shown.
	Detail string
	// Length is how many octets of text were published.
	Length int
	// Extra lists what does not belong into a quoted value: characters, or a
	// word such as a pasted name. Escape it before it is shown.
	Extra []string
	// Key is the published key where one could be decoded.
	Key PublicKey
	// Ours says that our key is among the records.
	Ours bool
	// Testing is t=y: verifiers treat failing mail as unsigned.
	Testing bool
	// StrictIdentity is t=s: i= must be the signing domain itself. It is
	// harmless for a signer whose i= is never in a subdomain.
	StrictIdentity bool
}

// Expected is the key that ought to be published.
type Expected struct {
	text    string
	p       string
	key     PublicKey
	retired []PublicKey
}

// Expect reads the value that ought to be published, and those that stood
// there before a rotation. The error is a *SyntaxError or one of the Err
// sentinels; a retired value that cannot be read is dropped.
func Expect(value string, retired []string) (Expected, error) {
	rec, err := Parse(value)
	if err != nil {
		return Expected{}, err
	}
	key, err := rec.Key()
	if err != nil {
		return Expected{}, err
	}
	x := Expected{text: value, p: rec.P, key: key}
	for _, old := range retired {
		if rec, err := Parse(old); err == nil {
			if key, err := rec.Key(); err == nil {
				x.retired = append(x.retired, key)
			}
		}
	}
	return x, nil
}

// Inspect compares the TXT records at a selector, each given as its strings,
// with the expected key. There must be at least one record.
func (x Expected) Inspect(records [][]string) Finding {
	if len(records) == 1 {
		return x.inspectOne(records[0])
	}
	texts := make([]string, len(records))
	f := Finding{Problem: ProblemMultiple}
	for i, strs := range records {
		texts[i] = strings.Join(strs, "")
		f.Length += len(texts[i])
		f.Ours = f.Ours || x.serves(texts[i])
	}
	if !f.Ours && x.joins(texts) {
		f.Problem = ProblemSplitRecords
	}
	return f
}

func (x Expected) inspectOne(strs []string) Finding {
	text := strings.Join(strs, "")
	f := Finding{Length: len(text)}
	rec, err := Parse(text)
	if err != nil {
		f.Problem, f.Detail = ProblemSyntax, detail(err)
		x.nearMiss(&f, text, rec.P)
	} else {
		f.Testing, f.StrictIdentity = rec.HasFlag("y"), rec.HasFlag("s")
		f.Key, err = rec.Key()
		f.Problem, f.Detail = x.compare(rec, f.Key, err)
		f.Ours = f.Key.Equal(x.key) && err == nil
		if f.Problem == ProblemMismatch || f.Problem == ProblemSyntax || f.Problem == ProblemWrongType {
			x.nearMiss(&f, text, rec.P)
		}
	}
	unreadable := f.Problem == ProblemSyntax || f.Problem == ProblemTruncated
	if unreadable && len(strs) > 1 && x.joins(strs) {
		f.Problem = ProblemReordered
	}
	return f
}

// compare judges a record that parses.
func (x Expected) compare(rec Record, key PublicKey, err error) (Problem, string) {
	switch {
	case errors.Is(err, ErrRevoked):
		return ProblemRevoked, ""
	case errors.Is(err, ErrPKCS1) && key.Equal(x.key):
		return ProblemPKCS1, ""
	case errors.Is(err, ErrPKCS1):
		return ProblemMismatch, ""
	case errors.Is(err, ErrWrongType):
		return ProblemWrongType, rec.Type
	case err != nil:
		return ProblemSyntax, err.Error()
	case !key.Equal(x.key):
		return x.foreign(key), ""
	case !rec.AllowsSHA256():
		return ProblemHash, strings.Join(rec.Hashes, ":")
	case !rec.AllowsEmail():
		return ProblemService, strings.Join(rec.Services, ":")
	}
	return ProblemNone, ""
}

// foreign names what a key that is not the expected one is.
func (x Expected) foreign(key PublicKey) Problem {
	for _, old := range x.retired {
		if key.Equal(old) {
			return ProblemOldKey
		}
	}
	if key.RSA != nil && key.Bits() < MinBits {
		return ProblemWeak
	}
	return ProblemMismatch
}

// serves reports whether a text is a record with our key.
func (x Expected) serves(text string) bool {
	rec, err := Parse(text)
	if err != nil {
		return false
	}
	key, err := rec.Key()
	return err == nil && key.Equal(x.key)
}

// maxPieces bounds the orders that joins tries.
const maxPieces = 4

// joins reports whether the pieces make our value in some order.
func (x Expected) joins(pieces []string) bool {
	if len(pieces) > maxPieces {
		return false
	}
	return x.joinsFrom("", pieces)
}

func (x Expected) joinsFrom(head string, rest []string) bool {
	if len(rest) == 0 {
		return x.serves(head)
	}
	for i := range rest {
		others := append(append([]string(nil), rest[:i]...), rest[i+1:]...)
		if x.joinsFrom(head+rest[i], others) {
			return true
		}
	}
	return false
}

func detail(err error) string {
	var se *SyntaxError
	if errors.As(err, &se) {
		return se.Detail
	}
	return err.Error()
}
