package dmarc

import (
	"net/url"
	"regexp"
	"strings"
)

// URI is one address for reports.
type URI struct {
	// Text is the URI as published, without a size. Escape it before it is
	// shown.
	Text string
	// Host is the domain of a mailto address, or the host of another URI, in
	// lower case.
	Host string
	// HasSize says that a size such as !10m follows, which RFC 9989 dropped.
	HasSize bool

	key string
}

// Same reports whether both URIs lead to the same place: scheme and host
// compare without case, the rest after percent decoding.
func (u URI) Same(other URI) bool { return u.key == other.key }

var size = regexp.MustCompile(`![0-9]+[kKmMgGtT]?$`)

// parseURIs reads a comma-separated list. It returns the valid URIs, and
// whether all are valid.
func parseURIs(list string) (uris []URI, ok bool) {
	ok = true
	for _, s := range strings.Split(list, ",") {
		u, valid := parseURI(trim(s))
		if !valid {
			ok = false
			continue
		}
		uris = append(uris, u)
	}
	return uris, ok
}

func parseURI(s string) (URI, bool) {
	text := size.ReplaceAllString(s, "")
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme == "" || strings.ContainsAny(text, "! \t\"<>\\") {
		return URI{}, false
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return URI{}, false
		}
	}
	u := URI{Text: text, HasSize: text != s}
	if parsed.Scheme != "mailto" {
		u.Host = strings.TrimSuffix(strings.ToLower(parsed.Hostname()), ".")
		u.key = parsed.Scheme + "://" + strings.ToLower(parsed.Host) + parsed.Path + "?" + parsed.RawQuery
		return u, validHost(u.Host)
	}
	address, err := url.PathUnescape(parsed.Opaque)
	if err != nil {
		return URI{}, false
	}
	local, host, found := cutLast(address, "@")
	u.Host = strings.TrimSuffix(strings.ToLower(host), ".")
	u.key = "mailto:" + local + "@" + u.Host
	return u, found && local != "" && validHost(u.Host)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// validHost reports whether s can be the domain of a report address.
func validHost(s string) bool {
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return len(s) <= 253 && strings.IndexFunc(s, func(r rune) bool {
		return !(r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z')
	}) < 0
}
