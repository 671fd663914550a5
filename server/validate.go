package server

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/domaind/domaind/dnscheck/name"
)

// fieldError is one entry of a problem document's errors: where (a JSON
// pointer, RFC 6901), what in a word, what in a sentence. Detail is text of
// ours and never repeats a value, so that no secret comes back.
type fieldError struct{ Pointer, Code, Detail string }

// Limits of values, in the unit that their check counts.
const (
	maxIDRunes       = 128
	maxURLOctets     = 2048
	minSecretOctets  = 8
	maxSecretOctets  = 256
	maxObservedRunes = 2048
	// RFC 5321 section 4.5.3.1: 64 octets of local part, and a path of 256
	// with its angle brackets.
	maxLocalOctets = 64
	maxEmailOctets = 254
)

// validDomain reads a domain name; the error carries the code of name.Error.
func validDomain(pointer, s string, p name.Policy) (name.Name, *fieldError) {
	n, err := name.Parse(s, p)
	if err == nil {
		return n, nil
	}
	var e *name.Error
	if !errors.As(err, &e) {
		e = &name.Error{Code: name.CodeInvalidDomain, Detail: "this is no domain name"}
	}
	return name.Name{}, &fieldError{pointer, e.Code, e.Detail}
}

// validID checks a user_id or organization_id: 1 to 128 characters, each
// printable and none a space.
func validID(pointer, s string) *fieldError {
	n := utf8.RuneCountInString(s)
	ok := n >= 1 && n <= maxIDRunes && utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0 && !strings.Contains(s, " ")
	if ok {
		return nil
	}
	return &fieldError{pointer, "invalid-id", "an id has 1 to 128 printable characters and no spaces"}
}

// unprintable reports a character with nothing to see: controls, format
// characters, separators but for the space, unassigned ones, and letters that
// are blank by definition (the Hangul fillers and their kind).
func unprintable(r rune) bool {
	return !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// validSecret checks a webhook secret: 8 to 256 printable ASCII characters.
func validSecret(s string) *fieldError {
	ok := len(s) >= minSecretOctets && len(s) <= maxSecretOctets
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= ' ' && s[i] <= '~'
	}
	if ok {
		return nil
	}
	return &fieldError{"/webhook_secret", "invalid-secret", "a secret has 8 to 256 printable ASCII characters"}
}

// validObserved checks what an admin says to have seen: at most 2048
// printable characters.
func validObserved(s string) *fieldError {
	if utf8.RuneCountInString(s) <= maxObservedRunes && utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0 {
		return nil
	}
	return &fieldError{"/observed_value", "invalid-observed-value", "an observed value has at most 2048 printable characters"}
}

// missingForMode says which member a forward mode lacks, if any.
func missingForMode(mode string, hasURL, hasEmail bool) *fieldError {
	switch {
	case (mode == "webhook" || mode == "webhook_then_store") && !hasURL:
		return &fieldError{"/webhook_url", "missing-for-mode", "this forward mode needs webhook_url"}
	case mode == "forward_email" && !hasEmail:
		return &fieldError{"/forward_to_email", "missing-for-mode", "this forward mode needs forward_to_email"}
	}
	return nil
}

// parseNumber reads a plain decimal number from low to high, which is 0 or
// more. The integer parsers of the libraries also take signs and leading zeros.
func parseNumber(s string, low, high int64) (n int64, code, detail string) {
	if s == "" || strings.Trim(s, "0123456789") != "" || s[0] == '0' && len(s) > 1 {
		return 0, "not-an-integer", "this is a whole number in plain digits"
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < low || n > high {
		return 0, "out-of-range", fmt.Sprintf("this is a number from %d to %d", low, high)
	}
	return n, "", ""
}

// canonicalEmail returns the address with its domain as Name.ASCII. It takes an
// ASCII dot-atom (RFC 5321 section 4.1.2) of at most 64 octets, @, and a domain
// by the rules of name.Parse: no quoted local part, literal, name or list.
func canonicalEmail(s string, p name.Policy) (string, *fieldError) {
	refuse := func(detail string) (string, *fieldError) {
		return "", &fieldError{"/forward_to_email", "invalid-email", detail}
	}
	local, domain, ok := strings.Cut(s, "@")
	switch {
	case !ok || strings.Contains(domain, "@"):
		return refuse("an address has one @")
	case len(local) > maxLocalOctets:
		return refuse("the part before the @ has at most 64 octets")
	case !dotAtom(local):
		return refuse("the part before the @ is letters, digits and !#$%&'*+-/=?^_`{|}~ in ASCII, with single dots between")
	}
	p.Reserve = 0 // no record of ours goes below this name
	n, ferr := validDomain("/forward_to_email", domain, p)
	if ferr != nil {
		return refuse("the part after the @ is no domain for mail: " + ferr.Detail)
	}
	email := local + "@" + n.ASCII
	if len(email) > maxEmailOctets {
		return refuse("an address has at most 254 octets")
	}
	return email, nil
}

// dotAtom reports whether s is a dot-atom of RFC 5322 section 3.2.3.
func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, r := range atom {
			letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
			if !letter && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r) {
				return false
			}
		}
	}
	return true
}

// validWebhookURL checks where a webhook may go. Names go over https, to port
// 443 or from 1024, and are public; http, any port and IP literals only to the
// addresses in allow. What a name resolves to is judged at every dial.
func validWebhookURL(s string, allow []netip.Prefix) *fieldError {
	if detail := webhookFault(s, allow); detail != "" {
		return &fieldError{"/webhook_url", "webhook-url-refused", detail}
	}
	return nil
}

// webhookFault says what is wrong with a webhook URL; "" for nothing.
func webhookFault(s string, allow []netip.Prefix) string {
	scheme, authority, detail := splitWebhookURL(s)
	if detail != "" {
		return detail
	}
	host, port, detail := splitHostPort(authority)
	if detail != "" {
		return detail
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		addr = addr.Unmap()
		for _, p := range allow {
			if p.Contains(addr) { // never true for an address with a zone
				return ""
			}
		}
		return "the host is an IP address; give a name"
	}
	if scheme != "https" {
		return "the scheme is not https"
	}
	if port != 443 && port < 1024 {
		return "the port is 443 or from 1024"
	}
	ascii, err := name.Host(host)
	var e *name.Error
	switch {
	case errors.As(err, &e):
		return "the host is refused: " + e.Detail
	case err != nil || name.SpecialUse(ascii):
		return "the host is a special-use name, which public DNS does not know"
	}
	return ""
}

// splitWebhookURL takes a URL apart by hand and holds the result against
// net/url: where parsers could disagree about the host, there is no host.
func splitWebhookURL(s string) (scheme, authority, detail string) {
	if len(s) > maxURLOctets {
		return "", "", "a URL has at most 2048 octets"
	}
	for _, r := range s {
		if r == utf8.RuneError || r <= ' ' || r == 0x7F || strings.ContainsRune("\"<>\\^`{|}", r) {
			return "", "", "a character in it must be percent-encoded or cannot be in a URL"
		}
	}
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return "", "", "this is no absolute https URL"
	}
	if strings.Contains(rest, "#") {
		return "", "", "a webhook URL has no fragment"
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, rest = rest[:end], rest[end:]
	switch {
	case strings.Contains(authority, "@"):
		return "", "", "a webhook URL has no user name or password"
	case strings.Contains(authority, "%"):
		return "", "", "the host has a percent sign"
	case strings.IndexFunc(rest, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 || badEscape(rest):
		return "", "", "characters outside ASCII after the host must be percent-encoded, and correctly"
	}
	if u, err := url.Parse(s); err != nil || u.Host != authority || u.User != nil {
		return "", "", "this is no URL with a host"
	}
	return scheme, authority, ""
}

// splitHostPort returns the host, an IPv6 literal in its brackets, and the
// port; 443 without one, which is a refusal of http to a name all the same.
func splitHostPort(authority string) (host string, port int, detail string) {
	host, digits, has := authority, "", false
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, digits, has = authority[:i], authority[i+1:], true
	}
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	if host == "" || !bracketed && strings.ContainsAny(host, "[]:") {
		return "", 0, "the URL has no host"
	}
	if !has {
		return host, 443, ""
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != digits {
		return "", 0, "the port is no number from 1 to 65535"
	}
	return host, int(n), ""
}

// badEscape reports a percent sign that two hexadecimal digits do not follow.
func badEscape(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return false
		}
		if len(s) < i+3 || strings.Trim(s[i+1:i+3], "0123456789abcdefABCDEF") != "" {
			return true
		}
		s = s[i+3:]
	}
}
