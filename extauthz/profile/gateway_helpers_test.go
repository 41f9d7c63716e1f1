package profile

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
	"isogate/extauthz/usercontext"
	"isogate/policies"
)

// crossRules expose a few endpoints, to whom they list.
const crossRules = exposing + `
decision := {"allow": true, "reason": "exposed"}
`

// narrowRules also let nobody of the staff move an issue, shut the market out, and contradict themselves at one path.
const narrowRules = exposing + narrowing

const exposing = `package isogate.gateway

endpoints["issue.read"] := {
	"product": "issues", "method": "GET", "path": "/rest/api/issue/{key}", "query": ["fields", "expand"], "body": "none",
	"callers": ["spiffe://commercial.example/support", "spiffe://commercial.example/market", "spiffe://commercial.example/stranger"],
}

endpoints["issue.mine"] := {
	"product": "issues", "method": "GET", "path": "/rest/api/issue/mine", "body": "none", "callers": ["spiffe://commercial.example/support"],
	"expires": "2027-01-02",
}

endpoints["issue.move"] := {
	"product": "issues", "method": "POST", "path": "/rest/api/issue/{key}/move", "body": "opaque", "callers": ["spiffe://commercial.example/support"],
}

endpoints["issue.add"] := {
	"product": "issues", "method": "POST", "path": "/rest/api/issue", "body": "opaque", "callers": ["spiffe://commercial.example/support"],
}

endpoints["issue.poke"] := {
	"product": "issues", "method": "POST", "path": "/rest/api/poke", "body": "none", "callers": ["spiffe://commercial.example/support"],
}

endpoints["page.read"] := {
	"product": "wiki", "method": "GET", "path": "/page", "body": "none",
	"callers": ["spiffe://commercial.example/support", "spiffe://commercial.example/market"],
}
`

const narrowing = `
closed contains {"caller": "spiffe://commercial.example/market"}

forbidden contains "closed" if {input.caller; {"caller": input.caller} in closed}

forbidden contains "no-staff" if {
	input.endpoint == "issue.move"
	"staff" in input.user.groups
}

decision := {"allow": true, "reason": "exposed"} if count(forbidden) == 0

decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0

decision := {"allow": true, "reason": "twice"} if input.path == "/rest/api/issue/BROKEN"
`

func gatewayCloud() topology.Cloud {
	c := cloud()
	c.Gateway = &topology.IsolationGateway{TrustDomain: "commercial.example"}
	c.Clients = []topology.Client{{ID: "commercial", Callers: []string{support, "spiffe://commercial.example/market"}}}
	return c
}

// counted are keys that tell how often they were asked for.
type counted struct {
	keys.KeySource
	asked int
}

func (c *counted) Key(ctx context.Context, kid string) (keys.Key, error) {
	c.asked++
	return c.KeySource.Key(ctx, kid)
}

// touched fails if the activity of a person is noted.
type touched struct {
	*session.Stored
	t testing.TB
}

func (s touched) Touch(session.Session, session.Limits) {
	s.t.Error("a call is activity of the person")
}

// outpost is a gateway over real sessions, keys and policies, and a service that may call.
type outpost struct {
	*service
	gateway *Gateway
	asked   *counted
	uct     *keys.Signers
	rules   *policies.Bundle
	shown   string // the service's certificate
	token   string
	cloud   topology.Cloud
}

func newOutpost(t testing.TB) *outpost {
	t.Helper()
	o := &outpost{service: newService(t), rules: loadCrossing(t, crossRules), shown: certify(t, nil, uri(support)), cloud: gatewayCloud()}
	o.asked = &counted{KeySource: o.signer}
	o.Keys, o.Access.Grants = o.asked, touched{o.keeper, t}
	o.uct = must(keys.OpenSigners(t.TempDir(), o.Access.Now))(t)
	o.token, o.store.reads = o.sign("at+jwt"), 0
	o.renew()
	return o
}

// renew makes the rules of another state of the file.
func (o *outpost) renew() {
	o.gateway = NewGateway(o.cloud, *o.Access, usercontext.NewMinter(o.uct, o.Access.Now), func() *policies.Bundle { return o.rules }, o.Access.Now)
}

func loadCrossing(t testing.TB, text string) *policies.Bundle {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"ingress.rego": rules, "gateway.rego": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return must(policies.Load(context.Background(), dir))(t)
}

// call is a good call of an endpoint, as it comes from a sidecar. Header lines are name, value, name, value.
func (o *outpost) call(endpoint, method, target string, lines ...string) check.Request {
	path, query, _ := strings.Cut(target, "?")
	product := "issues"
	if strings.HasPrefix(endpoint, "page.") {
		product = "wiki"
	}
	r := check.Request{
		Method: method, Host: product + ".gateway.acme.example", SNI: "gateway.acme.example", Path: path, Query: query, Header: check.Header{},
		ID: "17", Certificate: o.shown, Route: check.Route{Product: product, Endpoint: endpoint},
	}
	return with(with(r, "authorization", "DPoP "+o.token, "dpop", o.prove(r)), lines...)
}

// read is the call that most tests begin with.
func (o *outpost) read(lines ...string) check.Request {
	return o.call("issue.read", "GET", "/rest/api/issue/ACME-1?fields=summary", lines...)
}

// prove makes the proof of a request.
func (o *outpost) prove(r check.Request) string {
	o.t.Helper()
	return must(o.key.Make(dpop.Proof{Method: r.Method, URL: "https://" + r.Host + r.Path, AccessToken: o.token, Now: o.now}))(o.t)
}

// bring puts another token, with its proof, into a request.
func (o *outpost) bring(token string, r check.Request) check.Request {
	o.token = token
	r.Header = check.Header{"authorization": {"DPoP " + token}, "dpop": {o.prove(r)}}
	return r
}

// expect decides and holds the short form against what is wanted. A denial is a problem, and changes nothing.
func (o *outpost) expect(r check.Request, want outcome) check.Verdict {
	o.t.Helper()
	v := o.gateway.Decide(o.t.Context(), r)
	if got := (outcome{v.Allow, v.Answer.Status, v.Reason}); got != want {
		o.t.Errorf("%+v, want %+v (cause %v)", got, want, v.Cause)
	}
	if !v.Allow && (len(v.Set)+len(v.Remove) > 0 || v.Stream != 0 || answered(v, "content-type")[0] != "application/problem+json" || answered(v, "cache-control")[0] != "no-store") {
		o.t.Errorf("a denial that is none: %+v", v)
	}
	if _, said := check.Encode(v); said.Allow != v.Allow || said.Reason != v.Reason {
		o.t.Errorf("it would be answered with %s", said.Reason)
	}
	return v
}

// How far a call came before it was refused.
const (
	asNothing = "nothing was asked"
	asKeys    = "the keys were asked"
	asProof   = "the proof was used up"
	asSession = "the session was asked"
)

func (o *outpost) depth() string {
	switch {
	case o.store.reads > 0:
		return asSession
	case marked(o.Proofs) > 0:
		return asProof
	case o.asked.asked > 0:
		return asKeys
	}
	return asNothing
}

// given are the claims of the token that a pass gives to a product.
func (o *outpost) given(v check.Verdict, product string) usercontext.Claims {
	o.t.Helper()
	verifier := usercontext.Verifier{Issuer: o.Issuer, Audience: product, Keys: o.uct, Now: o.Access.Now}
	return must(verifier.Verify(o.t.Context(), set(v, usercontext.Header)))(o.t)
}
