package parse

import (
	"bytes"
)

// maxDepth is how deep multiparts may be nested: each level costs the library
// one more pass over every octet.
const maxDepth = 40

// maxParts is how many parts there may be: each costs the library one more step
// over all those before it.
const maxParts = 10_000

// tooDeep reports whether multiparts are nested deeper than maxDepth, or have
// more than maxParts. It reads boundaries wherever they are named in one line,
// so it may see more levels than there are.
func tooDeep(raw []byte) bool {
	var open [][]byte
	parts := 0
	for len(raw) > 0 {
		line := raw
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			line, raw = raw[:i], raw[i+1:]
		} else {
			raw = nil
		}
		line = bytes.TrimRight(line, " \t\r")
		if rest, ok := bytes.CutPrefix(line, []byte("--")); ok {
			var found bool
			if open, found = closeTo(open, rest); found {
				parts++
			}
			if parts > maxParts {
				return true
			}
			continue
		}
		if b := boundaryOf(line); len(b) > 0 {
			if open = append(open, b); len(open) > maxDepth {
				return true
			}
		}
	}
	return false
}

// closeTo drops the levels that a delimiter ends: those inside of its own, and
// its own too where it is the closing one. It reports whether it was one.
func closeTo(open [][]byte, delimiter []byte) ([][]byte, bool) {
	for i := len(open) - 1; i >= 0; i-- {
		switch rest, ok := bytes.CutPrefix(delimiter, open[i]); {
		case !ok:
		case len(rest) == 0:
			return open[:i+1], true
		case string(rest) == "--":
			return open[:i], true
		}
	}
	return open, false
}

func boundaryOf(line []byte) []byte {
	const name = "boundary"
	for i := 0; i+len(name) < len(line); i++ {
		if line[i]|0x20 != 'b' || !bytes.EqualFold(line[i:i+len(name)], []byte(name)) {
			continue
		}
		rest := bytes.TrimLeft(line[i+len(name):], " \t*0123456789")
		value, ok := bytes.CutPrefix(rest, []byte("="))
		if !ok {
			continue
		}
		value = bytes.TrimLeft(value, " \t")
		if quoted, ok := bytes.CutPrefix(value, []byte(`"`)); ok {
			value, _, _ = bytes.Cut(quoted, []byte(`"`))
			return value
		}
		value, _, _ = bytes.Cut(value, []byte(";"))
		return bytes.TrimSpace(value)
	}
	return nil
}
