// Package profile says who may pass: one file for the rules of each check socket, and the closed table of our own endpoints.
//
// A profile decides forward only: it asks the session who, the policies whether, and the minter for a token, and returns a verdict. It
// notes activity and the proofs that were used, and nothing else, so a check that Envoy repeats does no harm.
package profile

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
	"isogate/policies"
)

// Sessions is what the ingress needs of the sessions.
type Sessions interface {
	Living(ctx context.Context, host string, h session.Handle, p session.Policies) (session.Session, error)
	Touch(s session.Session, l session.Limits)
}

// Ingress decides for requests from a browser to a product.
type Ingress struct {
	browser
	cloud    topology.Cloud
	sessions Sessions
	limits   session.Policies
	minter   *usercontext.Minter
	bundle   func() *policies.Bundle     // nil while there was never a good one
	products map[string]topology.Product // by host
}

// NewIngress prepares the rules for one state of the file.
func NewIngress(cloud topology.Cloud, flows signin.Flows, sessions Sessions, limits session.Policies, minter *usercontext.Minter, bundle func() *policies.Bundle) *Ingress {
	in := &Ingress{
		browser: newBrowser(flows, endpointsOf(cloud)), cloud: cloud, sessions: sessions, limits: limits, minter: minter, bundle: bundle,
		products: map[string]topology.Product{},
	}
	for _, p := range cloud.Products {
		in.backends[cloud.HostOf(p)], in.products[cloud.HostOf(p)] = p.ID, p
	}
	return in
}

// Decide follows a request from its host to its product.
func (in *Ingress) Decide(ctx context.Context, r check.Request) check.Verdict {
	to, refused := in.arrive(r)
	switch {
	case refused.Reason != "":
		return refused
	case to.backend == "":
		return in.own(ctx, r, to.cookies)
	}
	return in.product(ctx, r, in.products[r.Host], to.cookies)
}

// product decides for a request that is meant for a product. Whatever comes of it, the record names the policies that were in force.
func (in *Ingress) product(ctx context.Context, r check.Request, p topology.Product, cookies session.Cookies) check.Verdict {
	bundle := in.bundle()
	if bundle == nil {
		return failed(r, check.Unavailable, nil)
	}
	v := in.visitor(ctx, r, p, cookies, bundle)
	v.Policy = bundle.Digest()
	return v
}

// visitor finds out who asks.
func (in *Ingress) visitor(ctx context.Context, r check.Request, p topology.Product, cookies session.Cookies, bundle *policies.Bundle) check.Verdict {
	rule, anonymous := bundle.Anonymous(p.ID, r.Method, r.Path, in.flows.Now())
	living, err := in.sessions.Living(ctx, r.Host, cookies.Session, in.limits)
	switch {
	case err == nil && unsafe(r) && !sameSite(r, in.cloud.URL(r.Host), p.Origins):
		return check.Deny(http.StatusForbidden, check.CrossOrigin, isFormPost(r), "")
	case err == nil && anonymous: // what everybody may reach needs no rule about this person
		return in.person(r, p, cookies, living, rule)
	case err == nil:
		return in.narrowed(ctx, r, p, cookies, living, bundle)
	case !errors.Is(err, session.ErrNone):
		return failed(r, check.Unavailable, err)
	case anonymous:
		set, remove := strip(r, cookies)
		return check.Verdict{Allow: true, Reason: check.Anonymous, Set: set, Remove: remove, Stream: p.Stream(), Rule: rule}
	}
	return in.toSignIn(r, cookies)
}

// narrowed asks the policies about somebody who is signed in.
func (in *Ingress) narrowed(ctx context.Context, r check.Request, p topology.Product, cookies session.Cookies, s session.Session, bundle *policies.Bundle) check.Verdict {
	decision, err := bundle.Decide(ctx, input(r, p, s))
	if err != nil {
		return failed(r, check.Unavailable, err)
	}
	if !decision.Allow {
		denied := check.Deny(http.StatusForbidden, check.Policy, isNavigation(r), "")
		denied.Rule = decision.Reason
		return denied
	}
	return in.person(r, p, cookies, s, decision.Reason)
}

// person lets somebody who is signed in pass, with a token, because of a rule.
func (in *Ingress) person(r check.Request, p topology.Product, cookies session.Cookies, s session.Session, rule string) check.Verdict {
	token, err := in.minter.Mint(usercontext.Key{Session: s.ID, SignedIn: s.SignedIn, Audience: p.ID}, func() usercontext.Claims {
		return claimsOf(in.cloud, s, p)
	})
	if err != nil {
		return failed(r, check.Unavailable, err)
	}
	limits, now := in.limits.For(s.Identity), in.flows.Now()
	in.sessions.Touch(s, limits)
	s.Active = now
	set, remove := strip(r, cookies)
	remove = slices.DeleteFunc(remove, func(name string) bool { return name == usercontext.Header })
	return check.Verdict{
		Allow: true, Reason: check.Session, Set: append(set, page.Field{Name: usercontext.Header, Value: token}), Remove: remove,
		Stream: streamFor(p.Stream(), s.Expiry(limits).Sub(now)),
		Rule:   rule,
	}
}

// claimsOf are what a product learns: the minimum, and what its entry lists.
func claimsOf(cloud topology.Cloud, s session.Session, p topology.Product) usercontext.Claims {
	c := usercontext.Claims{
		Issuer: cloud.Issuer(), Subject: s.User, Audience: p.ID, Session: s.ID,
		AuthTime: s.AuthTime.Unix(), ACR: s.ACR, AMR: s.AMR, CloudID: cloud.ID,
	}
	for _, claim := range p.Claims {
		switch claim {
		case "email":
			c.Email = s.Email
		case "name":
			c.Name = s.Name
		case "groups":
			c.Groups = s.Groups
		}
	}
	return c
}

// placeholderID is as long as a session's id, which does not exist yet when Fits is asked.
const placeholderID = "0123456789abcdefghijkl"

// Fits tells whether the tokens that a person would need can be made, those for calls in their name too: it is asked at sign-in, so that no request
// fails later.
func (in *Ingress) Fits(s session.Session) error {
	if s.ID == "" {
		s.ID = placeholderID
	}
	caller := longestCaller(in.cloud)
	for _, p := range in.products {
		claims := claimsOf(in.cloud, s, p)
		if caller != "" {
			claims.Act = &usercontext.Actor{Subject: caller}
		}
		if err := in.minter.Fits(claims); err != nil {
			return err
		}
	}
	return nil
}

// longestCaller is the longest name that a token can have to hold, "" where nobody calls.
func longestCaller(cloud topology.Cloud) (longest string) {
	if cloud.Gateway == nil {
		return ""
	}
	for _, client := range cloud.Clients {
		for _, caller := range client.Callers {
			if len(caller) > len(longest) {
				longest = caller
			}
		}
	}
	return longest
}

func input(r check.Request, p topology.Product, s session.Session) policies.Input {
	address := ""
	if r.Address.IsValid() {
		address = r.Address.String()
	}
	return policies.Input{
		Product: p.ID, Method: r.Method, Path: r.Path, Address: address,
		User: user(s),
	}
}
