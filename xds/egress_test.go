package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

const (
	noCloud = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"The call names an isolated cloud that is not the person’s, or that takes no calls.",` +
		`"reason":"cloud"}` + "\n"
	badRequest = `{"type":"about:blank","title":"Bad Request","status":400,"reason":"bad-request"}`
	ownCloud   = "0123456789abcdef"
)

// A call goes to the gateway of the cloud that it names, in HTTP/2, for the product that it names; nothing of the three headers reaches further than the
// gateway, and the service's certificate says who calls.
func TestEgressReachesTheGateway(t *testing.T) {
	w := newEgressWorld(t)
	w.startCheck(t)
	response := w.call(t, ownCloud, "issues", "/rest/api/issue/A-1?fields=a", "Accept: text/x", "x-isolated-cloud-user: mine", "traceparent: mine",
		"X-Forwarded-For: 192.0.2.1", "x-user-context-token: mine", "x-envoy-upstream-rq-timeout-ms: 1")
	if body := read(t, response); response.StatusCode != 200 || strings.Contains(body, "mine") || strings.Contains(strings.ToLower(body), "x-isolated") ||
		!strings.Contains(body, `"Path":"/rest/api/issue/A-1?fields=a"`) || !strings.Contains(body, "text/x") {
		t.Errorf("%d: the product got %s", response.StatusCode, body)
	}
	asked := w.gatewayWorld.check.questions()
	if len(asked) != 1 || chosen(asked[0]) != "issue.read" {
		t.Fatalf("the gateway's check was told %v", asked)
	}
	if protocol := asked[0].GetAttributes().GetRequest().GetHttp().GetProtocol(); protocol != "HTTP/2" {
		t.Errorf("the gateway is spoken to in %s", protocol)
	}
	got := map[string]string{}
	for _, h := range asked[0].GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
		got[h.GetKey()] = string(h.GetRawValue())
	}
	if got[":authority"] != "issues."+gatewayHost || got[":scheme"] != "https" || got["x-isolated-cloud-token"] != "" || got["x-isolated-cloud-id"] != "" {
		t.Errorf("the gateway got %v", got)
	}
	own := map[string]string{}
	for _, h := range w.check.questions()[0].GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
		own[h.GetKey()] = string(h.GetRawValue())
	}
	if own["x-isolated-cloud-id"] != ownCloud || own["x-isolated-cloud-token"] != "sealed" || own["x-isolated-cloud-product"] != "issues" {
		t.Errorf("the sidecar's check got %v", own)
	}
	isClean(t, w.envoy)
}

// Where no gateway is named, or none can be had, the service gets a problem.
func TestEgressRefusals(t *testing.T) {
	w := newEgressWorld(t)
	isProblem(t, "no check", w.call(t, ownCloud, "issues", "/rest/api/issue/A-1"), 503, unavailable)
	isProblem(t, "no check, no cloud", w.call(t, "nobody", "issues", "/"), 503, unavailable)
	w.startCheck(t)
	isProblem(t, "an unknown cloud", w.call(t, "nobody", "issues", "/"), 403, noCloud)
	isProblem(t, "a cloud that takes no calls", w.call(t, "0000000000000000", "issues", "/"), 403, noCloud)
	isProblem(t, "a gateway that is down", w.call(t, otherCloud, "issues", "/"), 503, upstreamAway)
	isProblem(t, "an upgrade", w.call(t, ownCloud, "issues", "/rest/api/issue/A-1", "Connection: Upgrade", "Upgrade: websocket"), 400, badRequest)
	if a := w.call(t, ownCloud, "issues", "/"); a.StatusCode != 403 || read(t, a) != notExposed { // the gateway's own word
		t.Errorf("what is not exposed: %d", a.StatusCode)
	}
	w.check.tell(fail)
	isProblem(t, "a check that fails", w.call(t, ownCloud, "issues", "/rest/api/issue/A-1"), 503, unavailable)
	if n := w.reached(); n != 0 {
		t.Errorf("%d calls reached a product", n)
	}
}

// The gateway is the other side's machine. Whatever it answers, the service is led nowhere, gets no cookie, and is told nothing in our name; why a call
// was refused passes.
func TestEgressCutsWhatAGatewayAnswers(t *testing.T) {
	w := newEgressWorld(t)
	w.startCheck(t)
	evil := w.ca.issue(t, shortDir(t), "evil", 70, "gateway.other.example")
	pair, err := tls.LoadX509KeyPair(string(evil.Certificate), string(evil.Key))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", string(w.config.Clouds[1].Gateway), &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Set-Cookie", "Refresh", "X-Accel-Redirect", "X-Sendfile", "X-Isolated-Cloud-Id", "X-Isolated-Cloud-User", "X-Isogate-Failed", "X-Envoy-A", "Clear-Site-Data"} {
			rw.Header().Set(name, "a")
		}
		rw.Header().Set("Location", "http://192.0.2.1/")
		rw.Header().Set("Www-Authenticate", "DPoP a")
		status, _ := strconv.Atoi(r.URL.Path[1:])
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, "word")
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	for path, want := range map[string]int{"/200": 200, "/401": 401, "/503": 503, "/302": 502, "/307": 502} {
		a := w.call(t, otherCloud, "issues", path)
		body := read(t, a)
		if a.StatusCode != want || (body == "word") != (want != 502) {
			t.Errorf("%s: %d %q", path, a.StatusCode, body)
		}
		for name := range a.Header {
			switch name {
			case "Www-Authenticate", "Content-Length", "Content-Type", "Cache-Control", "Date":
			case "Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy":
				if want != 502 {
					t.Errorf("%s: %s crossed", path, name)
				}
			default:
				t.Errorf("%s: %s crossed", path, name)
			}
		}
		if want == 401 && a.Header.Get("Www-Authenticate") != "DPoP a" {
			t.Error("why the call was refused did not cross")
		}
	}
}

// A sidecar believes a gateway with exactly its name, of the authorities of that cloud alone; anybody else gets no token. Connections from before live on
// for a while, so the wrong ones come first.
func TestEgressBelievesOneGateway(t *testing.T) {
	w := newEgressWorld(t)
	w.startCheck(t)
	authorities := string(w.config.Clouds[0].CA)
	status := func(want int) func() bool {
		return func() bool { return w.call(t, ownCloud, "issues", "/rest/api/issue/A-1").StatusCode == want }
	}
	newAuthority(t).writeRoots(t, authorities)
	w.set(t, "secret")
	eventually(t, "of another authority", status(503))
	w.ca.writeRoots(t, authorities)
	w.set(t, "secret")
	eventually(t, "the right gateway", status(200))
	w.config.Clouds[0].Domain, w.config.Clouds[1].Domain = "other.example", domain // a new cluster: another cloud's name at this gateway's address
	w.set(t, "cluster")
	eventually(t, "of another name", status(503))
}

// A sidecar's own certificate must be the service's, and is in no other role.
func TestSidecarCertificate(t *testing.T) {
	w := newEgressWorld(t)
	shop := w.config.Platform.Services[0]
	shop.ID, shop.Host = "shop", shopHost
	shop.Egress = &topology.Egress{
		SPIFFE: "spiffe://commercial.example/shop", Listen: freeAddress(t), Certificate: shop.Egress.Certificate, Key: shop.Egress.Key,
	}
	w.config.Platform.Services = append(w.config.Platform.Services, shop)
	w.config.XDS.Certificates = []KeyPair{w.ca.issue(t, string(w.config.Platform.Sockets), "tls", 62, identityHost, supportHost, shopHost)}
	if _, err := w.config.read(time.Now()); err == nil || !strings.Contains(err.Error(), "is the certificate of "+supportID) {
		t.Errorf("another service's certificate: %v", err)
	}
	bad := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bad, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.config.Platform.Services = w.config.Platform.Services[:1]
	w.config.Clouds[0].CA = daemon.Path(bad)
	if _, err := w.config.read(time.Now()); err == nil || !strings.Contains(err.Error(), "no certificate in PEM") {
		t.Errorf("a ca that is none: %v", err)
	}
}
