package page

import (
	"net/url"
	"strings"
)

// Link targets come from configuration and from sealed values, so a bad one
// means that something else already went wrong. html/template would still
// neutralise javascript: URLs; here they do not get as far.

// absolute reports whether target is an http or https URL with a host. User
// information is refused, because "https://login.example@evil.example" reads
// like another place.
func absolute(target string) bool {
	u, ok := parse(target)
	return ok && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

// local reports whether target is a path on the same host. "//evil.example" and
// "/\evil.example" name another host to a browser.
func local(target string) bool {
	_, ok := parse(target)
	return ok && strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//")
}

// linkable reports whether a page may link to target.
func linkable(target string) bool {
	return absolute(target) || local(target)
}

// parse reads a URL that has only the characters of RFC 3986, section 2.
// Browsers repair what has others (they drop newlines, turn \ into /), each in
// its own way.
func parse(target string) (*url.URL, bool) {
	if strings.ContainsFunc(target, foreign) {
		return nil, false
	}
	u, err := url.Parse(target)
	return u, err == nil
}

func foreign(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r)
}

// hostName reports whether name looks like a host, with or without a port.
func hostName(name string) bool {
	return name != "" && len(name) <= 260 && !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]", r)
	})
}
