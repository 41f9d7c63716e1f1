package profile

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

// lines joins header lines.
func lines(parts ...[]string) []string { return slices.Concat(parts...) }

func TestWithoutASession(t *testing.T) {
	w := newWorld(t)
	signIn, unauthenticated := deny(302, check.SignIn), deny(401, check.Unauthenticated)
	tests := []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"navigation", ask("GET", "/x", navigation...), signIn},
		{"navigation with a query", ask("GET", "/x?a=b", navigation...), signIn},
		{"navigation of a browser without fetch metadata", ask("GET", "/x", "accept", "text/html,*/*"), signIn},
		{"fetch", ask("GET", "/x", fetch...), unauthenticated},
		{"XHR", ask("GET", "/x", "accept", "text/html", "x-requested-with", "XMLHttpRequest"), unauthenticated},
		{"nothing but the request", ask("GET", "/x"), unauthenticated},
		{"curl", ask("GET", "/x", "accept", "*/*", "user-agent", "curl/8"), unauthenticated},
		{"gRPC", ask("POST", "/pkg.Service/Call", "content-type", "application/grpc", "te", "trailers"), unauthenticated},
		{"WebSocket", ask("GET", "/x", "upgrade", "websocket", "connection", "Upgrade", "sec-fetch-mode", "websocket", "origin", issuesURL), unauthenticated},
		{"WebSocket that looks like a navigation", ask("GET", "/x", lines(navigation, []string{"upgrade", "websocket"})...), unauthenticated},
		{"frame", ask("GET", "/x", "sec-fetch-mode", "navigate", "sec-fetch-dest", "iframe", "accept", "text/html"), unauthenticated},
		{"image", ask("GET", "/x", "sec-fetch-mode", "no-cors", "sec-fetch-dest", "image", "accept", "text/html"), unauthenticated},
		{"HEAD", ask("HEAD", "/x", navigation...), unauthenticated},
		{"OPTIONS", ask("OPTIONS", "/x", fetch...), unauthenticated},
		{"POST by a script", ask("POST", "/x", fetch...), unauthenticated},
		{"form", ask("POST", "/x", form...), deny(401, check.SessionEnded)},
		{"form of a browser without fetch metadata", ask("POST", "/x", "accept", "text/html", "origin", issuesURL), deny(401, check.SessionEnded)},
		{"repeated fetch metadata is no navigation", ask("GET", "/x", "sec-fetch-mode", "navigate", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document"), unauthenticated},
	}
	for _, tt := range tests {
		for _, cookie := range []string{"", "a=1", forged, session.SessionCookie + "=", session.SessionCookie + "=x; a=1"} {
			t.Run(tt.name+" "+cookie, func(t *testing.T) {
				w.t = t
				in := tt.in
				if cookie != "" {
					in = with(in, "cookie", cookie)
				}
				w.checkRefusal(w.expect(in, tt.want), tt.want.Status)
			})
		}
	}
}

// checkRefusal holds what is common to all who are not signed in: where to, and a flow cookie on navigations only.
func (w *world) checkRefusal(v check.Verdict, status int) {
	w.t.Helper()
	cookies, challenge, body := answered(v, "set-cookie"), answered(v, "www-authenticate"), string(v.Answer.Body)
	if status == 302 {
		if len(cookies) != 1 || !strings.HasPrefix(cookies[0], "__Host-isogate_flow_") || len(challenge) != 0 {
			w.t.Errorf("cookies %q, challenge %q", cookies, challenge)
		}
		return
	}
	// RFC 9110 section 15.5.2
	if len(cookies) != 0 || len(challenge) != 1 || !strings.Contains(challenge[0], authHost) {
		w.t.Errorf("cookies %q, challenge %q", cookies, challenge)
	}
	isProblem := strings.Contains(answered(v, "content-type")[0], "problem+json")
	if v.Reason == check.Unauthenticated && (!isProblem || !strings.Contains(body, `"sign_in":"https://auth.acme.example:8443/.isogate/signin"`)) {
		w.t.Errorf("the problem does not say where to sign in: %s", body)
	}
	if v.Reason == check.SessionEnded && (isProblem || !strings.Contains(body, issuesURL+"/")) {
		w.t.Errorf("a form gets no page that leads back: %s", body)
	}
}

func TestWithASession(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	_, wikiCookie := w.signedIn(wikiHost, ada)
	mine := []string{"cookie", cookie}
	tests := []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"navigation", ask("GET", "/x", lines(navigation, mine)...), pass(check.Session)},
		{"fetch", ask("GET", "/x", lines(fetch, mine)...), pass(check.Session)},
		{"HEAD", ask("HEAD", "/x", mine...), pass(check.Session)},
		{"form", ask("POST", "/x", lines(form, mine)...), pass(check.Session)},
		{"frame", ask("GET", "/x", lines(mine, []string{"sec-fetch-mode", "navigate", "sec-fetch-dest", "iframe"})...), pass(check.Session)},
		{"WebSocket", ask("GET", "/x", lines(mine, []string{"upgrade", "websocket", "origin", issuesURL})...), pass(check.Session)},
		{"the cookie on a line of its own", ask("GET", "/x", "cookie", "a=1", "cookie", cookie), pass(check.Session)},
		{"policy denies a fetch", ask("GET", "/forbidden", mine...), deny(403, check.Policy)},
		{"policy denies a navigation", ask("GET", "/forbidden", lines(navigation, mine)...), deny(403, check.Policy)},
		{"policy fails", ask("GET", "/broken", mine...), deny(503, check.Unavailable)},
		{"the handle of another host", ask("GET", "/x", "cookie", wikiCookie), deny(401, check.Unauthenticated)},
		{"two session cookies", ask("GET", "/x", "cookie", cookie+"; "+cookie), deny(400, check.BadRequest)},
		{"two session cookies on two lines", ask("GET", "/x", "cookie", cookie, "cookie", forged), deny(400, check.BadRequest)},
		{"two session cookies on an anonymous endpoint", ask("GET", "/health", "cookie", cookie+"; "+forged), deny(400, check.BadRequest)},
		{"the wiki, read", at(wikiHost, "wiki", ask("GET", "/x", "cookie", wikiCookie)), pass(check.Session)},
		{"the wiki, written by no writer", at(wikiHost, "wiki", ask("PUT", "/x", "cookie", wikiCookie, "sec-fetch-site", "same-origin")), deny(403, check.Policy)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			v := w.expect(tt.in, tt.want)
			if _, ok := w.token(v, tt.in.Route.Product); ok != tt.want.Allow {
				t.Errorf("a token: %v", ok)
			}
			if tt.want.Reason == check.Policy && (v.Policy != w.bundle.Digest() || v.Rule == "") {
				t.Errorf("policy %q, rule %q", v.Policy, v.Rule)
			}
			if tt.want.Reason == check.Unavailable && (v.Cause == nil || strings.Contains(string(v.Answer.Body), "conflict")) {
				t.Errorf("cause %v", v.Cause)
			}
		})
	}
}

func TestASessionEndsAtItsLimits(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	visit := ask("GET", "/x", "cookie", cookie)
	for range 3 { // each visit is activity
		w.now = w.now.Add(29 * time.Minute)
		w.expect(visit, pass(check.Session))
	}
	w.now = w.now.Add(10 * time.Minute)
	w.expect(ask("GET", "/forbidden", "cookie", cookie), deny(403, check.Policy)) // a refused one is none
	w.now = w.now.Add(20 * time.Minute)
	w.expect(visit, deny(401, check.Unauthenticated))
	w.expect(with(visit, navigation...), deny(302, check.SignIn))
}

// Sign-out: the old cookie, sent again, is nobody's. CVE-2025-55162.
func TestAnEndedSessionIsNobodys(t *testing.T) {
	w := newWorld(t)
	s, cookie := w.signedIn(issuesHost, ada)
	visit := ask("GET", "/x", "cookie", cookie)
	w.expect(visit, pass(check.Session))
	if err := w.sessions.End(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	w.expect(visit, deny(401, check.Unauthenticated))
}

func TestWhatIsShortenedInTheFileEndsRunningSessions(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	w.now = w.now.Add(10 * time.Minute)
	w.expect(ask("GET", "/x", "cookie", cookie), pass(check.Session))
	w.now = w.now.Add(time.Minute)
	w.limits = session.Policies{Believed: believed, Default: limits, Special: []session.Policy{{Groups: []string{"staff"}, Limits: session.Limits{Idle: time.Minute, Absolute: time.Hour}}}}
	w.expect(ask("GET", "/x", "cookie", cookie), deny(401, check.Unauthenticated))
}

func TestFaultsDeny(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	unavailable := deny(503, check.Unavailable)
	w.records.fault = errors.New("the disk is gone")
	for name, in := range map[string]check.Request{
		"fetch": ask("GET", "/x", "cookie", cookie), "navigation": ask("GET", "/x", lines(navigation, []string{"cookie", cookie})...),
		"anonymous endpoint": ask("GET", "/health", "cookie", cookie), "form": ask("POST", "/x", lines(form, []string{"cookie", cookie})...),
		"forged cookie": ask("GET", "/x", "cookie", forged),
	} {
		t.Run("the store fails/"+name, func(t *testing.T) {
			w.t = t
			if v := w.expect(in, unavailable); !errors.Is(v.Cause, w.records.fault) || strings.Contains(string(v.Answer.Body), "disk") {
				t.Errorf("cause %v, body %s", v.Cause, v.Answer.Body)
			}
		})
	}
	w.t = t
	w.expect(ask("GET", "/health"), pass(check.Anonymous)) // who brings no cookie asks no store
	w.expect(at(issuesHost, "", ask("GET", signin.PathEnter)), pass(check.Own))
	w.records.fault, w.bundle = nil, nil // there was never a good policy
	for name, in := range map[string]check.Request{
		"session": ask("GET", "/x", "cookie", cookie), "nobody": ask("GET", "/x", navigation...), "anonymous endpoint": ask("GET", "/health"),
	} {
		t.Run("no policies/"+name, func(t *testing.T) {
			w.t = t
			w.expect(in, unavailable)
		})
	}
	w.t = t
	w.expect(at(issuesHost, "", ask("GET", signin.PathEnter)), pass(check.Own))
}

func TestHostsThatDoNotAgreeAreMisdirected(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	signedIn, misdirected := ask("GET", "/x", "cookie", cookie), deny(421, check.Misdirected)
	change := func(host, sni, product string) check.Request {
		r := at(host, product, signedIn)
		r.SNI = sni
		return r
	}
	skewed := func(route check.Route) check.Request {
		r := signedIn
		r.Route = route
		return r
	}
	tests := []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"unknown host", change("evil.example", "evil.example", "issues"), misdirected},
		{"no host", change("", "", "issues"), misdirected},
		{"the domain itself", change("acme.example", "acme.example", "issues"), misdirected},
		{"below a product's host", change("a."+issuesHost, "a."+issuesHost, "issues"), misdirected},
		{"the default host of a product with another", change("plain.acme.example", "plain.acme.example", "plain"), misdirected},
		{"another name in the handshake", change(issuesHost, wikiHost, "issues"), misdirected},
		{"the auth host's name in the handshake", change(issuesHost, authHost, "issues"), misdirected},
		{"no name in the handshake", change(issuesHost, "", "issues"), misdirected},
		{"auth host without a name in the handshake", change(authHost, "", ""), misdirected},
		{"the route of another product", skewed(check.Route{Product: "wiki"}), deny(503, check.Skew)},
		{"the route of no product", skewed(check.Route{}), deny(503, check.Skew)},
		{"the route to the door", skewed(check.Route{Door: "yes"}), deny(503, check.Skew)},
		{"as it should be", signedIn, pass(check.Session)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			w.expect(tt.in, tt.want)
		})
	}
}
