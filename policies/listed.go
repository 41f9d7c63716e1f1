package policies

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// listed is one entry of `endpoints` before it is checked.
type listed struct {
	key   *ast.Term
	value *ast.Term
	at    *ast.Location
}

// exposure is what the files say of `endpoints`: entries that are written out, taken from the modules, and rules that have
// to be evaluated.
//
// OPA needs time that grows with the square of the entries where each is a rule, and about a second for parsing and
// checking ten thousand. Entries that are written out have no need of an evaluation, so they do not go through the
// compiler: elide cuts them out, and the rules see the whole list through the function of exposedDecl.
type exposure struct {
	entries  []listed
	single   bool            // an entry is a rule of its own
	whole    []*ast.Location // where the list is written as one object
	computed []*ast.Rule     // still in the modules
}

// parseFile parses one file, and takes the written-out endpoints from it where it is enforced and of the gateway's package.
func (x *exposure) parseFile(f file, opts ast.ParserOptions) (*ast.Module, error) {
	skeleton, cuts := f.text, []cut(nil)
	if !f.isTest() {
		skeleton, cuts = elide(f.text)
	}
	m, err := ast.ParseModuleWithOpts(f.name, string(skeleton), opts)
	if len(cuts) > 0 && (err != nil || m == nil || !m.Package.Path.Equal(gatewayPackage) || !fits(m, cuts)) {
		cuts = nil // another package may have a list of that name, and nobody gives its entries back
		m, err = ast.ParseModuleWithOpts(f.name, string(f.text), opts)
	}
	if err != nil || m == nil || f.isTest() || !m.Package.Path.Equal(gatewayPackage) {
		return m, err
	}
	return m, x.take(m, cuts)
}

// isPlain recognises `endpoints["id"] := value` and `endpoints := {...}`, for which nothing is left to evaluate.
func isPlain(r *ast.Rule) bool {
	ref := r.Head.Ref()
	if !isEndpoints(r) || r.Default || r.Else != nil || len(r.Head.Args) > 0 || r.Head.Key != nil && len(ref) == 1 ||
		len(ref) > 2 || r.Head.Value == nil || !isLiteral(r.Head.Value.Value) || !isTrue(r.Body) {
		return false
	}
	if len(ref) == 1 {
		_, isObject := r.Head.Value.Value.(ast.Object)
		return isObject
	}
	_, isText := ref[1].Value.(ast.String)
	return isText
}

func isEndpoints(r *ast.Rule) bool { return ast.Var("endpoints").Equal(r.Head.Ref()[0].Value) }

func isTrue(body ast.Body) bool {
	if len(body) != 1 || body[0].Negated || len(body[0].With) > 0 {
		return false
	}
	t, ok := body[0].Terms.(*ast.Term)
	return ok && ast.Boolean(true).Equal(t.Value)
}

// isLiteral is true of values that hold nothing but strings, lists and objects.
func isLiteral(v ast.Value) bool {
	ok := true
	each := func(t *ast.Term) { ok = ok && isLiteral(t.Value) }
	switch v := v.(type) {
	case ast.String, ast.Number, ast.Boolean, ast.Null:
	case *ast.Array:
		v.Foreach(each)
	case ast.Set:
		v.Foreach(each)
	case ast.Object:
		v.Foreach(func(k, e *ast.Term) { each(k); each(e) })
	default:
		ok = false
	}
	return ok
}

// take moves the plain entries of a module over: those that were cut out of its text, and those of the other plain rules.
func (x *exposure) take(m *ast.Module, cuts []cut) error {
	var faults []error
	seen := make(map[int]bool, len(cuts))
	for _, c := range cuts {
		seen[c.row] = true
		faults = append(faults, x.addCut(m, c))
	}
	kept := m.Rules[:0:0]
	for _, r := range m.Rules {
		switch {
		case !isEndpoints(r):
			kept = append(kept, r)
		case seen[r.Location.Row] && r.Location.Col == 1:
		case isPlain(r):
			x.addRule(r)
		default:
			kept = append(kept, r)
			x.computed = append(x.computed, r)
		}
	}
	m.Rules = kept
	return errors.Join(faults...)
}

func (x *exposure) addCut(m *ast.Module, c cut) error {
	at := func(row int) *ast.Location { return &ast.Location{File: m.Package.Location.File, Row: row} }
	if c.id != nil {
		x.single = true
		x.entries = append(x.entries, listed{c.id, objectTerm(c.members), at(c.row)})
	} else {
		x.whole = append(x.whole, at(c.row))
		for _, e := range c.members {
			x.entries = append(x.entries, listed{e.key, e.value, at(e.row)})
		}
	}
	if c.twice == nil {
		return nil
	}
	return fault(at(c.twice.row), "the key %v is here for the second time; remove one", c.twice.key)
}

func (x *exposure) addRule(r *ast.Rule) {
	ref, value := r.Head.Ref(), r.Head.Value
	if len(ref) == 2 {
		x.single = true
		x.entries = append(x.entries, listed{ref[1], value, r.Location})
		return
	}
	x.whole = append(x.whole, r.Location)
	value.Value.(ast.Object).Foreach(func(k, v *ast.Term) {
		x.entries = append(x.entries, listed{k, v, cmp.Or(k.Location, r.Location)})
	})
}

// evaluate adds what the computed rules give. One that depends on the input is refused by the dependency graph, as in
// loadAnonymous.
func (x *exposure) evaluate(ctx context.Context, p *program) error {
	rules := p.rules(endpointsRef)
	if at := inputUse(p.reach(rules)); at != nil {
		return fault(at, "endpoints depends on input here; the list must be the same for every call: remove the use of input")
	}
	q, err := p.prepare(ctx, endpointsRef)
	if err != nil {
		return fault(rules[0].Location, "endpoints: %v", err)
	}
	v, err := eval(ctx, q, nil)
	if err != nil {
		return fault(rules[0].Location, "endpoints: %v", err)
	}
	list, ok := v.(ast.Object)
	if !ok {
		return fault(rules[0].Location, "endpoints is %s, not an object of entries; write endpoints[\"id\"] := {...}", kind(v))
	}
	place := places(rules)
	list.Foreach(func(k, v *ast.Term) {
		id, _ := k.Value.(ast.String)
		x.entries = append(x.entries, listed{k, v, cmp.Or(place[id], rules[0].Location)})
	})
	return nil
}

// table is all entries by their key. Two values for one key are a conflict, as they are in Rego.
func (x *exposure) table() (ast.Object, error) {
	var faults []error
	if len(x.whole) > 0 && (len(x.whole) > 1 || x.single || len(x.computed) > 0) {
		faults = append(faults, fault(x.whole[0],
			"endpoints is written as one object here, and there are other rules for it; write each entry as endpoints[\"id\"] := {...}"))
	}
	at := make(map[string]*listed, len(x.entries))
	pairs := make([][2]*ast.Term, 0, len(x.entries))
	for i := range x.entries {
		e := &x.entries[i]
		key := e.key.String()
		if other := at[key]; other != nil {
			if !other.value.Equal(e.value) {
				faults = append(faults, fault(e.at, "endpoints[%s]: conflicts with the entry at %s:%d; remove one", key, other.at.File, other.at.Row))
			}
			continue
		}
		at[key] = e
		pairs = append(pairs, [2]*ast.Term{e.key, e.value})
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return ast.NewObject(pairs...), errors.Join(faults...)
}
