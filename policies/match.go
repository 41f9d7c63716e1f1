package policies

import (
	"net/url"
	"strings"
	"time"
)

// service is what has routes of its own: one product and method.
type service struct{ product, method string }

// node is a tree of templates by their segments.
type node struct {
	literal  map[string]*node
	variable *node
	endpoint *Endpoint // whose template ends here
}

// routes are the trees of all templates.
type routes map[service]*node

// add puts an endpoint into its tree. Two templates of one shape were refused before.
func (r routes) add(e *Endpoint) {
	s := service{e.Product, e.Method}
	at := r[s]
	if at == nil {
		at = &node{}
		r[s] = at
	}
	for segment := range strings.SplitSeq(e.Path[1:], "/") {
		at = at.child(segment)
	}
	at.endpoint = e
}

// child gives the node for a segment of a template, a new one if there is none.
func (n *node) child(segment string) *node {
	if isVariable(segment) {
		if n.variable == nil {
			n.variable = &node{}
		}
		return n.variable
	}
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	next := n.literal[segment]
	if next == nil {
		next = &node{}
		n.literal[segment] = next
	}
	return next
}

// Match finds the endpoint that a request is for, among those that exist at now. path is the canonical path without the
// query. Method and literal segments must be equal byte for byte: HEAD is not GET, a trailing slash is another path. A
// variable takes one Segment: no semicolon, question mark or number sign in any spelling, since products that cut the path
// there would serve another one. Where several templates match, each literal segment from the left wins over a variable; Load
// refuses lists where that would not name one. A path that is another endpoint's once it is decoded is none's:
// /issue/m%3Ax is no {key} beside /issue/m:x, which a product may serve.
//
// The time that it takes depends on the path's length, not on the number of endpoints, and without an escape it allocates
// nothing. The endpoint is the bundle's own: read it only.
func (b *Bundle) Match(product, method, path string, now time.Time) (*Endpoint, bool) {
	if b == nil || path == "" || path[0] != '/' {
		return nil, false
	}
	tree, path := b.routes[service{product, method}], path[1:]
	e := tree.find(path, true, now)
	if e != nil && strings.Contains(path, "%") && tree.find(decoded(path), true, now) != e {
		return nil, false
	}
	return e, e != nil
}

// decoded spells each segment without escapes, where it could be a literal's spelling.
func decoded(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if plain, err := url.PathUnescape(s); err == nil && isValue(plain) {
			segments[i] = plain
		}
	}
	return strings.Join(segments, "/")
}

// find walks down with the rest of a path; more says that there is a rest, which may be the empty segment behind a
// trailing slash. It turns back where the literal leads nowhere: the templates /a/b and /{x}/c both exist, and /a/c is the
// second's. At most maxVariables turns stand in one template, so there are few ways to try.
func (n *node) find(rest string, more bool, now time.Time) *Endpoint {
	if n == nil {
		return nil
	}
	if !more {
		if n.endpoint == nil || ended(n.endpoint.Expires, now) {
			return nil
		}
		return n.endpoint
	}
	segment, rest, more := strings.Cut(rest, "/")
	if e := n.literal[segment].find(rest, more, now); e != nil {
		return e
	}
	if n.variable == nil || !isValue(segment) {
		return nil
	}
	return n.variable.find(rest, more, now)
}

// Segment is what a segment of an exposed path can be, as a regular expression in RE2's syntax: one or more of the characters of RFC 3986 section 3.3
// (pchar), escapes taken as they stand, without a semicolon and without the escapes of ; ? and #. It takes what the templates' literals can be, and
// what their variables take; Envoy's uri_template matcher takes what is left out too (tried on Envoy 1.40).
const Segment = `(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[014-9A-Fa-f][0-9A-Fa-f]|%2[0-24-9A-Fa-f]|%3[0-9AC-Eac-e])+`

// isValue tells whether a variable takes a segment: whether it is a Segment.
func isValue(segment string) bool {
	for i := range len(segment) {
		if !valueByte[segment[i]] || segment[i] == '%' && !isEscape(segment[i+1:]) {
			return false
		}
	}
	return segment != ""
}

// isEscape tells whether the digits after a percent sign stand for anything but ; ? and #.
func isEscape(digits string) bool {
	if len(digits) < 2 || !isHex(digits[0]) || !isHex(digits[1]) {
		return false
	}
	switch digits[:2] {
	case "3B", "3b", "3F", "3f", "23":
		return false
	}
	return true
}

func isHex(b byte) bool { return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'f' }

var valueByte = func() (set [256]bool) {
	const list = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,:@="
	for i := range len(list) {
		set[list[i]] = true
	}
	return set
}()
