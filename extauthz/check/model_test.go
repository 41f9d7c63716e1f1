package check

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	anEscape     = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	escapedToken = regexp.MustCompile(`(?i)%(2f|5c|2e|3b|0.|1.|7f)`)
)

// faultOf is the reference model of a canonical path: it says why one is not, "" if it is.
func faultOf(raw string) string {
	decoded := decodeOnce(raw)
	switch {
	case raw == "" || raw[0] != '/':
		return "does not begin with a slash"
	case strings.Trim(raw, printable) != "" || strings.ContainsAny(raw, " #\\"):
		return "holds raw bytes that are no path"
	case strings.Contains(anEscape.ReplaceAllString(raw, ""), "%"):
		return "holds a broken escape"
	case escapedToken.MatchString(raw):
		return "holds an escape of what separates"
	case !utf8.ValidString(decoded):
		return "is not UTF-8"
	case strings.ContainsFunc(decoded, unicode.IsControl):
		return "holds a control character"
	case decodeOnce(decoded) != decoded:
		return "is escaped twice"
	}
	return leadsElsewhere(decoded)
}

// leadsElsewhere compares what servers make of a decoded path: as it is, without parameters (Java), without spaces at the ends of segments.
func leadsElsewhere(decoded string) string {
	if strings.Contains(decoded, "//") {
		return "holds an empty segment"
	}
	for _, segment := range strings.Split(decoded, "/") {
		for _, seen := range []string{segment, beforeSemicolon(segment), strings.TrimSpace(beforeSemicolon(segment)), strings.Trim(segment, " ")} {
			if seen == "." || seen == ".." {
				return "holds a dot segment"
			}
		}
	}
	if cleaned := path.Clean(decoded); cleaned != strings.TrimRight(decoded, "/") && decoded != "/" {
		return "cleans to " + cleaned
	}
	return ""
}

func beforeSemicolon(segment string) string { return strings.SplitN(segment, ";", 2)[0] }

func decodeOnce(s string) string {
	return anEscape.ReplaceAllStringFunc(s, func(e string) string {
		b, _ := strconv.ParseUint(e[1:], 16, 8)
		return string([]byte{byte(b)})
	})
}

// printable holds the printable characters of ASCII.
var printable = func() string {
	var all strings.Builder
	for r := '!'; r <= '~'; r++ {
		all.WriteRune(r)
	}
	return all.String()
}()
