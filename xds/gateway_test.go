package main

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"isogate/envoy/run"
	"isogate/policies"
	"isogate/xds/doctor"
)

const (
	notExposed = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"The isolated cloud exposes no such endpoint to the service that made this call.",` +
		`"reason":"not-exposed"}` + "\n"
	badGateway    = `{"type":"about:blank","title":"Bad Gateway","status":502,"reason":"upstream"}`
	upstreamAway  = `{"type":"about:blank","title":"Service Unavailable","status":503,"reason":"upstream"}`
	tooLarge      = `{"type":"about:blank","title":"Request Entity Too Large","status":413,"reason":"too-large"}`
	tooManyCalls  = `{"type":"about:blank","title":"Too Many Requests","status":429,"reason":"rate"}`
	commentPath   = "/rest/api/issue/A-1/comment"
	issuesGateway = "issues." + gatewayHost
)

func (w *gatewayWorld) reached() int32 { return w.hits.Load() + w.rude.hits.Load() }

// isProblem demands a problem as extauthz would write it.
func isProblem(t *testing.T, what string, response *http.Response, status int, body string) {
	t.Helper()
	got, h := read(t, response), response.Header
	if response.StatusCode != status || got != body && response.Request.Method != http.MethodHead {
		t.Errorf("%s: got %d %q, want %d %q", what, response.StatusCode, got, status, body)
	}
	if h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: the headers are %v", what, h)
	}
}

// A call reaches its product at the product's own host, by method and template, with nothing that Envoy or a stranger adds; and the check is told which
// endpoint Envoy chose.
func TestGatewayRoutes(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	cases := []struct{ method, product, path, want, host string }{
		{"GET", "issues", "/rest/api/issue/A-1", "issue.read", "issues.acme.example"},
		{"GET", "issues", "/rest/api/issue/mine", "issue.mine", "issues.acme.example"},
		{"GET", "issues", "/rest/api/issue/mine?fields=a", "issue.mine", "issues.acme.example"},
		{"POST", "issues", commentPath, "issue.comment", "issues.acme.example"},
		{"GET", "wiki", "/page/a", "wiki.page", "docs.acme.example"},
		{"GET", "ISSUES", "/rest/api/./issue/../issue/A-1", "issue.read", "issues.acme.example"},
	}
	for _, c := range cases {
		w.check.tell(pass)
		body := read(t, w.call(t, c.method, c.product, c.path, "Content-Length: 0", "X-Forwarded-For: 192.0.2.1", "x-user-context-token: mine",
			"x-isolated-cloud-id: a", "x-envoy-upstream-rq-timeout-ms: 1", "X-Request-Id: mine", "traceparent: mine", "x-isogate-failed: 502",
			"Authorization: DPoP mine", "DPoP: mine", "Cookie: mine", "Accept: text/x"))
		if !strings.Contains(body, `"Host":"`+c.host+`"`) || strings.Contains(body, "mine\"") && c.want != "issue.mine" ||
			strings.Contains(body, "X-Envoy") || strings.Contains(body, "X-Forwarded") || strings.Contains(body, "X-Isolated") || !strings.Contains(body, "text/x") {
			t.Errorf("%s %s: the product got %s", c.method, c.path, body)
		}
		asked := w.check.questions()
		if len(asked) != 1 || chosen(asked[0]) != c.want {
			t.Errorf("%s %s: the check was told %v", c.method, c.path, asked)
			continue
		}
		source, http := asked[0].GetAttributes().GetSource(), asked[0].GetAttributes().GetRequest().GetHttp()
		if !strings.Contains(source.GetCertificate(), "BEGIN") || http.GetId() == "" || asked[0].GetAttributes().GetTlsSession().GetSni() != gatewayHost {
			t.Errorf("the check does not see certificate, id or server name: %v", asked[0])
		}
	}
	isClean(t, w.envoy)
}

// isClean holds what a running Envoy was given to the rules of xds doctor.
func isClean(t *testing.T, e *run.Envoy) {
	t.Helper()
	config, err := e.Admin(t.Context(), "GET", "/config_dump")
	if err != nil {
		t.Fatal(err)
	}
	if report, err := doctor.Examine(config); err != nil || len(report.Findings)+len(report.Notes) > 0 {
		t.Errorf("%v %+v", err, report)
	}
}

// Whatever is not exposed gets one and the same answer, from Envoy as from the check, and no product hears of it. The check is asked each time but for
// an upgrade, which Envoy itself refuses.
func TestGatewayHasOneRefusal(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	var first http.Header
	for name, request := range map[string]string{
		"unlisted path":        "GET /rest/api/other HTTP/1.1\r\nHost: " + issuesGateway,
		"below a listed one":   "GET /rest/api/issue/A-1/x HTTP/1.1\r\nHost: " + issuesGateway,
		"beside a listed one":  "GET /rest/api/issue/A-1x/ HTTP/1.1\r\nHost: " + issuesGateway,
		"nothing in between":   "GET /rest/api/issue/ HTTP/1.1\r\nHost: " + issuesGateway,
		"root":                 "GET / HTTP/1.1\r\nHost: " + issuesGateway,
		"wrong method":         "DELETE /rest/api/issue/A-1 HTTP/1.1\r\nHost: " + issuesGateway,
		"HEAD is not GET":      "HEAD /rest/api/issue/A-1 HTTP/1.1\r\nHost: " + issuesGateway,
		"another product":      "GET /rest/api/issue/A-1 HTTP/1.1\r\nHost: wiki." + gatewayHost,
		"nothing exposed":      "GET / HTTP/1.1\r\nHost: dead." + gatewayHost,
		"unknown product":      "GET / HTTP/1.1\r\nHost: no-such." + gatewayHost,
		"the gateway itself":   "GET / HTTP/1.1\r\nHost: " + gatewayHost,
		"the product's host":   "GET /rest/api/issue/A-1 HTTP/1.1\r\nHost: issues." + domain,
		"upper case in a path": "GET /REST/api/issue/A-1 HTTP/1.1\r\nHost: " + issuesGateway,
		"upgrade":              "GET /rest/api/issue/A-1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nHost: " + issuesGateway,
		"tunnel":               "CONNECT issues." + gatewayHost + ":443 HTTP/1.1\r\nHost: " + issuesGateway,
	} {
		w.check.tell(pass)
		response := w.raw(t, request+"\r\n\r\n")
		isProblem(t, name, response, 403, notExposed)
		response.Header.Del("Date")
		if first == nil {
			first = response.Header
		}
		if !maps.EqualFunc(first, response.Header, func(a, b []string) bool { return strings.Join(a, ",") == strings.Join(b, ",") }) {
			t.Errorf("%s: the headers tell it from others: %v and %v", name, first, response.Header)
		}
		if asked := w.check.questions(); name != "upgrade" && name != "tunnel" && (len(asked) != 1 || chosen(asked[0]) != "-") {
			t.Errorf("%s: the check was told %v", name, asked)
		}
	}
	if n := w.reached(); n != 0 {
		t.Errorf("%d requests reached a product", n)
	}
}

// Who cannot show a certificate of the callers' authorities with a URI of the trust domain has no connection. Two URIs pass here: the check refuses them.
func TestGatewayTakesCallersOnly(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	own := w.callers
	of := func(a *authority, uri, dns string, more ...string) []tls.Certificate {
		return []tls.Certificate{a.caller(t, func(c *x509.Certificate) {
			if uri != "" {
				c.URIs = uris(t, append([]string{uri}, more...)...)
			}
			if dns != "" {
				c.DNSNames = []string{dns}
			}
		})}
	}
	cases := []struct {
		name         string
		certificates []tls.Certificate
		server       string
		ok           bool
	}{
		{"a caller", of(own, supportID, ""), gatewayHost, true},
		{"two URIs", of(own, supportID, "", "spiffe://commercial.example/shop"), gatewayHost, true},
		{"none", nil, gatewayHost, false},
		{"another authority's", of(newAuthority(t), supportID, ""), gatewayHost, false},
		{"another trust domain", of(own, "spiffe://other.example/support", ""), gatewayHost, false},
		{"a trust domain that begins so", of(own, "spiffe://commercial.example.evil.example/support", ""), gatewayHost, false},
		{"a DNS name that reads like one", of(own, "", supportID), gatewayHost, false},
		{"no name", of(own, "", ""), gatewayHost, false},
		{"another server name", of(own, supportID, ""), "issues." + domain, false},
		{"no server name", of(own, supportID, ""), "", false},
	}
	for _, c := range cases {
		config := w.tls(c.certificates...)
		config.ServerName, config.InsecureSkipVerify = c.server, c.server != gatewayHost
		conn, err := w.dial(config)
		if err == nil { // in TLS 1.3 a refusal comes after the client's handshake
			defer conn.Close()
			_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: " + issuesGateway + "\r\n\r\n"))
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	w.check.tell(pass)
	if w.call(t, "GET", "issues", "/"); len(w.check.questions()) != 1 {
		t.Error("the world does not work: this test proves nothing")
	}
}

// Whatever goes wrong with the check: one answer, and no product hears of it.
func TestGatewayFailsClosed(t *testing.T) {
	w := newGatewayWorld(t)
	ask := func(name string) {
		t.Helper()
		isProblem(t, name, w.call(t, "GET", "issues", "/rest/api/issue/A-1"), 503, unavailable)
		isProblem(t, name+", not exposed", w.call(t, "GET", "issues", "/"), 503, unavailable)
	}
	ask("absent")
	w.startCheck(t)
	for name, answer := range map[string]answer{
		"hung": hang, "error": fail, "rewrites the path": allowWith(":path", "/rest/api/issue/mine"), "rewrites the method": allowWith(":method", "POST"),
		"invalid header": allowWith("a b", "1"),
	} {
		w.check.tell(answer)
		ask(name)
	}
	if n := w.reached(); n != 0 {
		t.Errorf("%d requests reached a product", n)
	}
	w.check.tell(deny(403, "own words"))
	if response := w.call(t, "GET", "issues", "/rest/api/issue/A-1"); response.StatusCode != 403 || read(t, response) != "own words" {
		t.Error("the check's own refusal is not what the caller gets")
	}
}

// A caller that asks too often gets 429 and costs neither the check nor another caller anything.
func TestGatewayRate(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	w.config.Cloud.Gateway.Rate = 3
	w.set(t, "listener", exposedEndpoints())
	shop := w.callers.caller(t, func(c *x509.Certificate) { c.URIs = uris(t, "spiffe://commercial.example/shop") })
	eventually(t, "the rate is over", func() bool { return w.call(t, "GET", "issues", "/rest/api/issue/A-1").StatusCode == 429 })
	var passed atomic.Int32
	w.check.tell(pass)
	for range 12 {
		if response := w.call(t, "GET", "issues", "/rest/api/issue/A-1"); response.StatusCode == 429 {
			isProblem(t, "too often", response, 429, tooManyCalls)
		} else {
			passed.Add(1)
		}
	}
	if asked := len(w.check.questions()); int32(asked) != passed.Load() {
		t.Errorf("the check was asked %d times for %d calls", asked, passed.Load())
	}
	w.caller = shop
	if response := w.call(t, "GET", "issues", "/rest/api/issue/A-1"); response.StatusCode != 200 {
		t.Errorf("another caller: %d", response.StatusCode)
	}
}

// New routes reach the gateway while a call is under way, which goes on.
func TestGatewayPolicyEdit(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	open, err := w.dial(w.tls(w.caller))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if ask(t, open, "GET /rest/api/issue/A-1 HTTP/1.1\r\nHost: "+issuesGateway+"\r\n\r\n").StatusCode != 200 {
		t.Fatal("not exposed at first")
	}
	endpoints := exposedEndpoints()
	w.set(t, "route", endpoints[1:])
	if got := w.call(t, "GET", "issues", "/rest/api/issue/A-1").StatusCode; got != 403 {
		t.Errorf("withdrawn: %d", got)
	}
	w.set(t, "route", append(endpoints, policies.Endpoint{ID: "new", Product: "dead", Method: "GET", Path: "/x"}))
	isProblem(t, "a product that is down", w.call(t, "GET", "dead", "/x"), 503, upstreamAway)
	if got := ask(t, open, "GET /rest/api/issue/mine HTTP/1.1\r\nHost: "+issuesGateway+"\r\n\r\n").StatusCode; got != 200 {
		t.Errorf("on the connection of before: %d", got)
	}
}

// The log tells route, caller and reason by ids, and nothing of what was read.
func TestGatewayLog(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	w.call(t, "GET", "issues", "/rest/api/issue/CANARY-1?q=CANARY-2", "User-Agent: CANARY-3", "Accept: CANARY-4").Body.Close()
	var text string
	eventually(t, "a line in the log", func() bool {
		log, err := os.ReadFile(w.envoy.LogFile())
		text = string(log)
		return err == nil && strings.Contains(text, `"endpoint":"issue.read"`)
	})
	if !strings.Contains(text, `"product":"issues"`) || strings.Contains(text, "CANARY") || strings.Contains(text, "127.0.0.1:") {
		t.Errorf("the log is\n%s", text)
	}
}
