package profile

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
	"isogate/extauthz/usercontext"
	"isogate/policies"
)

// longestCall is how long a call may last, its answer included.
const longestCall = time.Minute

// Gateway decides for calls of commercial services to products: in the name of a person, at the endpoints that the policies expose, and at no
// other. Nothing that it does is activity of the person.
//
// What costs little comes first: who has no right to ask at all makes us verify no token and use up no proof.
type Gateway struct {
	cloud    topology.Cloud
	host     string                      // the server name of the TLS handshake
	products map[string]topology.Product // by their hosts at the gateway
	clients  map[string]topology.Client  // by id
	callers  *callers
	access   Access
	minter   *usercontext.Minter
	bundle   func() *policies.Bundle // nil while there was never a good one
	now      func() time.Time
}

// NewGateway prepares the rules for one state of a file that has a gateway.
func NewGateway(cloud topology.Cloud, access Access, minter *usercontext.Minter, bundle func() *policies.Bundle, now func() time.Time) *Gateway {
	g := &Gateway{
		cloud: cloud, host: cloud.GatewayHost(), products: map[string]topology.Product{}, clients: map[string]topology.Client{},
		callers: newCallers(cloud.Gateway.TrustDomain), access: access, minter: minter, bundle: bundle, now: now,
	}
	for _, p := range cloud.Products {
		g.products[cloud.GatewayName(p.ID)] = p
	}
	for _, c := range cloud.Clients {
		g.clients[c.ID] = c
	}
	return g
}

// Decide follows a call from the connection that it came by to its product.
func (g *Gateway) Decide(ctx context.Context, r check.Request) check.Verdict {
	if r.SNI != g.host {
		return check.Deny(http.StatusMisdirectedRequest, check.Misdirected, false, "")
	}
	caller, err := g.callers.name(r.Certificate, g.now())
	if err != nil {
		return check.Deny(http.StatusForbidden, check.Caller, false, "")
	}
	v := g.call(ctx, r, caller)
	v.Caller = caller
	return v
}

// call decides for a call of somebody who has a name. Whatever comes of it, the record names the policies that were in force.
func (g *Gateway) call(ctx context.Context, r check.Request, caller string) check.Verdict {
	bundle := g.bundle()
	if bundle == nil {
		return undecided(nil)
	}
	c, v := g.match(r, caller, bundle)
	if v.Reason == "" {
		v = g.judge(ctx, r, c, bundle)
	}
	v.Policy = bundle.Digest()
	return v
}

// crossing is a call of an endpoint that is exposed to its caller.
type crossing struct {
	caller   string
	product  topology.Product
	endpoint *policies.Endpoint
	query    []string // names of the parameters, sorted
}

// match holds a call against the endpoints. Whatever is not exposed gets one and the same answer, so that nobody learns what else there is: the one
// that Envoy's route for everything else gives. Where the route has an endpoint and our policies have another, one of the two is not up to date yet.
func (g *Gateway) match(r check.Request, caller string, bundle *policies.Bundle) (crossing, check.Verdict) {
	product, known := g.products[r.Host]
	if !known || r.Route.Endpoint == "" {
		return crossing{}, notExposed()
	}
	endpoint, ok := bundle.Match(product.ID, r.Method, r.Path, g.now())
	if !ok {
		return crossing{}, notExposed()
	}
	if r.Route.Endpoint != endpoint.ID || r.Route.Product != product.ID {
		return crossing{}, check.Deny(http.StatusServiceUnavailable, check.Skew, false, "")
	}
	query, listed := queryNames(r.Query, endpoint)
	if !listed || !endpoint.Admits(caller) || r.Body && endpoint.Body != policies.BodyOpaque {
		return crossing{}, notExposed()
	}
	if unclear(r.Header) {
		return crossing{}, check.Deny(http.StatusBadRequest, check.BadRequest, false, "")
	}
	return crossing{caller, product, endpoint, query}, check.Verdict{}
}

// queryNames is QueryNames of a query that the endpoint takes.
func queryNames(query string, e *policies.Endpoint) ([]string, bool) {
	names, ok := QueryNames(query)
	if !ok || slices.ContainsFunc(names, func(name string) bool { return !e.Takes(name) }) {
		return nil, false
	}
	return names, true
}

// QueryNames lists the names of a query's parameters, sorted, if everybody reads the same. Names are compared as they stand, so one in an escaped
// spelling is another; and what some servers take for a separator or an end, or drop because its escapes are broken, is in no query that passes.
func QueryNames(query string) (names []string, ok bool) {
	if query == "" {
		return nil, true
	}
	if strings.ContainsFunc(query, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`;#\`, c) }) {
		return nil, false
	}
	if _, err := url.QueryUnescape(query); err != nil {
		return nil, false
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name == "" {
			return nil, false
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// judge decides by the person's token and by the rules.
func (g *Gateway) judge(ctx context.Context, r check.Request, c crossing, bundle *policies.Bundle) check.Verdict {
	found, err := g.access.Judge(ctx, Presented{
		Authorization: r.Header["authorization"], Proofs: r.Header["dpop"], Method: r.Method, URL: "https://" + r.Host + r.Path, Request: r.ID,
	})
	if err != nil {
		return refusal(err)
	}
	if !g.clients[found.Client].Admits(c.caller) {
		return check.Deny(http.StatusForbidden, check.Caller, false, "")
	}
	decision, err := bundle.Cross(ctx, policies.CrossInput{
		Endpoint: c.endpoint.ID, Product: c.product.ID, Method: r.Method, Path: r.Path, Query: c.query,
		Caller: c.caller, Client: found.Client, Cloud: g.cloud.ID, User: user(found.Session),
	})
	if err != nil {
		return undecided(err)
	}
	if !decision.Allow {
		denied := check.Deny(http.StatusForbidden, check.Policy, false, "")
		denied.Rule = decision.Reason
		return denied
	}
	return g.pass(r, c, found, decision.Reason)
}

// pass lets a call through because of a rule, with a token that says for whom and by whom it is made, and without any other header that the product
// need not know.
func (g *Gateway) pass(r check.Request, c crossing, found Believed, rule string) check.Verdict {
	s := found.Session
	token, err := g.minter.Mint(usercontext.Key{Session: s.ID, SignedIn: s.SignedIn, Audience: c.product.ID, Actor: c.caller}, func() usercontext.Claims {
		claims := claimsOf(g.cloud, s, c.product)
		claims.Act = &usercontext.Actor{Subject: c.caller}
		return claims
	})
	if err != nil {
		return undecided(err)
	}
	return check.Verdict{
		Allow: true, Reason: check.Exposed,
		Set: []page.Field{{Name: usercontext.Header, Value: token}}, Remove: withheld(r.Header),
		Stream: streamFor(longestCall, found.Expiry.Sub(g.now())), Rule: rule,
	}
}

// unclear finds what a product might read otherwise than whoever else sees the call, and an upgrade, by which one could talk on unchecked. Envoy joins
// the lines of a header that is sent twice, and of these only a content type is no list (RFC 9110 section 8.3).
func unclear(h check.Header) bool {
	return len(h["upgrade"]) > 0 || strings.Contains(h.Get("content-type"), ",") ||
		slices.ContainsFunc(content, func(name string) bool { return len(h[name]) > 1 })
}

// withheld are the headers that are no business of the product, sorted. The request's id is Envoy's own; what frames the body, and Envoy's own
// controls, which its listener takes from nobody else, no check may touch.
func withheld(h check.Header) (names []string) {
	for name := range h {
		switch {
		case slices.Contains(content, name), strings.HasPrefix(name, ":"), strings.HasPrefix(name, "x-envoy-"):
		case name == "host", name == "content-length", name == "transfer-encoding", name == "x-request-id", name == usercontext.Header:
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func notExposed() check.Verdict {
	return check.Deny(http.StatusForbidden, check.NotExposed, false, "")
}

// undecided is the answer where it could not be found out.
func undecided(cause error) check.Verdict {
	v := check.Deny(http.StatusServiceUnavailable, check.Unavailable, false, "")
	v.Cause = cause
	return v
}

// refusal answers for an error of Access.Judge.
func refusal(err error) check.Verdict {
	challenge := Challenge(err)
	if challenge == "" {
		return undecided(err)
	}
	reason := check.Token
	switch {
	case errors.Is(err, ErrDead):
		reason = check.SessionEnded
	case errors.Is(err, dpop.ErrProof):
		reason = check.Proof
	}
	v := check.Deny(http.StatusUnauthorized, reason, false, "")
	v.Answer = v.Answer.With("www-authenticate", challenge)
	return v
}

// user is what rules may know of a person.
func user(s session.Session) policies.User {
	return policies.User{Provider: s.Provider, Groups: s.Groups, ACR: s.ACR, AMR: s.AMR}
}
