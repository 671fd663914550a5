package dmarc

import (
	"regexp"
	"strings"
)

// NearMiss says what keeps a text that was meant as a policy record from being
// one, or "" when it was not meant so, or is one.
func NearMiss(text string) string {
	if first, _, _ := strings.Cut(text, ";"); isVersion(first) {
		return ""
	}
	clean := squash(text)
	lower := strings.ToLower(clean)
	i := strings.Index(lower, "v=dmarc")
	switch {
	case i < 0 && loose.MatchString(lower):
		return "it does not start with v=DMARC1;"
	case i < 0:
		return ""
	case strings.ContainsAny(clean[:i], ";="):
		return "v=DMARC1 is not its first tag"
	case i > 0:
		return "something stands before v=DMARC1"
	}
	return versionMiss(text, clean, lower)
}

// loose matches what only a DMARC record looks like, without its version.
var loose = regexp.MustCompile(`^(v[:-]?dmarc|dmarc1|p=(none|quarantine|reject)\b)`)

// versionMiss names the fault of a text that starts with v=DMARC when
// everything that does not belong there is taken away.
func versionMiss(text, clean, lower string) string {
	value, _, _ := strings.Cut(clean[len("v="):], ";")
	switch {
	case value == "DMARC1" && strings.TrimLeft(text, wsp) != text && isVersionText(trim(text)):
		return "it starts with a space"
	case value == "DMARC1":
		return "quotes, backslashes or invisible characters are part of it"
	case strings.HasPrefix(value, "DMARC1"):
		return "there is no semicolon after v=DMARC1"
	case strings.HasPrefix(lower, "v=dmarc1"):
		return "the version must be written DMARC1, in capitals"
	}
	return "the version is not DMARC1"
}

func isVersionText(text string) bool {
	first, _, _ := strings.Cut(text, ";")
	return isVersion(first)
}

// squash drops spaces, quotes, backslashes and all but printable ASCII.
func squash(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\()", r) {
			return -1
		}
		return r
	}, text)
}
