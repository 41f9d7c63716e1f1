package policies

import (
	"context"
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
)

var (
	endpointsRef = gatewayPackage.Append(ast.StringTerm("endpoints"))
	closedRef    = gatewayPackage.Append(ast.StringTerm("closed"))
)

// CrossInput is all that a rule can see of a call through the gateway; in Rego, `input` of package isogate.gateway with
// the JSON names below. Every field is always there, empty where it is not known. Nothing in it is personal: neither a
// rule nor its reason can single out or reveal somebody.
type CrossInput struct {
	Endpoint string   `json:"endpoint"` // the ID of the Endpoint that matched
	Product  string   `json:"product"`  // the product's id in the deployment's file
	Method   string   `json:"method"`   // upper case
	Path     string   `json:"path"`     // canonical, without the query
	Query    []string `json:"query"`    // names of the query parameters, sorted
	Caller   string   `json:"caller"`   // the SPIFFE id of the calling service
	Client   string   `json:"client"`   // the OAuth client that the token was issued to
	Cloud    string   `json:"cloud"`    // the id of this isolated cloud
	User     User     `json:"user"`     // of the person for whom the service calls
}

// Cross evaluates the gateway's `decision` for one call, as Decide does for a request at the ingress: a constant where it
// comes out the same for every input, which it does while nothing is closed and no rule forbids anything. The caller has
// matched the endpoint and checked that it admits the service and takes the query; an id that is not in the bundle is
// denied.
func (b *Bundle) Cross(ctx context.Context, in CrossInput) (Decision, error) {
	if b == nil {
		return Decision{}, errNoBundle
	}
	if b.byID[in.Endpoint] == nil {
		return Decision{Reason: "not-exposed", Rule: gatewayName + ".endpoints"}, nil
	}
	if b.gateway.query == nil {
		return b.gateway.constant, nil
	}
	return b.gateway.decide(ctx, b.limit, in.value())
}

// loadGateway makes the gateway's part ready. A directory without the package exposes nothing, and nothing crosses.
func (b *Bundle) loadGateway(ctx context.Context, p *program) error {
	if !p.has(gatewayPackage) {
		return nil
	}
	b.crosses = true
	exposed, closed := b.addEndpoints(ctx, p.listed), p.checkClosed(ctx)
	var err error
	b.gateway, err = p.decider(ctx, gatewayName, crossSamples)
	return errors.Join(exposed, closed, err)
}

var errNoGateway = errors.New("policies: no file is of package isogate.gateway, and there is a gateway; put gateway.rego there")

// ForGateway is an error where the directory has no package isogate.gateway. Where there is a gateway, whoever enforces policies keeps the last good
// ones then: a file that got lost must not close what it allowed.
func (b *Bundle) ForGateway() error {
	if b == nil || !b.crosses {
		return errNoGateway
	}
	return nil
}

// has tells whether a file of the directory is of this package.
func (p *program) has(pkg ast.Ref) bool {
	for name, m := range p.modules {
		if name[0] != '.' && m.Package.Path.Equal(pkg) {
			return true
		}
	}
	return false
}

// checkClosed evaluates what is closed, if anything can be. A misspelt entry would close nothing, and somebody counts on it.
func (p *program) checkClosed(ctx context.Context) error {
	rules := p.rules(closedRef)
	if len(rules) == 0 {
		return nil
	}
	if at := inputUse(p.reach(rules)); at != nil {
		return fault(at, "closed depends on input here; to close something for some calls only, write a rule for forbidden")
	}
	q, err := p.prepare(ctx, closedRef)
	if err != nil {
		return fault(rules[0].Location, "closed: %v", err)
	}
	v, err := eval(ctx, q, nil)
	if err != nil {
		return fault(rules[0].Location, "closed: %v", err)
	}
	set, ok := v.(ast.Set)
	if !ok {
		return fault(rules[0].Location, "closed is %s, not a set; write closed contains \"gateway\"", kind(v))
	}
	var faults []error
	set.Foreach(func(t *ast.Term) {
		if !isClosing(t.Value) {
			faults = append(faults, faultAmong(p.givers(rules, t),
				`closed contains %v, which is none of "gateway", {"caller": SPIFFE id}, {"client": id}, {"cloud": id}`, t))
		}
	})
	return errors.Join(faults...)
}

// givers are the places that a value of closed comes from: the rules that have it as their key, else where it is written in what the rules with a
// computed key are made of, else these rules.
func (p *program) givers(rules []*ast.Rule, value *ast.Term) (at []*ast.Location) {
	var computed []*ast.Rule
	for _, r := range rules {
		switch key := r.Head.Key; {
		case key == nil || !isLiteral(key.Value):
			computed = append(computed, r)
		case key.Equal(value):
			at = append(at, r.Location)
		}
	}
	if len(at) > 0 {
		return at
	}
	for _, r := range p.reach(computed) {
		ast.WalkTerms(r, func(t *ast.Term) bool {
			if t.Location != nil && t.Location.File != "" && t.Equal(value) {
				at = append(at, t.Location)
			}
			return false
		})
	}
	if len(at) > 0 {
		return at
	}
	for _, r := range computed {
		at = append(at, r.Location)
	}
	return at
}

func isClosing(v ast.Value) bool {
	if ast.String("gateway").Equal(v) {
		return true
	}
	o, ok := v.(ast.Object)
	if !ok || o.Len() != 1 {
		return false
	}
	for _, key := range []*ast.Term{keyCaller, keyClient, keyCloud} {
		if t := o.Get(key); t != nil {
			s, ok := t.Value.(ast.String)
			return ok && s != ""
		}
	}
	return false
}

// crossSamples are calls that make many rules apply, as samples are.
func crossSamples(rules []*ast.Rule) []ast.Value {
	list := []ast.Value{CrossInput{}.value()}
	for _, w := range mentioned(rules) {
		in := CrossInput{Endpoint: w, Product: w, Method: "GET", Path: "/", Caller: "spiffe://sample/sample", Client: "sample", Cloud: "sample"}
		list = append(list, in.value())
		in = CrossInput{Endpoint: "sample", Product: "sample", Method: "GET", Path: "/", Query: []string{w}, Caller: w, Client: w, Cloud: w, User: userOf(w)}
		list = append(list, in.value())
	}
	return list
}

var (
	keyEndpoint, keyQuery = ast.StringTerm("endpoint"), ast.StringTerm("query")
	keyCaller, keyClient  = ast.StringTerm("caller"), ast.StringTerm("client")
	keyCloud              = ast.StringTerm("cloud")
)

// value is the input as the evaluator wants it.
func (in CrossInput) value() ast.Value {
	return ast.NewObject(
		ast.Item(keyEndpoint, ast.StringTerm(in.Endpoint)),
		ast.Item(keyProduct, ast.StringTerm(in.Product)),
		ast.Item(keyMethod, ast.StringTerm(in.Method)),
		ast.Item(keyPath, ast.StringTerm(in.Path)),
		ast.Item(keyQuery, stringList(in.Query)),
		ast.Item(keyCaller, ast.StringTerm(in.Caller)),
		ast.Item(keyClient, ast.StringTerm(in.Client)),
		ast.Item(keyCloud, ast.StringTerm(in.Cloud)),
		ast.Item(keyUser, in.User.term()),
	)
}
