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

// own is one endpoint of our own. The table is closed: below our prefix, and on the auth host, nothing else passes.
type own struct {
	methods  []string
	path     string
	mode     mode
	authOnly bool // on the auth host alone, else on every guarded host
	oauth    bool // answered by the OAuth server, which is there only for clients; else by our door
}

// mode is what an endpoint gets to know of who asks.
type mode int

const (
	cookies  mode = iota // our own cookies, which the door alone reads; an unsafe method must come from the host's own pages
	none                 // nothing: it is for programs, and no cookie is passed on
	optional             // a User Context Token if there is a session, and no cookie; an unsafe method must come from the host's own pages
)

// ownEndpoints are all of them. Where a session resource is asked for, the door answers, though its path is the OAuth server's.
var ownEndpoints = []own{
	{methods: []string{"GET", "POST"}, path: signin.PathSignIn, authOnly: true},
	{methods: []string{"GET"}, path: signin.PathCallback, authOnly: true},
	{methods: []string{"GET"}, path: signin.PathSession, authOnly: true},
	{methods: []string{"GET"}, path: signin.PathEnter},
	{methods: []string{"GET", "POST"}, path: signin.PathLogout},
	{methods: []string{"GET", "HEAD"}, path: usercontext.JWKSPath, mode: none, authOnly: true},

	{methods: []string{"GET", "HEAD"}, path: "/.well-known/openid-configuration", mode: none, authOnly: true, oauth: true},
	{methods: []string{"GET", "HEAD"}, path: "/.well-known/oauth-authorization-server", mode: none, authOnly: true, oauth: true},
	{methods: []string{"GET", "HEAD"}, path: "/oauth2/jwks", mode: none, authOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/par", mode: none, authOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/token", mode: none, authOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/revoke", mode: none, authOnly: true, oauth: true},
	{methods: []string{"GET"}, path: signin.PathAuthorize, mode: optional, authOnly: true, oauth: true},
	{methods: []string{"POST"}, path: "/oauth2/decision", mode: optional, authOnly: true, oauth: true},
	{methods: []string{"GET"}, path: PathOAuthSession, mode: none, authOnly: true},
}

// own lets our own endpoints pass to our door or to the OAuth server, each with what its mode says.
func (in *Ingress) own(ctx context.Context, r check.Request, brought session.Cookies) check.Verdict {
	at := slices.IndexFunc(ownEndpoints, func(e own) bool { return e.path == r.Path && (!e.authOnly || r.Host == in.auth) })
	if at < 0 || !in.offers(ownEndpoints[at]) {
		return check.Deny(http.StatusNotFound, check.NotFound, isNavigation(r), "")
	}
	endpoint := ownEndpoints[at]
	switch {
	case !slices.Contains(endpoint.methods, r.Method):
		return notAllowed(r, endpoint.methods)
	case endpoint.oauth && r.Route.OAuth == "", !endpoint.oauth && r.Route.Door == "":
		return failed(r, check.Skew, nil)
	case endpoint.mode != none && unsafe(r) && !sameSite(r, in.flows.Cloud.URL(r.Host), nil):
		return check.Deny(http.StatusForbidden, check.CrossOrigin, isFormPost(r), "")
	}
	_, remove := strip(r, session.Cookies{})
	passed := check.Verdict{Allow: true, Reason: check.Own, Remove: remove}
	switch endpoint.mode {
	case none:
		passed.Remove = append(remove, "cookie")
	case optional:
		passed.Remove = append(remove, "cookie")
		return in.introduced(ctx, r, brought, passed)
	}
	return passed
}

// offers tells whether an endpoint is there: without clients there is no OAuth server, and no token that its session resource could take.
func (in *Ingress) offers(e own) bool {
	return len(in.flows.Cloud.Clients) > 0 || !e.oauth && e.path != PathOAuthSession
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
	claims := in.claims(living, topology.Product{ID: topology.OAuthAudience})
	claims.Managed, claims.SessionExpiry = &managed, living.FederatedExpiry(limits).Unix()
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
