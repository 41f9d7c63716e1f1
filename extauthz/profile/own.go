package profile

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
)

// PathOAuthSession is the session resource: what becomes of a person's session, for whoever holds one of the OAuth server's access tokens.
const PathOAuthSession = "/oauth2/session"

// own is one endpoint of our own. Each table is closed: below our prefix, and on the host where people sign in, nothing else passes.
type own struct {
	methods    []string
	path       string
	mode       mode
	signInOnly bool // on the host where people sign in alone, else on every guarded host
	oauth      bool // answered by the OAuth server, which is there only for clients; else by our door
}

// mode is what an endpoint gets to know of who asks.
type mode int

const (
	cookies  mode = iota // our own cookies, which the door alone reads; an unsafe method must come from the host's own pages
	none                 // nothing: it is for programs, and no cookie is passed on
	optional             // a User Context Token if there is a session, and no cookie; for a browser's window alone, and a form must come from the host's own pages
)

// ownEndpoints are all those of an isolated cloud. Where a session resource is asked for, the door answers, though its path is the OAuth server's.
var ownEndpoints = []own{
	{methods: []string{"GET", "POST"}, path: signin.PathSignIn, signInOnly: true},
	{methods: []string{"GET"}, path: signin.PathCallback, signInOnly: true},
	{methods: []string{"GET"}, path: signin.PathSession, signInOnly: true},
	{methods: []string{"GET"}, path: signin.PathEnter},
	{methods: []string{"GET", "POST"}, path: signin.PathLogout},
	{methods: []string{"GET", "HEAD"}, path: usercontext.JWKSPath, mode: none, signInOnly: true},

	{methods: []string{"GET", "HEAD"}, path: "/.well-known/openid-configuration", mode: none, signInOnly: true, oauth: true},
	{methods: []string{"GET", "HEAD"}, path: "/.well-known/oauth-authorization-server", mode: none, signInOnly: true, oauth: true},
	{methods: []string{"GET", "HEAD"}, path: "/oauth2/jwks", mode: none, signInOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/par", mode: none, signInOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/token", mode: none, signInOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/revoke", mode: none, signInOnly: true, oauth: true},
	{methods: []string{"GET"}, path: signin.PathAuthorize, mode: optional, signInOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/decision", mode: optional, signInOnly: true, oauth: true},
	{methods: []string{"GET"}, path: PathOAuthSession, mode: none, signInOnly: true},
}

// endpointsOf are those of an isolated cloud: without clients it has no OAuth server, and no token that its session resource could take.
func endpointsOf(cloud topology.Cloud) []own {
	if len(cloud.Clients) > 0 {
		return ownEndpoints
	}
	return slices.DeleteFunc(slices.Clone(ownEndpoints), func(e own) bool { return e.oauth || e.path == PathOAuthSession })
}

// endpoint finds the endpoint of our own that a request means, and lets it pass without the identity that it claims; or else refuses it.
func (b browser) endpoint(r check.Request) (own, check.Verdict) {
	at := slices.IndexFunc(b.table, func(e own) bool { return e.path == r.Path && (!e.signInOnly || r.Host == b.flows.Site.SignIn) })
	if at < 0 {
		return own{}, check.Deny(http.StatusNotFound, check.NotFound, isNavigation(r), "")
	}
	e := b.table[at]
	switch {
	case !slices.Contains(e.methods, r.Method):
		return e, notAllowed(r, e.methods)
	case e.oauth && r.Route.OAuth == "", !e.oauth && r.Route.Door == "":
		return e, failed(r, check.Skew, nil)
	case e.mode == optional && !isNavigation(r) && !isFormPost(r): // an image, a frame or a script must not ask in the person's name
		return e, check.Deny(http.StatusForbidden, check.CrossOrigin, false, "")
	case e.mode != none && unsafe(r) && !sameSite(r, b.flows.Site.URL(r.Host), nil):
		return e, check.Deny(http.StatusForbidden, check.CrossOrigin, isFormPost(r), "")
	}
	_, remove := strip(r, session.Cookies{})
	return e, check.Verdict{Allow: true, Reason: check.Own, Remove: remove}
}

// own lets our own endpoints pass to our door or to the OAuth server, each with what its mode says.
func (in *Ingress) own(ctx context.Context, r check.Request, brought session.Cookies) check.Verdict {
	endpoint, v := in.endpoint(r)
	if !v.Allow || endpoint.mode == cookies {
		return v
	}
	v.Remove = append(v.Remove, "cookie")
	if endpoint.mode == none {
		return v
	}
	return in.introduced(ctx, r, brought, v)
}

// introduced tells the OAuth server who asks, if there is a living session. The token is made for this very request: it says how long the
// session lasts, and whether the person's domain is managed, and both may change at any moment.
func (in *Ingress) introduced(ctx context.Context, r check.Request, brought session.Cookies, passed check.Verdict) check.Verdict {
	living, err := in.sessions.Living(ctx, r.Host, brought.Session, in.limits)
	if errors.Is(err, session.ErrNone) {
		return passed
	} else if err != nil {
		return failed(r, check.Unavailable, err)
	}
	limits := in.limits.For(living.Identity)
	in.sessions.Touch(living, limits)
	living.Active = in.flows.Now()
	managed := in.limits.IsManaged(living.Identity)
	claims := claimsOf(in.cloud, living, topology.Product{ID: topology.OAuthAudience})
	claims.Managed, claims.SessionExpiry, claims.SignedIn = &managed, living.FederatedExpiry(limits).Unix(), living.SignedIn.Unix()
	if !living.Stated { // a sign-in without a question may stand on a proof of hours ago
		claims.AuthTime = 0
	}
	token, err := in.minter.Fresh(claims)
	if err != nil {
		return failed(r, check.Unavailable, err)
	}
	passed.Remove = slices.DeleteFunc(passed.Remove, func(name string) bool { return name == usercontext.Header })
	passed.Set = append(passed.Set, page.Field{Name: usercontext.Header, Value: token})
	return passed
}

// notAllowed names the methods that would do, as RFC 9110 section 15.5.6 demands of a 405.
func notAllowed(r check.Request, methods []string) check.Verdict {
	v := check.Deny(http.StatusMethodNotAllowed, check.Method, isNavigation(r), "")
	v.Answer = v.Answer.With("allow", strings.Join(methods, ", "))
	return v
}
