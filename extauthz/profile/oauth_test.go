package profile

import (
	"errors"
	"slices"
	"testing"
	"time"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/session"
	"isogate/extauthz/usercontext"
)

// toAuth is what a browser's window sends to the auth host.
func toAuth(method, target string, lines ...string) check.Request {
	return at(authHost, "", ask(method, target, append([]string{"accept", "text/html"}, lines...)...))
}

// What programs ask for is passed without a cookie, whatever came, and asks for no session.
func TestProgramsEndpointsGetNoCookieAndNoToken(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(authHost, ada)
	reads := w.records.reads
	for _, e := range ownEndpoints {
		if e.mode != none {
			continue
		}
		for _, lines := range [][]string{
			{"cookie", cookie + "; a=1", "x-user-context-token", "forged"},
			{"cookie", "a=1", "origin", "https://evil.example", "sec-fetch-site", "cross-site"},
		} {
			v := w.expect(toAuth(e.methods[0], e.path, lines...), pass(check.Own))
			if len(v.Set) != 0 || !slices.Contains(v.Remove, "cookie") || lines[2] == usercontext.Header && !slices.Contains(v.Remove, usercontext.Header) {
				t.Errorf("%s: set %v, removed %q", e.path, v.Set, v.Remove)
			}
		}
	}
	if w.records.reads != reads {
		t.Error("a session was looked up")
	}
}

// The OAuth server learns who asks from a token that is made for this request, and nothing personal.
func TestTheOAuthServerIsToldWhoAsks(t *testing.T) {
	w := newWorld(t)
	s, cookie := w.signedIn(authHost, ada)
	w.now = w.now.Add(10 * time.Minute)
	v := w.expect(toAuth("GET", "/oauth2/authorize?client_id=x&request_uri=y", "cookie", cookie, "x-user-context-token", "forged"), pass(check.Own))
	if len(v.Set) != 1 || !slices.Contains(v.Remove, "cookie") || slices.Contains(v.Remove, usercontext.Header) {
		t.Fatalf("set %v, removed %q", v.Set, v.Remove)
	}
	c, ok := w.token(v, topology.OAuthAudience)
	want := w.now.Add(limits.Idle).Unix() // the request itself is activity
	if !ok || c.Managed == nil || !*c.Managed || c.SessionExpiry != want || c.Session != s.ID || c.Subject != ada.User || c.ACR != "mfa" || c.AuthTime != start.Unix() {
		t.Errorf("claims %+v", c)
	}
	if c.Email+c.Name != "" || c.Groups != nil || c.Act != nil {
		t.Errorf("personal claims: %+v", c)
	}
	again, _ := w.token(w.decide(toAuth("GET", "/oauth2/authorize", "cookie", cookie)), topology.OAuthAudience)
	if again.ID == c.ID {
		t.Error("the token was handed out before")
	}
}

// The federated limit, and what a domain is, are those of this moment.
func TestTheOAuthServerIsToldTheLimitsOfTheMoment(t *testing.T) {
	w := newWorld(t)
	erin := ada
	erin.Email = "erin@partner.example"
	tests := []struct {
		name    string
		who     session.Identity
		change  func(*session.Policies)
		managed bool
		ends    time.Duration
	}{
		{"as it is", ada, func(*session.Policies) {}, true, limits.Idle},
		{"a short federated limit", ada, func(p *session.Policies) { p.Default.Federated = time.Minute }, true, time.Minute},
		{"a domain that is not managed", erin, func(*session.Policies) {}, false, limits.Idle},
		{"a sub-domain of a managed one", ada, func(p *session.Policies) { p.Managed = []string{"example"} }, false, limits.Idle},
		{"no managed domain", ada, func(p *session.Policies) { p.Managed = nil }, false, limits.Idle},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t, w.limits = t, rulesOfSessions
			tt.change(&w.limits)
			_, cookie := w.signedIn(authHost, tt.who)
			c, ok := w.token(w.expect(toAuth("GET", "/oauth2/authorize", "cookie", cookie), pass(check.Own)), topology.OAuthAudience)
			if !ok || c.Managed == nil || *c.Managed != tt.managed || c.SessionExpiry != start.Add(tt.ends).Unix() {
				t.Errorf("claims %+v", c)
			}
		})
	}
}

// Nobody is told to be somebody: no session, a dead one, another host's, and a store that does not answer.
func TestTheOAuthServerIsToldNobody(t *testing.T) {
	w := newWorld(t)
	_, elsewhere := w.signedIn(issuesHost, ada)
	ended, dead := w.signedIn(authHost, ada)
	if err := w.sessions.End(t.Context(), ended.ID); err != nil {
		t.Fatal(err)
	}
	for _, cookie := range []string{"a=1", forged, dead, elsewhere} {
		v := w.expect(toAuth("GET", "/oauth2/authorize", "cookie", cookie, "x-user-context-token", "forged"), pass(check.Own))
		if len(v.Set) != 0 || !slices.Contains(v.Remove, "cookie") || !slices.Contains(v.Remove, usercontext.Header) {
			t.Errorf("set %v, removed %q", v.Set, v.Remove)
		}
	}
	w.records.fault = errors.New("no store")
	w.expect(toAuth("GET", "/oauth2/authorize", "cookie", forged), deny(503, check.Unavailable))
}

// A decision must come from the auth host's own page; what a program posts has no page.
func TestADecisionComesFromOurOwnPage(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(authHost, ada)
	for _, lines := range [][]string{
		{"origin", "https://evil.example"}, {"origin", "null"}, {}, {"sec-fetch-site", "same-site"}, {"origin", "https://issues.acme.example:8443", "sec-fetch-site", "same-origin"},
	} {
		w.expect(toAuth("POST", "/oauth2/decision", append(lines, "cookie", cookie)...), deny(403, check.CrossOrigin))
	}
	w.expect(toAuth("POST", "/oauth2/decision", "cookie", cookie, "origin", "https://auth.acme.example:8443"), pass(check.Own))
}

// What a page embeds asks nothing in the person's name: each such request would open a grant, and count as activity.
func TestOnlyAWindowGetsToTheOAuthServer(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(authHost, ada)
	for _, dest := range []string{"image", "iframe", "script", "empty", "object", "audio"} {
		mode := map[bool]string{true: "navigate", false: "no-cors"}[dest == "iframe" || dest == "object"]
		r := at(authHost, "", ask("GET", "/oauth2/authorize", "cookie", cookie, "accept", "text/html", "sec-fetch-mode", mode, "sec-fetch-dest", dest, "sec-fetch-site", "same-site"))
		w.expect(r, deny(403, check.CrossOrigin))
	}
	w.expect(at(authHost, "", ask("GET", "/oauth2/authorize", "cookie", cookie, "accept", "image/webp,*/*")), deny(403, check.CrossOrigin))
	w.expect(at(authHost, "", ask("GET", "/oauth2/authorize", append(slices.Clone(navigation), "cookie", cookie)...)), pass(check.Own))
}

// An auth_time that the provider did not say is none to hold against max_age.
func TestTheOAuthServerIsToldNoTimeThatNobodySaid(t *testing.T) {
	w := newWorld(t)
	for stated, want := range map[bool]int64{true: start.Unix(), false: 0} {
		who := ada
		who.Stated = stated
		_, cookie := w.signedIn(authHost, who)
		c, ok := w.token(w.expect(toAuth("GET", "/oauth2/authorize", "cookie", cookie), pass(check.Own)), topology.OAuthAudience)
		if !ok || c.AuthTime != want || c.SignedIn != start.Unix() {
			t.Errorf("stated %t: %+v", stated, c)
		}
	}
}

// Without clients there is no OAuth server: its paths are as absent as any other.
func TestWithoutClientsThereIsNoOAuthServer(t *testing.T) {
	w := newWorld(t)
	w.cloud.Clients = nil
	w.table = endpointsOf(w.cloud)
	for _, e := range ownEndpoints {
		if e.oauth || e.path == PathOAuthSession {
			w.expect(toAuth(e.methods[0], e.path), deny(404, check.NotFound))
		}
	}
	w.expect(toAuth("GET", usercontext.JWKSPath), pass(check.Own))
}
