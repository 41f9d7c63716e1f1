package check

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxTarget bounds path and query together, in bytes.
const maxTarget = 8 << 10

// errPath means that Envoy, this check, the policies and the product might read different paths out of the same bytes.
var errPath = errors.New("check: the path can be read in two ways")

// Path accepts a request target's path (without the query) that everybody reads alike, and returns it unchanged. Envoy has already
// resolved dot segments, merged slashes and refused escaped ones; what it cannot refuse is refused here: an escape that is broken, not
// UTF-8, doubled, or stands for a slash, backslash, dot, semicolon or control character; a raw backslash, #, or control character; and
// what is left of a dot segment, such as the ..; that %2e%2e; becomes (CVE-2021-32779 and its kin).
func Path(raw string) (string, error) {
	if !strings.HasPrefix(raw, "/") || len(raw) > maxTarget || strings.Contains(raw, "//") {
		return "", errPath
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '#' }) {
		return "", errPath
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, func(r rune) bool { return r < ' ' || r == 0x7f || 0x80 <= r && r <= 0x9f }) {
		return "", errPath
	}
	if hasEscape(decoded) || hasEscapeOf(raw, `/\.;`) || dotSegment(decoded) {
		return "", errPath
	}
	return raw, nil
}

// hasEscape finds a % with two hex digits: in a text that was decoded once, that is a second layer.
func hasEscape(s string) bool {
	for i := strings.IndexByte(s, '%'); i >= 0 && i+2 < len(s); i++ {
		if s[i] == '%' && isHex(s[i+1]) && isHex(s[i+2]) {
			return true
		}
	}
	return false
}

// hasEscapeOf finds one of the characters in its escaped form. The escapes are known to be well-formed.
func hasEscapeOf(raw, characters string) bool {
	for i := 0; i+2 < len(raw); i++ {
		if raw[i] == '%' && strings.IndexByte(characters, unhex(raw[i+1])<<4|unhex(raw[i+2])) >= 0 {
			return true
		}
	}
	return false
}

// dotSegment finds a segment that some server would resolve: dots alone, dots before a path parameter or before spaces, or nothing before a
// path parameter, which is an empty segment to a server that drops parameters.
func dotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		name, _, parameters := strings.Cut(segment, ";")
		if name = strings.Trim(name, " "); name == "." || name == ".." || name == "" && parameters {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
