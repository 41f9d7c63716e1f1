package profile

import (
	"slices"
	"strings"
	"testing"

	"isogate/extauthz/check"
)

// origins is who may act in a person's name: what the browser says, and whether that is the host's own page, or one that the product lists.
var origins = []struct {
	name   string
	in     []string
	own    bool // also at our own endpoints
	listed bool // at the product
}{
	{"own", []string{"origin", issuesURL}, true, true},
	{"own, and the metadata agrees", []string{"origin", issuesURL, "sec-fetch-site", "same-origin"}, true, true},
	{"listed by the product", []string{"origin", portal, "sec-fetch-site", "cross-site"}, false, true},
	{"another", []string{"origin", "https://evil.example"}, false, false},
	{"another, with metadata that says otherwise", []string{"origin", "https://evil.example", "sec-fetch-site", "same-origin"}, false, false},
	{"null", []string{"origin", "null"}, false, false},
	{"null of a page of its own that hides it", []string{"origin", "null", "sec-fetch-site", "same-origin"}, true, true},
	{"null of a sandboxed frame", []string{"origin", "null", "sec-fetch-site", "cross-site"}, false, false},
	{"null of another product", []string{"origin", "null", "sec-fetch-site", "same-site"}, false, false},
	{"null of nobody", []string{"origin", "null", "sec-fetch-site", "none"}, false, false},
	{"null doubled, same-origin", []string{"origin", "null", "origin", "null", "sec-fetch-site", "same-origin"}, false, false},
	{"null and own, same-origin", []string{"origin", "null", "origin", issuesURL, "sec-fetch-site", "same-origin"}, false, false},
	{"null, same-origin doubled", []string{"origin", "null", "sec-fetch-site", "same-origin", "sec-fetch-site", "same-origin"}, false, false},
	{"NULL, same-origin", []string{"origin", "NULL", "sec-fetch-site", "same-origin"}, false, false},
	{"empty", []string{"origin", ""}, false, false},
	{"empty, same-origin", []string{"origin", "", "sec-fetch-site", "same-origin"}, false, false},
	{"doubled", []string{"origin", issuesURL, "origin", issuesURL}, false, false},
	{"doubled with another", []string{"origin", issuesURL, "origin", "https://evil.example"}, false, false},
	{"doubled, same-origin", []string{"origin", issuesURL, "origin", issuesURL, "sec-fetch-site", "same-origin"}, false, false},
	{"two in one", []string{"origin", issuesURL + " https://evil.example"}, false, false},
	{"another port", []string{"origin", "https://issues.acme.example"}, false, false},
	{"another scheme", []string{"origin", "http://issues.acme.example:8443"}, false, false},
	{"another case", []string{"origin", "https://Issues.acme.example:8443"}, false, false},
	{"a slash", []string{"origin", issuesURL + "/"}, false, false},
	{"another product", []string{"origin", "https://wiki.acme.example:8443", "sec-fetch-site", "same-site"}, false, false},
	{"the auth host", []string{"origin", "https://auth.acme.example:8443"}, false, false},
	{"own as a prefix", []string{"origin", issuesURL + ".evil.example"}, false, false},
	{"only same-origin", []string{"sec-fetch-site", "same-origin"}, true, true},
	{"only same-site", []string{"sec-fetch-site", "same-site"}, false, false},
	{"only cross-site", []string{"sec-fetch-site", "cross-site"}, false, false},
	{"only none", []string{"sec-fetch-site", "none"}, false, false},
	{"same-origin doubled", []string{"sec-fetch-site", "same-origin", "sec-fetch-site", "same-origin"}, false, false},
	{"nothing", nil, false, false},
	{"a referrer is no origin", []string{"referer", issuesURL + "/x"}, false, false},
	{"a forwarded host is no host", []string{"origin", "https://evil.example", "x-forwarded-host", "evil.example", "host", "evil.example"}, false, false},
}

// oauth2-proxy and others let a cookie be enough for a POST or a WebSocket from anywhere.
func TestAnotherSiteCannotActInAPersonsName(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	acts := map[string][]string{
		"POST": nil, "PUT": nil, "PATCH": nil, "DELETE": nil, "GET": {"upgrade", "websocket", "connection", "Upgrade"}, "HEAD": {"upgrade", "h2c"},
	}
	for _, tt := range origins {
		for method, more := range acts {
			t.Run(method+" "+tt.name, func(t *testing.T) {
				w.t = t
				want := pass(check.Session)
				if !tt.listed {
					want = deny(403, check.CrossOrigin)
				}
				w.expect(ask(method, "/x", slices.Concat([]string{"cookie", cookie}, more, tt.in)...), want)
			})
		}
		t.Run("reading "+tt.name, func(t *testing.T) {
			w.t = t
			w.expect(ask("GET", "/x", slices.Concat([]string{"cookie", cookie}, tt.in)...), pass(check.Session))
		})
	}
}

func TestAnotherSiteCannotSignAPersonOut(t *testing.T) {
	w := newWorld(t)
	for _, tt := range origins {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			want := pass(check.Own)
			if !tt.own {
				want = deny(403, check.CrossOrigin)
			}
			w.expect(at(issuesHost, "", ask("POST", "/.isogate/logout", tt.in...)), want)
			w.expect(at(issuesHost, "", ask("GET", "/.isogate/logout", tt.in...)), pass(check.Own)) // which shows a button
		})
	}
}

// A refused form shows a page, a refused script gets a problem.
func TestARefusalIsReadable(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	for name, tt := range map[string]struct {
		in   []string
		want string
	}{
		"form":   {[]string{"sec-fetch-mode", "navigate", "sec-fetch-dest", "document", "origin", "https://evil.example"}, "text/html"},
		"script": {[]string{"sec-fetch-mode", "cors", "sec-fetch-dest", "empty", "origin", "https://evil.example"}, "application/problem+json"},
	} {
		v := w.expect(with(ask("POST", "/x", "cookie", cookie), tt.in...), deny(403, check.CrossOrigin))
		if got := answered(v, "content-type"); len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A client that names our token in its Connection header asks whatever stands before the product to drop it. Only upgrades keep that header.
func TestAnUpgradeNamesNoOtherHeader(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	for connection, want := range map[string]outcome{
		"Upgrade": pass(check.Session), "keep-alive, Upgrade": pass(check.Session), "upgrade ,, keep-alive": pass(check.Session),
		"Upgrade, x-user-context-token": deny(400, check.BadRequest), "Upgrade, cookie": deny(400, check.BadRequest), "close, Upgrade": deny(400, check.BadRequest),
	} {
		t.Run(connection, func(t *testing.T) {
			w.t = t
			w.expect(ask("GET", "/x", "cookie", cookie, "upgrade", "websocket", "connection", connection, "origin", issuesURL), want)
		})
	}
	w.t = t
	w.expect(ask("GET", "/x", "cookie", cookie, "upgrade", "websocket", "connection", "Upgrade", "connection", "x-user-context-token", "origin", issuesURL),
		deny(400, check.BadRequest))
}

// Each decision is recorded with the policies that were in force, and the rule where one spoke.
func TestEveryDecisionNamesItsPolicies(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	for name, in := range map[string]check.Request{
		"signed in": ask("GET", "/x", "cookie", cookie), "signed in, on the allowlist": ask("GET", "/health", "cookie", cookie), "on the allowlist": ask("GET", "/health"),
		"nobody": ask("GET", "/x"), "sent to sign in": ask("GET", "/x", navigation...), "the policies fail": ask("GET", "/broken", "cookie", cookie),
	} {
		v := w.decide(in)
		if v.Policy != w.bundle.Digest() {
			t.Errorf("%s: %q names no policies (%s)", name, v.Policy, v.Reason)
		}
		if v.Allow && v.Rule == "" {
			t.Errorf("%s: passes by no rule", name)
		}
	}
}
