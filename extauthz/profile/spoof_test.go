package profile

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"isogate/extauthz/check"
)

// spoofs are headers by which some proxy, framework or scanner was once talked into something. GHSA-5hvv, GHSA-7x63.
var spoofs = [][]string{
	{"user-agent", "GoogleHC/1.0"}, {"user-agent", "kube-probe/1.30"}, {"x-forwarded-for", "127.0.0.1"}, {"x-real-ip", "127.0.0.1"}, {"forwarded", "for=127.0.0.1;host=auth.acme.example"},
	{"x-forwarded-uri", "/health"}, {"x-forwarded-path", "/health"}, {"x-forwarded-method", "GET"}, {"x-forwarded-host", authHost}, {"x-forwarded-proto", "https"},
	{"x-original-url", "/health"}, {"x-original-uri", "/health"}, {"x-original-method", "GET"}, {"x-rewrite-url", "/health"}, {"x-envoy-original-path", "/health"},
	{"x-envoy-original-host", authHost}, {"x-envoy-internal", "true"}, {"x-envoy-external-address", "127.0.0.1"}, {"x-http-method-override", "GET"}, {"x-http-method", "GET"},
	{"x-method-override", "GET"}, {"authorization", "Bearer eyJhbGciOiJub25lIn0.e30."}, {"authorization", "Basic YWRtaW46YWRtaW4="}, {"x-forwarded-user", "ada"}, {"remote-user", "ada"},
	{"x-user-context-token", "eyJhbGciOiJub25lIiwidHlwIjoidWN0K2p3dCJ9.e30."}, {"x-isolated-cloud-user", "ada"}, {"x-isogate-product", "issues"}, {"x-isogate-anonymous", "true"},
	{"x-forwarded-client-cert", "URI=spiffe://acme.example/issues"}, {"x-ms-client-principal", "ada"}, {"x-auth-request-email", ada0}, {"x-forwarded-email", ada0},
	{"proxy-authorization", "Basic eA=="}, {"x-custom-ip-authorization", "127.0.0.1"}, {"host", authHost}, {":path", "/health"}, {":method", "OPTIONS"}, {":authority", authHost},
	{"purpose", "prefetch"}, {"sec-purpose", "prefetch"}, {"upgrade-insecure-requests", "1"}, {"x-debug", "1"}, {"product", "issues"}, {"endpoint", "issues.health"},
	{"access-control-request-method", "GET"}, {"content-type", "application/grpc"}, {"te", "trailers"}, {"expect", "100-continue"}, {"service-worker", "script"},
}

const ada0 = "ada@acme.example"

func TestNoHeaderOpensAnything(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	for _, spoof := range spoofs {
		t.Run(strings.Join(spoof, ": "), func(t *testing.T) {
			w.t = t
			w.expect(ask("GET", "/secret", spoof...), deny(401, check.Unauthenticated))
			w.expect(ask("POST", "/health", spoof...), deny(401, check.Unauthenticated))
			w.expect(ask("OPTIONS", "/secret", spoof...), deny(401, check.Unauthenticated))
			w.expect(with(ask("GET", "/forbidden", "cookie", cookie), spoof...), deny(403, check.Policy))
			w.expect(with(ask("POST", "/x", "cookie", cookie, "origin", "https://evil.example"), spoof...), deny(403, check.CrossOrigin))
			w.expect(at("evil.example", "issues", ask("GET", "/health", spoof...)), deny(421, check.Misdirected))
			w.expect(at(authHost, "", ask("GET", "/secret", spoof...)), deny(404, check.NotFound))
			w.expect(at(issuesHost, "", ask("GET", "/.isogate/signin", spoof...)), deny(404, check.NotFound))
		})
	}
}

// Everybody's headers together open no more than each.
func TestAllHeadersTogetherOpenNothing(t *testing.T) {
	w := newWorld(t)
	in := ask("GET", "/secret")
	for _, spoof := range spoofs {
		in = with(in, spoof...)
	}
	w.expect(in, deny(401, check.Unauthenticated))
}

// Where a sign-in leads back to is the request's own host and path: no header and no parameter says otherwise. oauth2-proxy#2989.
func TestASignInLeadsBackToWhereItBegan(t *testing.T) {
	w := newWorld(t)
	tests := []struct{ name, target, want string }{
		{"path", "/x", "/x"},
		{"path and query", "/x?a=b&next=https://evil.example", "/x?a=b&next=https://evil.example"},
		{"a parameter of ours", "/x?flow=evil&rd=//evil.example", "/x?flow=evil&rd=//evil.example"},
		{"a query that is too long", "/x?" + strings.Repeat("q", 4<<10), "/x"},
		{"a path that is too long", "/" + strings.Repeat("p", 4<<10), "/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			in := ask("GET", tt.target, navigation...)
			for _, spoof := range spoofs {
				if spoof[0] != "content-type" {
					in = with(in, spoof...)
				}
			}
			v := w.expect(in, deny(302, check.SignIn))
			location := answered(v, "location")
			if len(location) != 1 || !strings.HasPrefix(location[0], "https://auth.acme.example:8443/.isogate/signin?flow=") {
				t.Fatalf("location %q", location)
			}
			parsed := must(url.Parse(location[0]))(t)
			flow := string(must(w.sealers.Open("flow", cloud().ID, parsed.Query().Get("flow")))(t))
			var begun struct{ H, T string }
			if err := json.Unmarshal([]byte(flow), &begun); err != nil || begun.H != "issues.acme.example" || begun.T != tt.want {
				t.Errorf("%s", flow)
			}
			for _, cookie := range answered(v, "set-cookie") {
				if secret, _, _ := strings.Cut(strings.SplitN(cookie, "=", 2)[1], ";"); strings.Contains(flow, secret) || strings.Contains(location[0], secret) {
					t.Error("the secret of the flow cookie is in the address")
				}
			}
		})
	}
}
