package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Anonymous is one endpoint that needs no sign-in. In Rego, by its id:
//
//	anonymous["issues.health"] := {
//		"product": "issues", "method": "GET", "path": "/health",
//		"purpose": "load balancer probe", "owner": "team-issues", "expires": "2027-06-30",
//	}
//
// purpose, owner and expires are optional; no other key is.
type Anonymous struct {
	ID      string // names the entry in records: [a-z0-9._-], at most 64 characters
	Product string // the product's id in the deployment's file
	Method  string // one of methods
	Path    string // canonical, matched exactly
	Purpose string
	Owner   string
	Expires time.Time // the entry ends at this instant, the end of its last day in UTC; zero: it does not end
}

// endpoint is what a request must equal.
type endpoint struct{ product, method, path string }

var (
	anonymousRef = ast.MustParseRef("data.isogate.ingress.anonymous")
	methods      = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)

// Anonymous tells whether a request of nobody may pass, and by which entry. path is the canonical path without the
// query. All three must equal the entry's, byte for byte: HEAD is not GET, a trailing slash is another path, and an
// escape or a query that came along never matches.
func (b *Bundle) Anonymous(product, method, path string, now time.Time) (id string, ok bool) {
	if b == nil {
		return "", false
	}
	a := b.open[endpoint{product, method, path}]
	if a == nil || ended(a.Expires, now) {
		return "", false
	}
	return a.ID, true
}

// AnonymousEndpoints lists all entries, those that have ended included, sorted by ID.
func (b *Bundle) AnonymousEndpoints() []Anonymous {
	if b == nil {
		return nil
	}
	return slices.Clone(b.anonymous)
}

// loadAnonymous evaluates the list once. One that depends on the input is refused by the dependency graph: evaluated
// without input it would be defined and wrong.
func (b *Bundle) loadAnonymous(ctx context.Context, p *program) error {
	rules := p.rules(anonymousRef)
	if len(rules) == 0 {
		return errors.New("package isogate.ingress has no rule anonymous; add `anonymous := {}` if nothing is open to strangers")
	}
	if at := inputUse(p.reach(rules)); at != nil {
		return fault(at, "anonymous depends on input here; the list must be the same for every request: remove the use of input")
	}
	q, err := p.prepare(ctx, anonymousRef)
	if err != nil {
		return fault(rules[0].Location, "anonymous: %v", err)
	}
	v, err := eval(ctx, q, nil)
	if err != nil {
		return fault(rules[0].Location, "anonymous: %v", err)
	}
	list, ok := v.(ast.Object)
	if !ok {
		return fault(rules[0].Location, "anonymous is %s, not an object of entries; write anonymous[\"id\"] := {...}", kind(v))
	}
	return b.addAnonymous(list, rules)
}

func (b *Bundle) addAnonymous(list ast.Object, rules []*ast.Rule) error {
	b.open = make(map[endpoint]*Anonymous, list.Len())
	var faults []error
	place := places(rules)
	list.Foreach(func(key, entry *ast.Term) {
		at := rules[0].Location
		if id, ok := key.Value.(ast.String); ok {
			at = cmp.Or(place[id], at)
		}
		a, wrong := parseAnonymous(key.Value, entry.Value)
		for _, w := range wrong {
			faults = append(faults, fault(at, "anonymous[%v]: %s", key, w))
		}
		e := endpoint{a.Product, a.Method, a.Path}
		if other := b.open[e]; other != nil && len(wrong) == 0 {
			faults = append(faults, fault(at, "anonymous[%v]: opens the same endpoint as %q; remove one", key, other.ID))
		}
		b.open[e] = &a
		b.anonymous = append(b.anonymous, a)
	})
	slices.SortFunc(b.anonymous, func(x, y Anonymous) int { return strings.Compare(x.ID, y.ID) })
	return errors.Join(faults...)
}

// places tells where each string of the list is first written, so that a fault can point at its entry.
func places(rules []*ast.Rule) map[ast.String]*ast.Location {
	at := map[ast.String]*ast.Location{}
	for _, r := range rules {
		ast.WalkTerms(r, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok && at[s] == nil && t.Location != nil && t.Location.File != "" {
				at[s] = t.Location
			}
			return false
		})
	}
	return at
}

// parseAnonymous reads one entry and says everything that is wrong with it.
func parseAnonymous(key, value ast.Value) (a Anonymous, wrong []string) {
	id, _ := key.(ast.String)
	a.ID = string(id)
	var expires string
	r := record{
		{key: "product", required: true, text: &a.Product},
		{key: "method", required: true, text: &a.Method},
		{key: "path", required: true, text: &a.Path},
		{key: "purpose", text: &a.Purpose},
		{key: "owner", text: &a.Owner},
		{key: "expires", text: &expires},
	}
	form := r.read(value)
	end, noDay := parseEnd(expires)
	a.Expires = end
	wrong = slices.Concat(idFault(a.ID), form, methodFault(a.Method, methods), noDay)
	if why := pathFault(a.Path); a.Path != "" && why != "" {
		wrong = append(wrong, fmt.Sprintf("path %q %s", a.Path, why))
	}
	return a, wrong
}
