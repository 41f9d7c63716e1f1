package profile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
)

func TestFederatedWithoutASession(t *testing.T) {
	s := newSide(t)
	signIn, unauthenticated := deny(302, check.SignIn), deny(401, check.Unauthenticated)
	tests := []struct {
		name   string
		method string
		in     []string
		want   outcome
	}{
		{"navigation", "GET", navigation, signIn},
		{"navigation of a browser without fetch metadata", "GET", []string{"accept", "text/html,*/*"}, signIn},
		{"fetch", "GET", fetch, unauthenticated},
		{"XHR", "GET", []string{"accept", "text/html", "x-requested-with", "XMLHttpRequest"}, unauthenticated},
		{"curl", "GET", []string{"accept", "*/*"}, unauthenticated},
		{"WebSocket", "GET", []string{"upgrade", "websocket", "connection", "Upgrade", "origin", supportURL}, unauthenticated},
		{"WebSocket that looks like a navigation", "GET", lines(navigation, []string{"upgrade", "websocket"}), unauthenticated},
		{"frame", "GET", []string{"sec-fetch-mode", "navigate", "sec-fetch-dest", "iframe", "accept", "text/html"}, unauthenticated},
		{"HEAD", "HEAD", navigation, unauthenticated},
		{"OPTIONS", "OPTIONS", fetch, unauthenticated},
		{"POST by a script", "POST", fetch, unauthenticated},
		{"form", "POST", form, deny(401, check.SessionEnded)},
	}
	for _, tt := range tests {
		for _, cookie := range []string{"", "a=1", session.OutsideCookie + "=", session.OutsideCookie + "=x; a=1", forged} {
			for _, host := range []string{supportHost, payrollHost} {
				t.Run(strings.Join([]string{tt.name, cookie, host}, " "), func(t *testing.T) {
					s.t = t
					in := to(host, tt.method, "/x?a=b", tt.in...)
					if cookie != "" {
						in = with(in, "cookie", cookie)
					}
					s.checkStranger(s.expect(in, tt.want))
				})
			}
		}
	}
	s.clouds.expects(t, 0, "nobody's session")
}

// checkStranger holds what all are told who are not signed in: where to; and a flow cookie on navigations alone.
func (s *side) checkStranger(v check.Verdict) {
	s.t.Helper()
	const signIn = "https://id.commercial.example:8443/.isogate/signin"
	cookies, challenge, location := answered(v, "set-cookie"), answered(v, "www-authenticate"), answered(v, "location")
	switch v.Reason {
	case check.SignIn:
		if len(cookies) != 1 || !strings.HasPrefix(cookies[0], "__Host-isogate_flow_") || len(location) != 1 || !strings.HasPrefix(location[0], signIn+"?flow=") {
			s.t.Errorf("cookies %q, location %q", cookies, location)
		}
	case check.Unauthenticated:
		if len(cookies) != 0 || len(challenge) != 1 || !strings.Contains(string(v.Answer.Body), `"sign_in":"`+signIn+`"`) {
			s.t.Errorf("cookies %q, challenge %q, body %s", cookies, challenge, v.Answer.Body)
		}
	case check.SessionEnded:
		if len(cookies) != 0 || len(challenge) != 1 || !strings.Contains(string(v.Answer.Body), "commercial.example:8443/") {
			s.t.Errorf("cookies %q, challenge %q, body %s", cookies, challenge, v.Answer.Body)
		}
	}
}

func TestFederatedWithASession(t *testing.T) {
	s := newSide(t)
	mine := s.cookie(supportHost, s.outside())
	tests := []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"navigation", to(supportHost, "GET", "/x", navigation...), pass(check.Session)},
		{"fetch", to(supportHost, "GET", "/x", fetch...), pass(check.Session)},
		{"HEAD", to(supportHost, "HEAD", "/x"), pass(check.Session)},
		{"form", to(supportHost, "POST", "/x", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document", "origin", supportURL), pass(check.Session)},
		{"WebSocket", to(supportHost, "GET", "/x", "upgrade", "websocket", "connection", "Upgrade", "origin", supportURL), pass(check.Session)},
		{"WebSocket of another site", to(supportHost, "GET", "/x", "upgrade", "websocket", "connection", "Upgrade", "origin", "https://evil.example"), deny(403, check.CrossOrigin)},
		{"a WebSocket that drops our headers", to(supportHost, "GET", "/x", "upgrade", "websocket", "connection", "Upgrade, x-isolated-cloud-user", "origin", supportURL), deny(400, check.BadRequest)},
		{"form of another site", to(supportHost, "POST", "/x", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document", "origin", "https://evil.example"), deny(403, check.CrossOrigin)},
		{"form of another service", to(supportHost, "POST", "/x", "origin", "https://status.commercial.example:8443"), deny(403, check.CrossOrigin)},
		{"form of the identity host", to(supportHost, "POST", "/x", "origin", "https://id.commercial.example:8443"), deny(403, check.CrossOrigin)},
		{"POST of nobody's page", to(supportHost, "POST", "/x"), deny(403, check.CrossOrigin)},
		{"two cookies", to(supportHost, "GET", "/x", "cookie", mine), deny(400, check.BadRequest)},
		{"two cookies on one line", to(supportHost, "GET", "/x", "cookie", "a=1; "+session.OutsideCookie), deny(400, check.BadRequest)},
		{"the cookie at another host", to(statusHost, "GET", "/x"), deny(401, check.Unauthenticated)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			if v := s.expect(with(tt.in, "cookie", mine), tt.want); given(v) != "" {
				t.Errorf("a cookie that was checked just now is set again: %s", given(v))
			}
		})
	}
	s.clouds.expects(t, 0, "checked within the minute")
}

// What another site sends in a person's name is refused without asking anybody, however old the cookie is.
func TestCrossOriginRequestsCauseNoAsk(t *testing.T) {
	s := newSide(t)
	mine := s.cookie(supportHost, s.outside())
	s.now = s.now.Add(time.Hour)
	for _, tt := range origins {
		if !slices.Contains(tt.in, issuesURL) && !slices.Contains(tt.in, "same-origin") {
			s.expect(with(to(supportHost, "POST", "/x", tt.in...), "cookie", mine), deny(403, check.CrossOrigin))
		}
	}
	s.clouds.expects(t, 0, "cross-origin")
}

func TestAServiceThatIsNotForPeopleOfIsolatedClouds(t *testing.T) {
	s := newSide(t)
	mine := []string{"cookie", s.cookie(payrollHost, s.outside())}
	refused := deny(403, check.Federation)
	for name, tt := range map[string]struct {
		in   check.Request
		want string
	}{
		"navigation": {to(payrollHost, "GET", "/x", navigation...), "text/html"},
		"fetch":      {to(payrollHost, "GET", "/x", fetch...), "application/problem+json"},
		"form":       {to(payrollHost, "POST", "/x", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document", "sec-fetch-site", "same-origin"), "text/html"},
	} {
		v := s.expect(with(tt.in, mine...), refused)
		if kind := answered(v, "content-type"); len(kind) != 1 || !strings.HasPrefix(kind[0], tt.want) || !strings.Contains(string(v.Answer.Body), "federation") {
			t.Errorf("%s: %q: %s", name, kind, v.Answer.Body)
		}
	}
	s.now = s.now.Add(2 * time.Minute)
	if o, ok := s.opened(payrollHost, s.expect(with(to(payrollHost, "GET", "/x"), mine...), refused)); !ok || !o.Checked.Equal(s.now) {
		t.Error("the refusal does not keep what the cloud said")
	}
	s.clouds.says(ended)
	s.now = s.now.Add(2 * time.Minute)
	if v := s.expect(with(to(payrollHost, "GET", "/x"), mine...), deny(401, check.Unauthenticated)); given(v) != session.ClearOutside() {
		t.Error("a dead cookie stays")
	}
}

func TestFederatedHostsThatDoNotAgreeAreMisdirected(t *testing.T) {
	s := newSide(t)
	mine := s.cookie(supportHost, s.outside())
	change := func(host, sni string, route check.Route) check.Request {
		r := to(supportHost, "GET", "/x", "cookie", mine)
		r.Host, r.SNI, r.Route = host, sni, route
		return r
	}
	support, misdirected, skew := check.Route{Product: "support"}, deny(421, check.Misdirected), deny(503, check.Skew)
	tests := []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"unknown host", change("evil.example", "evil.example", support), misdirected},
		{"no host", change("", "", support), misdirected},
		{"below a service's host", change("a."+supportHost, "a."+supportHost, support), misdirected},
		{"an isolated cloud's host", change(issuesHost, issuesHost, support), misdirected},
		{"another name in the handshake", change(supportHost, statusHost, support), misdirected},
		{"the identity host in the handshake", change(supportHost, identityHost, support), misdirected},
		{"no name in the handshake", change(supportHost, "", support), misdirected},
		{"identity host without a name in the handshake", change(identityHost, "", check.Route{Door: "identity"}), misdirected},
		{"the route of another service", change(supportHost, supportHost, check.Route{Product: "status"}), skew},
		{"the route of no service", change(supportHost, supportHost, check.Route{}), skew},
		{"the route to the door", change(supportHost, supportHost, check.Route{Door: "support"}), skew},
		{"the route to an OAuth server", change(supportHost, supportHost, check.Route{OAuth: "support"}), skew},
		{"as it should be", change(supportHost, supportHost, support), pass(check.Session)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.expect(tt.in, tt.want)
		})
	}
}

// platformTable is the contract, written down a second time: host, method, path. Everything else below our prefix is refused.
var platformTable = map[string]bool{
	"id GET /.isogate/signin": true, "id POST /.isogate/signin": true, "id POST /.isogate/federated/start": true, "id GET /.isogate/federated/callback": true,
	"id GET /.isogate/enter": true, "support GET /.isogate/enter": true,
	"id GET /.isogate/logout": true, "support GET /.isogate/logout": true, "id POST /.isogate/logout": true, "support POST /.isogate/logout": true,
}

func TestPlatformEndpointsAreAClosedTable(t *testing.T) {
	s := newSide(t)
	for name, host := range map[string]string{"id": identityHost, "support": supportHost} {
		paths := append(slices.Clone(ownPaths), "/.isogate/federated", "/.isogate/federated/", "/.isogate/federated/start", "/.isogate/federated/start/", "/.isogate/federated/callback")
		if name == "id" { // every path there is ours
			paths = append(paths, "/", "/x", "/oauth2/authorize", "/oauth2/session", "/oauth2/token", "/.well-known/uct/jwks.json", "/.well-known/openid-configuration")
		}
		for _, path := range paths {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				in := to(host, method, path, "sec-fetch-site", "same-origin", "cookie", s.cookie(host, s.outside()))
				in.Route = check.Route{Door: "yes"}
				want := deny(404, check.NotFound)
				if platformTable[name+" "+method+" "+path] {
					want = pass(check.Own)
				} else if platformTable[name+" GET "+path] || platformTable[name+" POST "+path] {
					want = deny(405, check.Method)
				}
				s.expect(in, want)
				in.Route = check.Route{Product: "support"}
				if v := s.Decide(t.Context(), in); v.Allow {
					t.Errorf("%s %s %s reaches a service", name, method, path)
				}
			}
		}
	}
	s.clouds.expects(t, 0, "own endpoints")
}

func TestPlatformEndpointsGetCookiesAndNoClaimedIdentity(t *testing.T) {
	s := newSide(t)
	v := s.expect(to(supportHost, "GET", "/.isogate/enter?ticket=T", "cookie", "__Host-isogate_federated=S; __Host-isogate_flow_1=x; a=1",
		"x-isolated-cloud-user", "u", "x_isolated_cloud_id", "c"), pass(check.Own))
	if len(v.Set)+len(v.Respond) != 0 || !slices.Equal(v.Remove, []string{"x-isolated-cloud-user", "x_isolated_cloud_id"}) {
		t.Errorf("set %v, removed %q, answered %v", v.Set, v.Remove, v.Respond)
	}
	s.expect(to(supportHost, "GET", "/.isogate/enter", "cookie", "__Host-isogate_federated=S; __Host-isogate_federated=T"), deny(400, check.BadRequest))
	for _, path := range []string{"/.isogate/federated/start", "/.isogate/signin", "/.isogate/logout"} {
		s.expect(to(identityHost, "POST", path, "origin", "https://evil.example"), deny(403, check.CrossOrigin))
		s.expect(to(identityHost, "POST", path, "origin", supportURL), deny(403, check.CrossOrigin))
		s.expect(to(identityHost, "POST", path), deny(403, check.CrossOrigin))
		s.expect(to(identityHost, "POST", path, "origin", "https://id.commercial.example:8443"), pass(check.Own))
	}
}

// A session ends at the end that its cookie has, without anybody's word.
func TestASessionOutsideEnds(t *testing.T) {
	s := newSide(t)
	for _, after := range []time.Duration{time.Second, time.Minute, 5 * time.Hour, 24 * time.Hour} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			s.t, s.now = t, start
			o := s.outside().Until(start.Add(after))
			o.Checked = o.Ends.Add(-time.Second)
			in := to(supportHost, "GET", "/x", "cookie", s.cookie(supportHost, o))
			s.now = o.Ends.Add(-time.Millisecond)
			s.expect(in, pass(check.Session))
			s.now = o.Ends
			s.checkStranger(s.expect(in, deny(401, check.Unauthenticated)))
			s.checkStranger(s.expect(with(in, navigation...), deny(302, check.SignIn)))
		})
	}
	s.clouds.expects(t, 0, "checked a second before")
}

// A stream cannot outlive the end that is known, but by the second that every request has, nor the service's limit.
func TestAStreamOutsideEndsWithItsSession(t *testing.T) {
	s := newSide(t)
	last := s.outside().Until(start.Add(time.Minute))
	s.now = last.Ends.Add(-time.Millisecond)
	last.Checked = s.now.Truncate(time.Second)
	if v := s.expect(to(statusHost, "GET", "/x", "cookie", s.cookie(statusHost, last)), pass(check.Session)); v.Stream != time.Second {
		t.Errorf("in the last millisecond: %s", v.Stream)
	}
	s.now = start
	for left, want := range map[time.Duration]time.Duration{
		24 * time.Hour: 24 * time.Hour, time.Hour: time.Hour, time.Second: time.Second,
	} {
		o := s.outside().Until(start.Add(left))
		if v := s.expect(to(statusHost, "GET", "/x", "cookie", s.cookie(statusHost, o)), pass(check.Session)); v.Stream != want {
			t.Errorf("%s left: %s", left, v.Stream)
		}
		if v := s.expect(to(supportHost, "GET", "/x", "cookie", s.cookie(supportHost, o)), pass(check.Session)); v.Stream != min(want, 5*time.Minute) {
			t.Errorf("%s left, at a service with a limit: %s", left, v.Stream)
		}
	}
}
