// Package page owns every HTML page and every RFC 9457 problem that Isogate
// answers with: their texts, their look and the headers that protect them.
//
// An answer is a value, because two doors give it: net/http through
// [Answer.ServeHTTP], and Envoy's external authorization, which wants a status,
// a list of headers and a body. The package decides nothing: it knows no
// routes, sessions, policies or Envoy, and imports nothing of ours.
//
// No text holds a cause, a person's name or address, or a token. Arguments that
// end up in a page are host names, provider names and link targets; each is
// escaped, and a target that is not plainly a link is left out.
package page

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Answer is one complete HTTP answer. Its headers never hold content-length:
// net/http and Envoy each count the body themselves, and in a check's answer
// that header makes Envoy hang the request. The zero Answer is served as 503.
type Answer struct {
	Status int
	Header []Field
	Body   []byte
}

// Field is one header line. The name is in lower case, as HTTP/2 wants it
// (RFC 9113, section 8.2.1).
type Field struct {
	Name, Value string
}

// With returns the answer with one more header line, such as a set-cookie, or
// the www-authenticate that RFC 9110, section 15.5.2, demands of a 401. A line
// that could split the header or frame the body is a fault of the caller: the
// whole answer becomes the 503 problem, so that neither door sends half of it.
func (a Answer) With(name, value string) Answer {
	if !validName(name) || !validValue(value) {
		return Denial(http.StatusServiceUnavailable, "unavailable", false, "")
	}
	a.Header = append(slices.Clip(a.Header), Field{name, value})
	return a
}

// ServeHTTP writes the answer.
func (a Answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if a.Status < 200 || a.Status > 599 {
		a = Denial(http.StatusServiceUnavailable, "unavailable", false, "")
	}
	for _, f := range a.Header {
		w.Header().Add(f.Name, f.Value)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // it fails only when the reader has gone
}

// answer builds what all answers share. no-store, because every page depends
// on who asks.
func answer(status int, contentType, policy, referrer string, body []byte) Answer {
	a := Answer{Status: status, Body: body, Header: []Field{
		{"content-type", contentType},
		{"cache-control", "no-store"},
		{"content-security-policy", policy},
		{"x-content-type-options", "nosniff"},
		{"x-frame-options", "DENY"},
		{"referrer-policy", referrer},
		{"cross-origin-resource-policy", "same-origin"},
	}}
	if status == http.StatusServiceUnavailable {
		a.Header = append(a.Header, Field{"retry-after", retryAfter})
	}
	return a
}

// Our own addresses carry tickets and codes in their query, so nobody is told
// where a request comes from. A page whose address holds nothing tells our own
// host: without a referrer a browser says "Origin: null" for its form, and one
// without fetch metadata could not post it then.
const (
	noReferrer   = "no-referrer"
	formReferrer = "same-origin"
)

// retryAfter is what every 503 asks for, in seconds (RFC 9110, section 10.2.3).
const retryAfter = "10"

// validName accepts a lower-case header name that does not frame the body.
func validName(name string) bool {
	if name == "" || name == "content-length" || name == "transfer-encoding" {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// validValue accepts printable ASCII, space and tab: a part of RFC 9110,
// section 5.5, that every hop carries unchanged.
func validValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool {
		return r != '\t' && (r < ' ' || r > '~')
	})
}
