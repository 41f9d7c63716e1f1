package main

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"isogate/envoy/topology"
	"isogate/xds/doctor"
)

func TestCommercialRoutes(t *testing.T) {
	w := newCommercialWorld(t)
	w.startCheck(t)
	for role, types := range map[topology.Role][]string{topology.Edge: {"cluster", "listener"}, topology.Commercial: {"cluster", "listener", "route", "secret"}} {
		eventually(t, string(role)+" accepted everything", func() bool { return allAccepted(w.push[role], string(role)+"-1", types...) })
	}
	cases := []struct {
		server, host, path string
		route              string // as the check is told
		status             int
		body               string // its beginning
	}{
		{"", supportHost, "/a?b=c", "product support", 200, `{"Method":"GET","Path":"/a?b=c"`},
		{"", strings.ToUpper(supportHost), "/", "product support", 200, `{"Method":"GET"`},
		{"", shopHost, "/", "product shop", 200, `{"Method":"GET"`},
		{"", shopHost, "/x/../.isogate/enter", "door shop", 200, "door /.isogate/enter []"},
		{"", supportHost, "/.isogate/logout", "door support", 200, "door /.isogate/logout []"},
		{"", supportHost, "/.isogate", "product support", 200, `{"Method":"GET","Path":"/.isogate"`},
		{"", supportHost, "/oauth2/token", "product support", 200, `{"Method":"GET","Path":"/oauth2/token"`},
		{"", identityHost, "/.isogate/signin", "door identity", 200, "door /.isogate/signin []"},
		{"", identityHost, "/", "none identity", 404, `{"type":"about:blank","title":"Not Found"`},
		{"", identityHost, "/.well-known/uct/jwks.json", "none identity", 404, `{"type":"about:blank"`},
		{"", identityHost, "/oauth2/authorize", "none identity", 404, `{"type":"about:blank"`},
		{supportHost, "other.example", "/", "nothing", 421, `{"type":"about:blank","title":"Misdirected Request"`},
		{supportHost, "auth." + domain, "/.isogate/signin", "nothing", 421, `{"type":"about:blank"`},
		{supportHost, "a." + identityHost, "/.isogate/signin", "nothing", 421, `{"type":"about:blank"`},
	}
	for _, c := range cases {
		if c.server == "" {
			c.server = c.host
		}
		w.check.tell(pass)
		response := w.raw(t, c.server, requestOf(c.host, c.path))
		if body := read(t, response); response.StatusCode != c.status || !strings.HasPrefix(body, c.body) || response.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s%s: got %d %q", c.host, c.path, response.StatusCode, body)
		}
		questions := w.check.questions()
		if len(questions) != 1 || describe(questions[0]) != c.route || !strings.EqualFold(questions[0].GetAttributes().GetTlsSession().GetSni(), c.server) {
			t.Errorf("%s%s: the check was told %v, want %q", c.host, c.path, questions, c.route)
		}
	}
}

// The edge gives whole names to the commercial Envoy, those of clouds to their ingress, and closes everything else.
func TestEdgeToCommercial(t *testing.T) {
	w := newCommercialWorld(t)
	for _, name := range []string{identityHost, shopHost, strings.ToUpper(supportHost)} {
		conn, err := w.dial(t, name, "h2")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if state := conn.ConnectionState(); state.PeerCertificates[0].SerialNumber.Int64() != 30 || state.NegotiatedProtocol != "h2" {
			t.Errorf("%s: certificate %v, protocol %q", name, state.PeerCertificates[0].SerialNumber, state.NegotiatedProtocol)
		}
	}
	for _, name := range []string{"a." + identityHost, "commercial.example", "other.commercial.example", "auth." + domain, "nobody.example"} {
		if _, err := w.dial(t, name); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: got %v, want a closed connection", name, err)
		}
	}
}

// What a service is given: nothing of the client's address, of Envoy's making or of another place, in any spelling, and a request id made here.
func TestServiceIsGivenNoAddress(t *testing.T) {
	w := newCommercialWorld(t)
	w.startCheck(t)
	var headers []string
	for _, name := range []string{
		"Forwarded", "X-Real-IP", "X-User-Context-Token", "x-isolated-cloud-id", "X-ISOLATED-Cloud-User", "x-isolated-cloud-token", "X-Isogate", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Client-Cert", "X-Original-URL", "X-HTTP-Method-Override", "X-Envoy-External-Address",
		"X-Envoy-Internal", "X-Envoy-Original-Path", "X-Envoy-Attempt-Count", "X-Request-Id", "Traceparent", "TraceState", "Baggage", "b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-Sampled",
	} {
		headers = append(headers, name+": forged", name+": forged")
	}
	w.check.tell(allowWith("x-isolated-cloud-id", "0123456789abcdef"))
	got := seenBy(t, read(t, w.get(t, supportHost, "/", append(headers, "Accept: text/html")...)))
	names := slices.Sorted(maps.Keys(got.Header))
	if diff := cmp.Diff([]string{"Accept", "X-Forwarded-Proto", "X-Isolated-Cloud-Id", "X-Request-Id"}, names); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	if id := got.Header.Values("X-Request-Id"); len(id) != 1 || !uuid.MatchString(id[0]) {
		t.Errorf("the request id: %q", id)
	}
	if diff := cmp.Diff([]string{"0123456789abcdef"}, got.Header.Values("X-Isolated-Cloud-Id")); diff != "" {
		t.Error(diff)
	}
	attributes := w.check.questions()[0].GetAttributes()
	if address := attributes.GetSource().GetAddress().GetSocketAddress().GetAddress(); address != "127.0.0.1" {
		t.Errorf("the check was told the address %s, which is not the edge's", address)
	}
	for _, h := range attributes.GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
		if value := string(h.GetRawValue()); strings.Contains(value, "forged") || strings.Contains(value, "127.0.0.2") { // Envoy tells it the edge's own
			t.Errorf("the check was given %s: %s", h.GetKey(), value)
		}
	}
}

// respondWith passes with one more line of the answer, whatever the service says.
func respondWith(cookie string) answer {
	return func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return &authv3.CheckResponse{
			Status: &rpcstatus.Status{Code: int32(code.Code_OK)},
			HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{ResponseHeadersToAdd: []*corev3.HeaderValueOption{
				{Header: &corev3.HeaderValue{Key: "set-cookie", Value: cookie}, AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD},
			}}},
		}, nil
	}
}

// A service cannot set our cookie, and the check can beside those of the service.
func TestCommercialCookies(t *testing.T) {
	w := newCommercialWorld(t)
	w.startCheck(t)
	const ours = "__Host-isogate_federated=anew; Secure; Path=/"
	forged := `cookies: ["a=1","__Host-isogate_federated=forged"," __host-ISOGATE_flow_1=x","b=2"]`
	for _, c := range []struct {
		name, path string
		answer     answer
		want       []string
	}{
		{"a service", "/", pass, []string{"a=1", "b=2"}},
		{"a service, and the check", "/", respondWith(ours), []string{"a=1", "b=2", ours}},
		{"the door", "/.isogate/logout", pass, []string{"__Host-isogate_federated=door; Secure; Path=/"}},
		{"a refusal", "/", deny(302, "", "__Host-isogate_flow_1=a", "__Host-isogate_flow_2=b"), []string{"__Host-isogate_flow_1=a", "__Host-isogate_flow_2=b"}},
	} {
		w.check.tell(c.answer)
		response := w.get(t, supportHost, c.path, forged)
		if diff := cmp.Diff(c.want, response.Header.Values("Set-Cookie")); diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", c.name, response.StatusCode, diff)
		}
		if response.Header.Get("X-User-Context-Token") != "" || response.Header.Get("X-Envoy-Upstream-Canary") != "" {
			t.Errorf("%s: the service steers: %v", c.name, response.Header)
		}
	}
}

// Without a check nothing passes, and only a service that asks for it may upgrade.
func TestCommercialFailsClosed(t *testing.T) {
	w := newCommercialWorld(t)
	for _, host := range []string{supportHost, identityHost} {
		if response := w.get(t, host, "/.isogate/signin"); response.StatusCode != 503 || read(t, response) != unavailable {
			t.Errorf("%s without a check: %d", host, response.StatusCode)
		}
	}
	w.startCheck(t)
	for _, c := range []struct {
		name   string
		answer answer
	}{{"error", fail}, {"rewrites the path", allowWith(":path", "/evil")}, {"a broken line of the answer", respondWith("a\r\nb: c")}} {
		w.check.tell(c.answer)
		if response := w.get(t, supportHost, "/"); response.StatusCode != 503 {
			t.Errorf("%s: %d", c.name, response.StatusCode)
		}
	}
	w.check.tell(pass)
	upgrade := []string{"Connection: upgrade", "Upgrade: websocket"}
	for host, want := range map[string]int{shopHost: 403, identityHost: 403} {
		if response := w.get(t, host, "/", upgrade...); response.StatusCode != want {
			t.Errorf("an upgrade at %s: %d, want %d", host, response.StatusCode, want)
		}
	}
	if w.hits.Load() != 0 {
		t.Error("a service was reached")
	}
	if response := w.get(t, supportHost, "/", upgrade...); response.StatusCode != 101 {
		t.Errorf("an upgrade that is allowed: %d", response.StatusCode)
	}
}

// Neither logs, statistics nor config dumps of either Envoy tell who asked, or for what; and the doctor finds nothing.
func TestCommercialKeepsNothing(t *testing.T) {
	w := newCommercialWorld(t)
	w.startCheck(t)
	read(t, w.get(t, supportHost, "/personal/grackle?q=grackle", "User-Agent: grackle", "Cookie: a=grackle", "Accept-Language: grackle", "Referer: https://grackle.example/"))
	read(t, w.raw(t, supportHost, requestOf("grackle.example", "/grackle")))
	personal := []string{"grackle", "127.0.0.2"}
	for role, e := range w.envoys {
		for _, path := range []string{"/config_dump", "/stats", "/clusters", "/listeners", "/certs"} {
			text, err := e.Admin(t.Context(), "GET", path)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range personal {
				if strings.Contains(string(text), word) {
					t.Errorf("%s of the %s holds %s", path, role, word)
				}
			}
			if path != "/config_dump" {
				continue
			}
			if report, err := doctor.Examine(text); err != nil || len(report.Findings)+len(report.Notes) > 0 {
				t.Errorf("the dump of a real %s: %v %+v", role, err, report)
			}
		}
		time.Sleep(50 * time.Millisecond) // the edge's connections end with the client's
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(e.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range personal {
			if strings.Contains(string(log), word) {
				t.Errorf("the log of the %s holds %s: %s", role, word, log)
			}
		}
		if role != topology.Commercial {
			continue
		}
		for _, want := range []string{`"route":"support"`, `"service":"support"`, `"code":200`, `"reason":null`, `"id":"`, `"ms":`, `"route":"misdirected"`, `"code":421`} {
			if !strings.Contains(string(log), want) {
				t.Errorf("the log lacks %s: %s", want, log)
			}
		}
	}
}
