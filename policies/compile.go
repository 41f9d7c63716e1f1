package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// program is a directory that compiled.
type program struct {
	compiler *ast.Compiler          // of what is enforced: test files are not in it
	modules  map[string]*ast.Module // parsed, test files included, by file name
	exposed  func(*rego.Rego)       // gives the rules the whole list of endpoints
	listed   []listed               // the same list, with places
}

// compile parses all files and compiles what is enforced without the test files, so that it cannot lean on one; the runner
// compiles both together. The faults of the tests come along where what is enforced does not compile.
func compile(ctx context.Context, files []file, limit time.Duration) (*program, error) {
	modules, tests, x, err := parse(files)
	if err != nil {
		return nil, err
	}
	if err := strayPackages(modules, tests); err != nil {
		return nil, err
	}
	maps.Copy(modules, builtIn())
	if len(x.computed) > 0 {
		if err := x.compute(ctx, modules, tests, limit); err != nil {
			return nil, err
		}
	}
	table, err := x.table()
	if err != nil {
		return nil, err
	}
	p := &program{modules: modules, exposed: exposedFunction(table), listed: x.entries}
	if p.compiler, err = compileModules(modules, tests); err != nil {
		if _, both := compileModules(modules, nil); both != nil {
			return nil, both // the same and more
		}
		return nil, err
	}
	return p, testsAddNothing(p.compiler, tests)
}

// compute evaluates the endpoints that are rules, on their own, and takes these rules away.
func (x *exposure) compute(ctx context.Context, modules, tests map[string]*ast.Module, limit time.Duration) error {
	alone := maps.Clone(modules)
	delete(alone, stubFile)
	c, err := compileModules(alone, tests)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := x.evaluate(ctx, &program{compiler: c, exposed: func(*rego.Rego) {}}); err != nil {
		return err
	}
	for name, m := range modules {
		if tests[name] == nil && name != stubFile {
			m.Rules = slices.DeleteFunc(m.Rules, func(r *ast.Rule) bool { return slices.Contains(x.computed, r) })
		}
	}
	return nil
}

// compileModules compiles all but those of without.
func compileModules(modules, without map[string]*ast.Module) (*ast.Compiler, error) {
	some := maps.Clone(modules)
	maps.DeleteFunc(some, func(name string, _ *ast.Module) bool { return without[name] != nil })
	c := newCompiler()
	if c.Compile(some); c.Failed() {
		return nil, compileFaults(c.Errors)
	}
	return c, nil
}

// parse gives all modules, and those of test files once more, by file name.
func parse(files []file) (modules, tests map[string]*ast.Module, x exposure, err error) {
	modules, tests = map[string]*ast.Module{}, map[string]*ast.Module{}
	opts := ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities()}
	var faults []error
	for _, f := range files {
		m, err := x.parseFile(f, opts)
		switch list := (ast.Errors)(nil); {
		case errors.As(err, &list):
			faults = append(faults, compileFaults(list))
		case err != nil:
			faults = append(faults, err)
		case m == nil:
			faults = append(faults, fmt.Errorf("%s: the file is empty; remove it or begin with a package", f.name))
		default:
			modules[f.name] = m
			if f.isTest() {
				tests[f.name] = m
			}
		}
	}
	return modules, tests, x, errors.Join(faults...)
}

func newCompiler() *ast.Compiler {
	return ast.NewCompiler().
		WithStrict(true).
		WithCapabilities(capabilities()).
		WithSchemas(schemas()).
		WithUseTypeCheckAnnotations(true).
		WithDefaultRegoVersion(ast.RegoV1).
		SetErrorLimit(0) // all of them
}

// compileFaults says of a function that exists in OPA, but not here, that it was left out on purpose, and of an unknown name that quotes may be missing.
func compileFaults(list ast.Errors) error {
	const undefined = "undefined function "
	list.Sort()
	faults := make([]error, len(list))
	for i, e := range list {
		faults[i] = e
		if name, ok := unsafeName(e); ok {
			faults[i] = fmt.Errorf("%w; if it is text, write %q", e, name)
		}
		name, found := strings.CutPrefix(e.Message, undefined)
		if found && ast.BuiltinMap[name] != nil {
			faults[i] = fmt.Errorf("%w: a policy may not use the network, the environment, a clock, randomness or output; remove the call", e)
		}
	}
	return errors.Join(faults...)
}

// unsafeName is the name that somebody wrote and that nothing gives a value.
func unsafeName(e *ast.Error) (name string, ok bool) {
	name, ok = strings.CutPrefix(e.Message, "var ")
	if !ok || e.Code != ast.UnsafeVarErr {
		return "", false
	}
	name, ok = strings.CutSuffix(name, " is unsafe")
	return name, ok && isName(name, len(name), "_") && name[0] != '_' // the compiler's own begin with it
}

// testsAddNothing refuses a rule in a test file under a name that is enforced: its author would believe in it, its
// tests would see it, and no request ever would.
func testsAddNothing(c *ast.Compiler, tests map[string]*ast.Module) error {
	var faults []error
	for _, m := range tests {
		for _, r := range m.Rules {
			ref := m.Package.Path.Extend(r.Head.Ref().GroundPrefix())
			if len(c.GetRules(ref)) > 0 {
				faults = append(faults, fault(r.Location,
					"a test file adds to %v and is never enforced; move the rule to a file whose name does not end in _test.rego", ref))
			}
		}
	}
	return errors.Join(faults...)
}

// rules are those that define ref, in the order of the text.
func (p *program) rules(ref ast.Ref) []*ast.Rule {
	rules := p.compiler.GetRules(ref)
	slices.SortFunc(rules, func(a, b *ast.Rule) int {
		return cmp.Or(strings.Compare(a.Location.File, b.Location.File), cmp.Compare(a.Location.Row, b.Location.Row))
	})
	return rules
}

// reach is every rule that can take part in the value of roots, themselves included, by the compiler's dependency graph.
func (p *program) reach(roots []*ast.Rule) []*ast.Rule {
	seen := map[*ast.Rule]bool{}
	var found []*ast.Rule
	var visit func(*ast.Rule)
	visit = func(r *ast.Rule) {
		if r == nil || seen[r] {
			return
		}
		seen[r] = true
		found = append(found, r)
		for d := range p.compiler.Graph.Dependencies(r) {
			visit(d.(*ast.Rule))
		}
		visit(r.Else) // a node of its own in the graph
	}
	for _, r := range roots {
		visit(r)
	}
	return found
}

// inputUse is where one of the rules reads `input`, nil if none does. Replacing it by `with input as` counts.
func inputUse(rules []*ast.Rule) *ast.Location {
	var at *ast.Location
	for _, r := range rules {
		ast.WalkTerms(r, func(t *ast.Term) bool {
			if at == nil && readsInput(t.Value) {
				at = cmp.Or(t.Location, r.Location)
			}
			return at != nil
		})
	}
	return at
}

// foreignInput is where one of the rules reads `input` in the package whose input is the other one, nil if none does.
func foreignInput(rules []*ast.Rule, own ast.Ref) *ast.Location {
	for _, r := range rules {
		at := r.Module.Package.Path
		if !at.HasPrefix(own) && (at.HasPrefix(ingressPackage) || at.HasPrefix(gatewayPackage)) {
			if use := inputUse([]*ast.Rule{r}); use != nil {
				return use
			}
		}
	}
	return nil
}

func readsInput(v ast.Value) bool {
	switch v := v.(type) {
	case ast.Ref:
		return v.HasPrefix(ast.InputRootRef)
	case ast.Var:
		return v.Equal(ast.InputRootDocument.Value)
	}
	return false
}

// prepare readies the one query for ref. A built-in function that fails, such as net.cidr_contains on something that is
// no address, is an error of the query: undefined would make a rule that forbids something not apply.
func (p *program) prepare(ctx context.Context, ref ast.Ref) (*rego.PreparedEvalQuery, error) {
	q, err := rego.New(
		rego.Compiler(p.compiler),
		p.exposed,
		rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(ref)))),
		rego.StrictBuiltinErrors(true),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }),
	).PrepareForEval(ctx)
	return &q, err
}

var errUndefined = errors.New("the rule has no value; give it one in every case")

// eval gives the one value of a prepared query. A nil input leaves `input` undefined.
func eval(ctx context.Context, q *rego.PreparedEvalQuery, input ast.Value) (ast.Value, error) {
	var options []rego.EvalOption
	if input != nil {
		options = append(options, rego.EvalParsedInput(input))
	}
	results, err := q.Eval(ctx, options...)
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return nil, errUndefined
	}
	v, ok := results[0].Expressions[0].Value.(ast.Value)
	if !ok {
		return nil, errUndefined
	}
	return v, nil
}
