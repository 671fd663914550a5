package resolve

import "strings"

// unescape turns a character-string in presentation form, as the DNS library
// keeps it, back into its octets: \DDD is one octet, \X is X (RFC 1035
// section 5.1).
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && digits(s[i+1:i+4]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
		default:
			b = append(b, s[i+1])
			i++
		}
	}
	return string(b)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// within says whether a name is in the zone of that apex.
func within(name, apex string) bool {
	return apex == "" || name == apex || strings.HasSuffix(name, "."+apex)
}
