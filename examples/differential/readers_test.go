package differential

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// ourCookies counts the cookies of ours by name (RFC 6265 section 4.2.1: a semicolon parts two, a comma is part of a value), whatever stands
// around the name.
func ourCookies(lines []string) map[string]int {
	found := map[string]int{}
	for _, text := range lines {
		for crumb := range strings.SplitSeq(text, ";") {
			name, _, _ := strings.Cut(crumb, "=")
			name = strings.TrimFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
			if strings.HasPrefix(strings.ToLower(name), "__host-isogate") {
				found[name]++
			}
		}
	}
	return found
}

// ours are the names, or their beginnings, of the headers that only we may set.
var ours = []string{"x-user-context", "x-isolated-", "x-isogate"}

// proxies are those that backends believe about where a request came from and what it asked for.
var proxies = []string{"forwarded", "x-real-ip", "x-envoy-", "x-forwarded-", "x-original-", "x-rewrite-", "x-http-method", "x-method-override"}

// forged tells what is wrong with a header line that only we, or Envoy, may set.
func forged(l line, token string, from netip.Addr) string {
	begins := func(with string) bool { return strings.HasPrefix(strings.ReplaceAll(l.name, "_", "-"), with) }
	if !slices.ContainsFunc(ours, begins) && !slices.ContainsFunc(proxies, begins) {
		return ""
	}
	switch {
	case l.name == "x-user-context-token" && l.value == token && token != "":
	case l.name == "x-forwarded-for" && l.value == from.String():
	case l.name == "x-envoy-external-address" && l.value == from.String():
	case l.name == "x-forwarded-proto" && l.value == "https":
	default:
		return fmt.Sprintf("%s: %q", l.name, l.value)
	}
	return ""
}

// disguised tells whether a header is ours to a backend that folds every character of a name that is no letter or digit.
func disguised(l line) bool {
	folded := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(l.name))
	return folded != l.name && slices.ContainsFunc(ours, func(with string) bool { return strings.HasPrefix(folded, with) })
}

// steps are what servers are known to do with a path, each by itself. Products take them in any order and number.
var steps = map[string]func(string) string{
	"decode":     unescape,
	"backslash":  func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	"merge":      merge,
	"dots":       resolve,
	"fragment":   func(p string) string { path, _, _ := strings.Cut(p, "#"); return path },
	"query":      func(p string) string { path, _, _ := strings.Cut(p, "?"); return path },
	"NUL":        func(p string) string { path, _, _ := strings.Cut(p, "\x00"); return path },
	"parameters": parameters,
}

// readings are all that a path may mean to one server or another.
func readings(path string) map[string]bool { return closure(path) }

func closure(path string, without ...string) map[string]bool {
	found, next := map[string]bool{path: true}, []string{path}
	for len(next) > 0 && len(found) < 200 {
		p := next[0]
		next = next[1:]
		for name, step := range steps {
			if read := step(p); !found[read] && !slices.Contains(without, name) {
				found[read] = true
				next = append(next, read)
			}
		}
	}
	return found
}

// otherReading finds a reading that is neither the path, nor the path decoded once, nor one of the two with the parameters of its segments
// (RFC 3986 section 3.3) cut off: those a product may have, and everybody sees that they are there. A product that decodes a path and then looks
// for a query or a fragment in it has a fault of its own, and loses only an end of the path.
func otherReading(path string) string {
	decoded := unescape(path)
	fine := []string{path, decoded, parameters(path), parameters(decoded)}
	for reading := range closure(path, "fragment", "query") {
		if !slices.Contains(fine, reading) {
			return fmt.Sprintf("%q can be read as %q", path, reading)
		}
	}
	return ""
}

// unescape decodes once and leaves alone what is broken.
func unescape(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if c, err := hex.DecodeString(p[i+1 : i+3]); err == nil {
				b.Write(c)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func merge(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

// resolve removes dot segments (RFC 3986 section 5.2.4).
func resolve(p string) string {
	var out []string
	segments := strings.Split(p, "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s == "." || s == "..":
			if s == ".." && len(out) > 1 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return strings.Join(out, "/")
}

// parameters cuts each segment at its first semicolon.
func parameters(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}
