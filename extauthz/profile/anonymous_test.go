package profile

import (
	"testing"

	"isogate/extauthz/check"
)

// GHSA-pxq7, GHSA-7rh7: the endpoint must be the listed one to the byte; no query and no spelling of the path opens another.
func TestTheAnonymousAllowlistIsExact(t *testing.T) {
	w := newWorld(t)
	open, closed := pass(check.Anonymous), deny(401, check.Unauthenticated)
	tests := []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"listed", ask("GET", "/health"), open},
		{"listed, as a navigation", ask("GET", "/health", navigation...), open},
		{"listed, with a query", ask("GET", "/health?x=/../secret%23"), open},
		{"listed, with a dead cookie", ask("GET", "/health", "cookie", forged), open},
		{"listed, with a broken cookie", ask("GET", "/health", "cookie", "__Host-isogate_session=x"), open},
		{"listed POST", ask("POST", "/hook"), open},
		{"listed POST, from anywhere: nobody acts in nobody's name", ask("POST", "/hook", "origin", "https://evil.example"), open},
		{"HEAD is not GET", ask("HEAD", "/health"), closed},
		{"POST is not GET", ask("POST", "/health"), closed},
		{"GET is not POST", ask("GET", "/hook"), closed},
		{"a slash more", ask("GET", "/health/"), closed},
		{"another case", ask("GET", "/Health"), closed},
		{"an escape", ask("GET", "/%68ealth"), closed},
		{"an escaped hash", ask("GET", "/secret%23/health"), closed},
		{"an escaped hash behind", ask("GET", "/health%23"), closed},
		{"an escaped question mark", ask("GET", "/secret%3f/health"), closed},
		{"a parameter", ask("GET", "/health;x"), closed},
		{"in the query", ask("GET", "/secret?/health"), closed},
		{"below", ask("GET", "/health/x"), closed},
		{"before", ask("GET", "/x/health"), closed},
		{"a space", ask("GET", "/health%20"), closed},
		{"at another product", at(wikiHost, "wiki", ask("GET", "/health")), closed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			v := w.expect(tt.in, tt.want)
			if _, ok := w.token(v, "issues"); ok {
				t.Error("nobody gets a token")
			}
			if tt.want.Allow && (v.Rule == "" || v.Policy != w.bundle.Digest() || v.Stream <= 0) {
				t.Errorf("rule %q, policy %q, stream %s", v.Rule, v.Policy, v.Stream)
			}
		})
	}
}

// Who is signed in is known where nobody needs to be, and needs no rule about them.
func TestALivingSessionIsKnownOnAnonymousEndpoints(t *testing.T) {
	w := newWorld(t)
	w.bundle = load(t, `package isogate.ingress
anonymous["x"] := {"product": "issues", "method": "GET", "path": "/health"}
decision := {"allow": false, "reason": "closed"}
`)
	s, cookie := w.signedIn(issuesHost, ada)
	v := w.expect(ask("GET", "/health", "cookie", cookie), pass(check.Session))
	if claims, ok := w.token(v, "issues"); !ok || claims.Session != s.ID {
		t.Errorf("the token: %v, %+v", ok, claims)
	}
	w.expect(ask("GET", "/other", "cookie", cookie), deny(403, check.Policy))
}

// A person's own cookie must not let another site act at an endpoint just because strangers may use it too.
func TestAnotherSiteCannotUseAnonymousEndpointsInSomebodysName(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	w.expect(ask("POST", "/hook", "cookie", cookie, "origin", "https://evil.example"), deny(403, check.CrossOrigin))
	w.expect(ask("POST", "/hook", "cookie", cookie, "origin", issuesURL), pass(check.Session))
}
