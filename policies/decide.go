package policies

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// decideLimit bounds one evaluation, by the clock on the wall: a rule takes microseconds, and the rest is for a machine that is out of breath. A rule that
// needs longer is broken, and people wait for it.
const decideLimit = 250 * time.Millisecond

// The packages that are enforced.
const ingressName, gatewayName = "isogate.ingress", "isogate.gateway"

var (
	errNoBundle = errors.New("policies: no bundle")
	errShape    = errors.New(`decision must be {"allow": true or false, "reason": "a-word"} and hold nothing else; ` +
		`the word is of a-z, 0-9 and hyphen, at most 64 characters`)
	errReason = errors.New("decision has a reason that the rules do not hold: write each one out as a string, " +
		"since one that is computed could carry something personal into the logs")
	errEvaluation = errors.New("the evaluation failed")
)

// Input is all that a rule can see of a signed-in person's request; in Rego, `input` with the JSON names below. Every
// field is always there, empty where it is not known. There is no name, e-mail address or user id in it, so neither a
// rule nor its reason can single out or reveal one.
type Input struct {
	Product string `json:"product"` // the product's id in the deployment's file
	Method  string `json:"method"`  // upper case
	Path    string `json:"path"`    // canonical, without the query
	Address string `json:"address"` // the client's IP address, without a port; empty where it is not handed on
	User    User   `json:"user"`
}

// User is the part of a session that a rule may narrow by.
type User struct {
	Provider string   `json:"provider"` // the id of the identity provider in the deployment's file
	Groups   []string `json:"groups"`   // as the provider told at sign-in
	ACR      string   `json:"acr"`      // authentication context class (OpenID Connect Core, section 2)
	AMR      []string `json:"amr"`      // authentication methods (RFC 8176)
}

// Decision is what the rules say of one request. The zero value denies.
type Decision struct {
	Allow  bool
	Reason string // why, in one word of [a-z0-9-] that the rules hold as a string; each narrowing rule has its own
	Rule   string // the rule that decided, for the record
}

// Decide evaluates `decision` for one request of a signed-in person. If the rules do not look at their input, this is a
// constant that was computed by Load. Otherwise an evaluation takes at most 250 ms. An error means that there is no
// decision: the caller answers 503 and never falls back to one of its own. It says what went wrong and in which line, and
// holds nothing of the input.
func (b *Bundle) Decide(ctx context.Context, in Input) (Decision, error) {
	if b == nil {
		return Decision{}, errNoBundle
	}
	if b.ingress.query == nil {
		return b.ingress.constant, nil
	}
	return b.ingress.decide(ctx, b.limit, in.value())
}

// decider is a `decision` that is ready. The zero value denies.
type decider struct {
	rule     string
	reasons  map[string]bool // that it can give
	constant Decision        // the decision, when query is nil
	query    *rego.PreparedEvalQuery
}

func (d *decider) decide(ctx context.Context, limit time.Duration, input ast.Value) (Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := eval(ctx, d.query, input)
	if err != nil {
		return Decision{}, fmt.Errorf("policies: evaluating decision: %w", unquoted(err))
	}
	made, err := d.parse(v)
	if err != nil {
		return Decision{}, fmt.Errorf("policies: %w", err)
	}
	return made, nil
}

// unquoted keeps the code and the place of an evaluation's error. The message of a built-in function quotes what it was
// given, which is of the input, and the error is logged.
func unquoted(err error) error {
	if errors.Is(err, errUndefined) {
		return err
	}
	if e, ok := errors.AsType[*topdown.Error](err); ok {
		return fault(e.Location, "%s", e.Code)
	}
	return errEvaluation
}

// parse accepts the one shape and no other, and of words only those that the rules hold.
func (d *decider) parse(v ast.Value) (Decision, error) {
	o, ok := v.(ast.Object)
	if !ok || o.Len() != 2 {
		return Decision{}, errShape
	}
	allow, reason := o.Get(keyAllow), o.Get(keyReason)
	if allow == nil || reason == nil {
		return Decision{}, errShape
	}
	yes, isBool := allow.Value.(ast.Boolean)
	word, isText := reason.Value.(ast.String)
	if !isBool || !isText || !isWord(string(word), "-") {
		return Decision{}, errShape
	}
	if !d.reasons[string(word)] {
		return Decision{}, errReason
	}
	return Decision{Allow: bool(yes), Reason: string(word), Rule: d.rule}, nil
}

// decider makes the decision of a package ready: as a constant where it does not depend on the input, else as a query that
// has given a well-formed answer for every sample.
func (p *program) decider(ctx context.Context, pkg string, samples func([]*ast.Rule) []ast.Value) (d decider, err error) {
	d.rule = pkg + ".decision"
	ref := ast.MustParseRef("data." + d.rule)
	rules := p.rules(ref)
	if len(rules) == 0 {
		return d, fmt.Errorf(`package %s has no rule decision; add one that gives {"allow": bool, "reason": "word"}`, pkg)
	}
	at := rules[0].Location
	q, err := p.prepare(ctx, ref)
	if err != nil {
		return d, fault(at, "decision: %v", err)
	}
	reach := p.reach(rules)
	if at := foreignInput(reach, rules[0].Module.Package.Path); at != nil {
		return d, fault(at, "%s.decision depends on this rule, but input is another one in this package; "+
			"move what both need to a package of its own", pkg)
	}
	d.reasons = literals(reach)
	if inputUse(reach) == nil {
		if d.constant, err = d.try(ctx, q, nil); err != nil {
			return d, fault(at, "decision: %v", err)
		}
		return d, nil
	}
	var made Decision
	for _, in := range samples(reach) {
		if made, err = d.try(ctx, q, in); err != nil {
			return d, fault(at, "decision, tried with %v: %w", in, err)
		}
	}
	if !looksUp(reach) && p.isConstant(ctx, ref) {
		d.constant = made
	} else {
		d.query = q
	}
	return d, nil
}

// looksUp tells whether a rule reads the input and the list of endpoints too, as endpoints[input.endpoint] does. It is taken for one that looks at the
// input: without knowing the input it would be evaluated for each endpoint, and ten thousand take seconds.
func looksUp(rules []*ast.Rule) bool {
	return slices.ContainsFunc(rules, func(r *ast.Rule) bool {
		input, list := false, false
		ast.WalkTerms(r, func(t *ast.Term) bool {
			name, isRef := t.Value.(ast.Ref)
			input = input || readsInput(t.Value)
			list = list || isRef && name.HasPrefix(endpointsRef)
			return input && list
		})
		return input && list
	})
}

// isConstant evaluates a rule as far as it goes without knowing the input (partial evaluation), and tells whether what
// remains no longer looks at it: the rules that could forbid something are there, but nothing is listed for them to
// forbid. What was left unevaluated counts as looking.
func (p *program) isConstant(ctx context.Context, ref ast.Ref) bool {
	left, err := rego.New(
		rego.Compiler(p.compiler),
		p.exposed,
		rego.ParsedQuery(ast.NewBody(ast.Equality.Expr(ast.NewTerm(ref), ast.VarTerm("result")))),
		rego.StrictBuiltinErrors(true),
	).Partial(ctx)
	if err != nil || len(left.Support) > 0 || len(left.Queries) == 0 {
		return false
	}
	constant := true
	for _, q := range left.Queries {
		ast.WalkTerms(q, func(t *ast.Term) bool {
			r, isRef := t.Value.(ast.Ref)
			if readsInput(t.Value) || isRef && r.HasPrefix(ast.DefaultRootRef) {
				constant = false
			}
			return !constant
		})
	}
	return constant
}

func (d *decider) try(ctx context.Context, q *rego.PreparedEvalQuery, input ast.Value) (Decision, error) {
	v, err := eval(ctx, q, input)
	if err != nil {
		return Decision{}, err
	}
	return d.parse(v)
}

// samples are requests that make many rules apply: of nobody in particular, and, for each string that the rules mention,
// of somebody to whom it is the product, with and without it as group, provider, acr and amr too.
func samples(rules []*ast.Rule) []ast.Value {
	list := []ast.Value{Input{Address: "192.0.2.1"}.value()}
	for _, w := range mentioned(rules) {
		in := Input{Product: w, Method: "GET", Path: "/", Address: "192.0.2.1", User: User{Provider: "sample"}}
		list = append(list, in.value())
		in.User = userOf(w)
		list = append(list, in.value())
	}
	return list
}

// mentioned is every string in the rules, and one that none of them knows.
func mentioned(rules []*ast.Rule) []string {
	words := literals(rules)
	words["sample"] = true
	return slices.Sorted(maps.Keys(words))
}

// literals are the strings that stand in the rules.
func literals(rules []*ast.Rule) map[string]bool {
	words := map[string]bool{}
	for _, r := range rules {
		ast.WalkTerms(r, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok {
				words[string(s)] = true
			}
			return false
		})
	}
	return words
}

// userOf is somebody of whom everything is the one word.
func userOf(word string) User {
	return User{Provider: word, Groups: []string{word}, ACR: word, AMR: []string{word}}
}

// The keys of input and decision. Terms are read-only, so all evaluations share them.
var (
	keyProduct, keyMethod, keyPath   = ast.StringTerm("product"), ast.StringTerm("method"), ast.StringTerm("path")
	keyAddress, keyUser, keyProvider = ast.StringTerm("address"), ast.StringTerm("user"), ast.StringTerm("provider")
	keyGroups, keyACR, keyAMR        = ast.StringTerm("groups"), ast.StringTerm("acr"), ast.StringTerm("amr")
	keyAllow, keyReason              = ast.StringTerm("allow"), ast.StringTerm("reason")
)

// value is the input as the evaluator wants it, without a detour through JSON.
func (in Input) value() ast.Value {
	return ast.NewObject(
		ast.Item(keyProduct, ast.StringTerm(in.Product)),
		ast.Item(keyMethod, ast.StringTerm(in.Method)),
		ast.Item(keyPath, ast.StringTerm(in.Path)),
		ast.Item(keyAddress, ast.StringTerm(in.Address)),
		ast.Item(keyUser, in.User.term()),
	)
}

func (u User) term() *ast.Term {
	return ast.NewTerm(ast.NewObject(
		ast.Item(keyProvider, ast.StringTerm(u.Provider)),
		ast.Item(keyGroups, stringList(u.Groups)),
		ast.Item(keyACR, ast.StringTerm(u.ACR)),
		ast.Item(keyAMR, stringList(u.AMR)),
	))
}

func stringList(list []string) *ast.Term {
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = ast.StringTerm(s)
	}
	return ast.ArrayTerm(terms...)
}
