package policies

import (
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
// variable takes one segment of those characters that Envoy's uri_template matcher takes. Where several templates match,
// each literal segment from the left wins over a variable; Load refuses lists where that would not name one.
//
// The time that it takes depends on the path's length, not on the number of endpoints, and it allocates nothing. The
// endpoint is the bundle's own: read it only.
func (b *Bundle) Match(product, method, path string, now time.Time) (*Endpoint, bool) {
	if b == nil || path == "" || path[0] != '/' {
		return nil, false
	}
	e := b.routes[service{product, method}].find(path[1:], true, now)
	return e, e != nil
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

// isValue tells whether a variable takes a segment: one or more of the characters that Envoy's matcher lists, which are
// those of RFC 3986 section 3.3 (pchar), escapes taken as they stand (tried on Envoy 1.40, which takes the asterisk too).
func isValue(segment string) bool {
	for i := range len(segment) {
		if !valueByte[segment[i]] {
			return false
		}
	}
	return segment != ""
}

var valueByte = func() (set [256]bool) {
	const list = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;:@="
	for i := range len(list) {
		set[list[i]] = true
	}
	return set
}()
