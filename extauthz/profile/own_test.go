package profile

import (
	"slices"
	"strings"
	"testing"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
)

// ownTable is the contract, written down a second time: host, method, path. Everything else below our prefix is refused.
var ownTable = map[string]bool{
	"auth GET /.isogate/signin": true, "auth POST /.isogate/signin": true, "auth GET /.isogate/callback": true, "auth GET /.isogate/session": true,
	"auth GET /.isogate/enter": true, "issues GET /.isogate/enter": true,
	"auth GET /.isogate/logout": true, "issues GET /.isogate/logout": true,
	"auth POST /.isogate/logout": true, "issues POST /.isogate/logout": true,
	"auth GET /.well-known/uct/jwks.json": true, "auth HEAD /.well-known/uct/jwks.json": true,

	"auth GET /.well-known/openid-configuration": true, "auth HEAD /.well-known/openid-configuration": true,
	"auth GET /.well-known/oauth-authorization-server": true, "auth HEAD /.well-known/oauth-authorization-server": true,
	"auth GET /oauth2/jwks": true, "auth HEAD /oauth2/jwks": true,
	"auth POST /oauth2/par": true, "auth POST /oauth2/token": true, "auth POST /oauth2/revoke": true,
	"auth GET /oauth2/authorize": true, "auth POST /oauth2/decision": true, "auth GET /oauth2/session": true,
}

var ownPaths = []string{
	"/.isogate/signin", "/.isogate/callback", "/.isogate/enter", "/.isogate/logout", "/.isogate", "/.isogate/", "/.isogate/x", "/.isogate/Enter", "/.isogate/enter/",
	"/.isogate/enter;x", "/.isogate/enter%20", "/.isogate/enter/x", "/.isogate;x/enter", "/.isogatex", "/.isogate/session", "/.isogate/saml/acs", "/.isogate/metrics",
}

func TestOwnEndpointsAreAClosedTable(t *testing.T) {
	w := newWorld(t)
	hosts := map[string]string{"auth": authHost, "issues": issuesHost}
	for name, host := range hosts {
		paths := ownPaths
		if name == "auth" { // every path there is ours
			paths = append(slices.Clone(paths), "/.well-known/uct/jwks.json", "/", "/x", "/health", "/hook", "/.well-known/uct", "/.well-known/openid-configuration",
				"/.well-known/oauth-authorization-server", "/oauth2", "/oauth2/", "/oauth2/jwks", "/oauth2/par", "/oauth2/par/", "/oauth2/token", "/oauth2/revoke", "/oauth2/authorize",
				"/oauth2/Authorize", "/oauth2/decision", "/oauth2/session", "/oauth2/session/", "/oauth2/userinfo", "/oauth2/register", "/oauth2/introspect")
		}
		for _, path := range paths {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				t.Run(name+" "+method+" "+path, func(t *testing.T) {
					w.t = t
					v := w.expect(at(host, "", ask(method, path, "sec-fetch-site", "same-origin", "accept", "text/html")), wantOwn(name, method, path))
					if v.Reason == check.Method {
						checkAllow(t, name, path, answered(v, "allow"))
					}
				})
			}
		}
	}
}

func wantOwn(host, method, path string) outcome {
	switch {
	case ownTable[host+" "+method+" "+path]:
		return pass(check.Own)
	case ownTable[host+" GET "+path], ownTable[host+" POST "+path]:
		return deny(405, check.Method)
	}
	return deny(404, check.NotFound)
}

// checkAllow: RFC 9110 section 15.5.6 demands the methods that would do, and those exactly.
func checkAllow(t *testing.T, host, path string, got []string) {
	t.Helper()
	var want []string
	for _, method := range []string{"GET", "HEAD", "POST"} {
		if ownTable[host+" "+method+" "+path] {
			want = append(want, method)
		}
	}
	if len(got) != 1 || got[0] != strings.Join(want, ", ") {
		t.Errorf("allow %q, want %q", got, want)
	}
}

// Our own endpoints answer while there is no policy and no store, and to no route that Envoy chose otherwise.
func TestOwnEndpointsNeedTheRouteToTheDoor(t *testing.T) {
	w := newWorld(t)
	w.bundle = nil
	for entry := range ownTable {
		parts := strings.Fields(entry)
		host := map[string]string{"auth": authHost, "issues": issuesHost}[parts[0]]
		r := at(host, "", ask(parts[1], parts[2], "sec-fetch-site", "same-origin", "accept", "text/html"))
		w.expect(r, pass(check.Own))
		r.Route = check.Route{Product: "issues"}
		w.expect(r, deny(503, check.Skew))
		r.Route = check.Route{}
		w.expect(r, deny(503, check.Skew))
		r.Route = check.Route{OAuth: "auth"}
		if ownRoute(r.Path) == r.Route {
			r.Route = check.Route{Door: "yes"}
		}
		w.expect(r, deny(503, check.Skew)) // our door would answer for the OAuth server, or the other way round
	}
	if w.records.reads > 0 {
		t.Error("a session was looked up for an endpoint of our own")
	}
}

// The door alone reads our cookies, so they reach it; an identity that a client claims does not.
func TestTheDoorGetsTheCookiesAndNoClaimedIdentity(t *testing.T) {
	w := newWorld(t)
	v := w.expect(at(issuesHost, "", ask("GET", "/.isogate/enter?ticket=T",
		"cookie", forged+"; __Host-isogate_flow_1=x; a=1", "x-user-context-token", "t", "x_isolated_cloud_user", "u")), pass(check.Own))
	if len(v.Set) != 0 || !slices.Equal(v.Remove, []string{"x-user-context-token", "x_isolated_cloud_user"}) {
		t.Errorf("set %v, removed %q", v.Set, v.Remove)
	}
	w.expect(at(issuesHost, "", ask("GET", "/.isogate/enter", "cookie", forged+"; "+forged)), deny(400, check.BadRequest))
}

// What begins with our prefix never reaches a product, whatever session or route comes with it.
func TestOurPrefixNeverReachesAProduct(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	for _, path := range ownPaths {
		if v := w.decide(ask("GET", path, "cookie", cookie)); v.Allow {
			t.Errorf("%s reaches the product", path)
		}
	}
	_, atAuth := w.signedIn(authHost, ada)
	if v := w.decide(at(authHost, "issues", ask("GET", "/x", "cookie", atAuth))); v.Allow || v.Reason != check.NotFound {
		t.Errorf("the auth host serves a product: %+v", v.Reason)
	}
}

// A person whose token would not fit is told at sign-in. What fits there must fit at every request, though the session has no id yet.
func TestWhatFitsAtSignInFitsLater(t *testing.T) {
	w := newWorld(t)
	person := func(n int) session.Session {
		who := ada
		who.Email = strings.Repeat("x", n) + "@acme.example"
		return session.Session{Identity: who}
	}
	most := 0
	for step := 4096; step > 0; step /= 2 {
		if w.Fits(person(most+step)) == nil {
			most += step
		}
	}
	if most == 0 || w.Fits(person(most+4)) == nil {
		t.Fatalf("no bound was found: %d", most)
	}
	_, cookie := w.signedIn(issuesHost, person(most).Identity)
	v := w.expect(ask("GET", "/x", "cookie", cookie), pass(check.Session))
	if claims, ok := w.token(v, "issues"); !ok || len(claims.Email) != most+len("@acme.example") {
		t.Errorf("the token: %v", ok)
	}
}

func TestFitsAsksForEveryProduct(t *testing.T) {
	w := newWorld(t)
	who := ada
	for range 500 {
		who.Groups = append(who.Groups, "a-group-of-many")
	}
	if w.Fits(session.Session{Identity: who}) == nil { // only the wiki's tokens hold groups
		t.Error("groups that do not fit into one product's token are accepted")
	}
}
