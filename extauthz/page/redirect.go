package page

import (
	"net/http"
	"net/url"
	"strings"
)

// Redirect leads to an absolute https or http URL without a body, with the headers that keep its query out of caches and referrers. The
// query may hold every character that browsers send there, such as { and |, which a link on a page may not. A status that is no redirect,
// or a target that is no such URL, becomes 503.
func Redirect(status int, target string) Answer {
	u, err := url.Parse(target)
	unsafe := err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" ||
		strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r > '~' })
	if unsafe || status < 300 || status > 399 {
		return Denial(http.StatusServiceUnavailable, "unavailable", true, "")
	}
	return answer(status, "text/plain; charset=utf-8", problemPolicy, noReferrer, nil).With("location", target)
}
