package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Endpoint is one exposed method and path template of one product. In Rego, by its id:
//
//	endpoints["issue.read"] := {
//		"product": "issues", "method": "GET", "path": "/rest/api/issue/{key}", "query": ["fields"], "body": "none",
//		"callers": ["spiffe://commercial.example/support"],
//		"purpose": "show a ticket's issue in the Support Centre", "owner": "team-support", "expires": "2027-06-30",
//	}
//
// product, method, path, body and callers are required; query, purpose, owner and expires are optional; no other key is.
type Endpoint struct {
	ID      string   // names the endpoint in routes and records: [a-z0-9._-], at most 64 characters
	Product string   // the product's id in the deployment's file
	Method  string   // one of exposable
	Path    string   // a URI template of at most 256 characters, see templateFault
	Query   []string // names of the query parameters that may be passed on; sorted
	Body    string   // BodyNone or BodyOpaque
	Callers []string // SPIFFE ids, at least one; sorted
	Purpose string
	Owner   string
	Expires time.Time // the endpoint ends at this instant, the end of its last day in UTC; zero: it does not end
}

// What a request may carry behind its headers.
const (
	BodyNone   = "none"   // nothing; the only one for GET, HEAD and DELETE
	BodyOpaque = "opaque" // any content, passed on without a look at it

	bodies = `"` + BodyNone + `" or "` + BodyOpaque + `"`
)

// Admits tells whether a caller, by the SPIFFE id of its certificate, is listed.
func (e *Endpoint) Admits(caller string) bool {
	_, ok := slices.BinarySearch(e.Callers, caller)
	return ok
}

// Takes tells whether a query parameter of this name may be passed on.
func (e *Endpoint) Takes(name string) bool {
	_, ok := slices.BinarySearch(e.Query, name)
	return ok
}

// Endpoints lists all endpoints, those that have ended included, sorted by ID.
func (b *Bundle) Endpoints() []Endpoint {
	if b == nil {
		return nil
	}
	return slices.Clone(b.endpoints)
}

// EndpointsAt lists the endpoints that exist at now, sorted by ID.
func (b *Bundle) EndpointsAt(now time.Time) []Endpoint {
	return slices.DeleteFunc(b.Endpoints(), func(e Endpoint) bool { return ended(e.Expires, now) })
}

// NextEnd is the next instant after now at which EndpointsAt changes by itself; zero: it never does.
func (b *Bundle) NextEnd(now time.Time) (next time.Time) {
	if b == nil {
		return next
	}
	for i := range b.endpoints {
		end := b.endpoints[i].Expires
		if !end.IsZero() && end.After(now) && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	return next
}

const (
	maxEndpoints = 20000
	maxQuery     = 32
)

var (
	endpointKeys = []string{"product", "method", "path", "query", "body", "callers", "purpose", "owner", "expires"}
	exposable    = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	withBody     = []string{"POST", "PUT", "PATCH"}
)

// addEndpoints checks the list and makes the routes of it.
func (b *Bundle) addEndpoints(ctx context.Context, list []listed) error {
	if len(list) > maxEndpoints {
		return fmt.Errorf("%d endpoints are listed; at most %d can be", len(list), maxEndpoints)
	}
	var faults []error
	at := make(map[string]*ast.Location, len(list))
	for _, l := range list {
		e, wrong := parseEndpoint(l.key.Value, l.value.Value)
		for _, w := range wrong {
			faults = append(faults, fault(l.at, "endpoints[%v]: %s", l.key, w))
		}
		if len(wrong) == 0 && at[e.ID] == nil {
			at[e.ID] = l.at
			b.endpoints = append(b.endpoints, e)
		}
	}
	slices.SortFunc(b.endpoints, func(x, y Endpoint) int { return strings.Compare(x.ID, y.ID) })
	crowd, err := conflicts(ctx, b.endpoints)
	for _, c := range crowd {
		id := b.endpoints[c.index].ID
		if c.beside != nil {
			c.why = overlapFault(&b.endpoints[c.index], c.beside, at[c.beside.ID])
		}
		faults = append(faults, fault(at[id], "endpoints[%q]: %s", id, c.why))
	}
	b.byID, b.routes = make(map[string]*Endpoint, len(b.endpoints)), routes{}
	for i := range b.endpoints {
		b.byID[b.endpoints[i].ID] = &b.endpoints[i]
		b.routes.add(&b.endpoints[i])
	}
	return errors.Join(append(faults, err)...)
}

// parseEndpoint reads one entry and says everything that is wrong with it.
func parseEndpoint(key, value ast.Value) (e Endpoint, wrong []string) {
	id, _ := key.(ast.String)
	e.ID = string(id)
	var expires string
	r := record{
		{key: "product", required: true, text: &e.Product},
		{key: "method", required: true, text: &e.Method},
		{key: "path", required: true, text: &e.Path},
		{key: "query", list: &e.Query},
		{key: "body", required: true, text: &e.Body, choice: bodies},
		{key: "callers", required: true, list: &e.Callers},
		{key: "purpose", text: &e.Purpose},
		{key: "owner", text: &e.Owner},
		{key: "expires", text: &expires},
	}
	form := r.read(value)
	end, noDay := parseEnd(expires)
	e.Expires = end
	return e, slices.Concat(idFault(e.ID), form, e.faults(), noDay)
}

// faults checks what was given.
func (e *Endpoint) faults() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	wrong = methodFault(e.Method, exposable)
	if why := templateFault(e.Path); e.Path != "" && why != "" {
		say("path %q %s", e.Path, why)
	}
	switch {
	case e.Body == "" || e.Body == BodyNone:
	case e.Body != BodyOpaque:
		say("body %q; it must be %s", e.Body, bodies)
	case !slices.Contains(withBody, e.Method):
		say("body %q; a %s request carries none, write %q", e.Body, e.Method, BodyNone)
	}
	if len(e.Query) > maxQuery {
		say("query lists %d names; at most %d can be", len(e.Query), maxQuery)
	}
	for _, name := range e.Query {
		if !isName(name, 64, "._~-") {
			say("query lists %q; a name is of letters, digits, dot, underscore, tilde and hyphen, at most 64 characters", name)
		}
	}
	for _, caller := range e.Callers {
		if !isSPIFFE(caller) {
			say("callers lists %q; write a SPIFFE id, such as spiffe://commercial.example/support", caller)
		}
	}
	if e.Callers != nil && len(e.Callers) == 0 {
		say("callers is empty; list at least one")
	}
	return wrong
}

// isSPIFFE accepts a SPIFFE id with a path in its only spelling: a trust domain of lower case, and segments that are neither
// empty nor dots (SPIFFE-ID section 2).
func isSPIFFE(id string) bool {
	rest, ok := strings.CutPrefix(id, "spiffe://")
	domain, path, hasPath := strings.Cut(rest, "/")
	if !ok || !hasPath || len(id) > 2048 || len(domain) > 255 || strings.ToLower(domain) != domain || !isName(domain, 255, "._-") {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." || !isName(segment, 2048, "._-") {
			return false
		}
	}
	return true
}

// isName accepts 1 to limit characters of letters, digits and extra.
func isName(s string, limit int, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(extra, c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
