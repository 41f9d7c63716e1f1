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
)

// decideLimit bounds one evaluation. A rule that needs longer is broken, and people wait for it.
const decideLimit = 50 * time.Millisecond

// decisionRule is the Rule of what comes from Decide.
const decisionRule = "isogate.ingress.decision"

var (
	decisionRef = ast.MustParseRef("data.isogate.ingress.decision")
	errNoBundle = errors.New("policies: no bundle")
	errShape    = errors.New(`decision must be {"allow": true or false, "reason": "a-word"} and hold nothing else; ` +
		`the word is of a-z, 0-9 and hyphen, at most 64 characters`)
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
	Reason string // why, in one word of [a-z0-9-]; each narrowing rule has its own
	Rule   string // the rule that decided, for the record
}

// Decide evaluates `decision` for one request of a signed-in person. If the rules do not look at their input, this is a
// constant that was computed by Load. Otherwise an evaluation takes at most 50 ms. An error means that there is no
// decision: the caller answers 503 and never falls back to one of its own.
func (b *Bundle) Decide(ctx context.Context, in Input) (Decision, error) {
	if b == nil {
		return Decision{}, errNoBundle
	}
	if b.query == nil {
		return b.constant, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	v, err := eval(ctx, b.query, in.value())
	if err != nil {
		return Decision{}, fmt.Errorf("policies: evaluating decision: %w", err)
	}
	d, err := parseDecision(v)
	if err != nil {
		return Decision{}, fmt.Errorf("policies: %w", err)
	}
	return d, nil
}

// parseDecision accepts the one shape and no other.
func parseDecision(v ast.Value) (Decision, error) {
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
	return Decision{Allow: bool(yes), Reason: string(word), Rule: decisionRule}, nil
}

// loadDecision makes decision ready: as a constant where it does not depend on the input, else as a query that has given
// a well-formed answer for every sample.
func (b *Bundle) loadDecision(ctx context.Context, p *program) error {
	rules := p.rules(decisionRef)
	if len(rules) == 0 {
		return errors.New(`package isogate.ingress has no rule decision; add one that gives {"allow": bool, "reason": "word"}`)
	}
	at := rules[0].Location
	q, err := p.prepare(ctx, decisionRef)
	if err != nil {
		return fault(at, "decision: %v", err)
	}
	reach := p.reach(rules)
	if inputUse(reach) == nil {
		if b.constant, err = try(ctx, q, nil); err != nil {
			return fault(at, "decision: %v", err)
		}
		return nil
	}
	for _, in := range samples(reach) {
		if _, err := try(ctx, q, in.value()); err != nil {
			return fault(at, "decision, tried with %+v: %w", in, err)
		}
	}
	b.query = q
	return nil
}

func try(ctx context.Context, q *rego.PreparedEvalQuery, input ast.Value) (Decision, error) {
	v, err := eval(ctx, q, input)
	if err != nil {
		return Decision{}, err
	}
	return parseDecision(v)
}

// samples are requests that make many rules apply: of nobody in particular, and, for each string that the rules mention,
// of somebody to whom it is the product, with and without it as group, provider, acr and amr too.
func samples(rules []*ast.Rule) []Input {
	words := map[string]bool{"sample": true}
	for _, r := range rules {
		ast.WalkTerms(r, func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok {
				words[string(s)] = true
			}
			return false
		})
	}
	list := []Input{{Address: "192.0.2.1"}}
	for _, w := range slices.Sorted(maps.Keys(words)) {
		in := Input{Product: w, Method: "GET", Path: "/", Address: "192.0.2.1", User: User{Provider: "sample"}}
		list = append(list, in)
		in.User = User{Provider: w, Groups: []string{w}, ACR: w, AMR: []string{w}}
		list = append(list, in)
	}
	return list
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
		ast.Item(keyUser, ast.NewTerm(ast.NewObject(
			ast.Item(keyProvider, ast.StringTerm(in.User.Provider)),
			ast.Item(keyGroups, stringList(in.User.Groups)),
			ast.Item(keyACR, ast.StringTerm(in.User.ACR)),
			ast.Item(keyAMR, stringList(in.User.AMR)),
		))),
	)
}

func stringList(list []string) *ast.Term {
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = ast.StringTerm(s)
	}
	return ast.ArrayTerm(terms...)
}
